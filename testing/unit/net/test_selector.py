"""net/selector.py: does what the library's selectors do."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import socket
import time
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.selector import IN, OUT, EpollSelector, make_selector

COUNT = 4
sockets = st.integers(0, COUNT - 1)
interests = st.sampled_from([EVENT_READ, EVENT_WRITE, EVENT_READ | EVENT_WRITE])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("register"), sockets, interests),
        st.tuples(st.just("modify"), sockets, interests),
        st.tuples(st.just("unregister"), sockets),
        st.tuples(st.sampled_from(["write", "read", "shutdown", "close", "reset"]), sockets),
    ),
    max_size=20,
)


def attempt(call: Any, *words: Any) -> Any:
    """Return what a call returns, or the type of its error."""
    try:
        return call(*words)
    except Exception as error:
        return type(error)


def disturb(what: str, ours: socket.socket, peer: socket.socket) -> None:
    """Do something to a pair of sockets, after which other events may be ready."""
    with contextlib.suppress(OSError):
        match what:
            case "write":
                peer.send(b"x")
            case "read":
                ours.recv(1)
            case "shutdown":
                peer.shutdown(socket.SHUT_WR)
            case "close":
                peer.close()
            case "reset":
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                peer.close()


@given(steps)
def test_it_answers_as_the_selectors_of_the_library(script: list[tuple[Any, ...]]) -> None:
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(EpollSelector())
        theirs = stack.enter_context(selectors.DefaultSelector())
        pairs = [socket.socketpair() for _ in range(COUNT)]
        for sock in [sock for pair in pairs for sock in pair]:
            stack.enter_context(sock)
            sock.setblocking(False)
        for what, number, *words in script:
            sock, peer = pairs[number]
            if what in ("register", "modify", "unregister"):
                call = [
                    attempt(getattr(selector, what), sock, *words, *["data"] * len(words))
                    for selector in (ours, theirs)
                ]
                assert call[0] == call[1]
            else:
                disturb(what, sock, peer)
            reports = [sorted(selector.select(0), key=lambda event: event[0].fd) for selector in (ours, theirs)]
            assert reports[0] == reports[1]
            assert dict(ours.get_map()) == {key.fd: key for key in theirs.get_map().values()}


def test_its_flags_are_those_of_epoll() -> None:
    assert (IN, OUT) == (select.EPOLLIN, select.EPOLLOUT)


def test_a_time_out_is_never_too_short() -> None:
    with make_selector() as selector:
        for seconds in (0.0, 0.0001, 0.0029):
            started = time.monotonic()
            assert selector.select(seconds) == []
            assert time.monotonic() - started >= seconds


def test_a_descriptor_that_was_closed_too_early_is_not_reported() -> None:
    """Its copy keeps it in epoll, which cannot be told to forget a closed descriptor."""
    ours, peer = socket.socketpair()
    copy = ours.dup()
    with EpollSelector() as selector, peer, copy:
        selector.register(ours, EVENT_READ)
        os.close(ours.fileno())
        with pytest.raises(OSError):
            selector.unregister(ours)
        peer.send(b"x")
        assert selector.select(0) == []
        ours.detach()


def test_another_system_has_the_selector_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")
    with make_selector() as selector:
        assert isinstance(selector, selectors.DefaultSelector)
