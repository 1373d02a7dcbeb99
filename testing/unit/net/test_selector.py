"""net/selector.py: epoll, and the library's selectors, which do the same."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from operator import attrgetter
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.selector import ERR, EVENT_END, HUP, IN, OUT, RDHUP, EpollSelector, LibrarySelector, Selector, make_selector

COUNT = 4
sockets = st.integers(0, COUNT - 1)
interests = st.sampled_from([EVENT_READ, EVENT_WRITE, EVENT_READ | EVENT_WRITE])
steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["watch", "change"]), sockets, interests),
        st.tuples(st.sampled_from(["unwatch", "suspend", "resume"]), sockets),
        st.tuples(st.sampled_from(["write", "read", "shutdown", "close", "reset"]), sockets),
    ),
    max_size=25,
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
def test_both_selectors_report_the_same(script: list[tuple[Any, ...]]) -> None:
    """Each is told the same, of the same sockets. Only the events that are watched for are compared."""
    with contextlib.ExitStack() as stack:
        both: list[Selector] = [EpollSelector(), LibrarySelector()]
        pairs = [socket.socketpair() for _ in range(COUNT)]
        for selector in both:
            stack.callback(selector.close)
        for sock in [sock for pair in pairs for sock in pair]:
            stack.enter_context(sock)
            sock.setblocking(False)
        watched: dict[int, int] = {}
        for what, number, *words in script:
            sock, peer = pairs[number]
            descriptor = sock.fileno()
            if what in ("watch", "change", "unwatch") or (what in ("suspend", "resume") and descriptor in watched):
                tell = attrgetter(what)
                outcomes = [attempt(tell(selector), descriptor, *words, *[print] * len(words)) for selector in both]
                assert outcomes[0] == outcomes[1]
                assert outcomes[0] == (KeyError if (descriptor in watched) == (what == "watch") else None)
                if outcomes[0] is None and words:
                    watched[descriptor] = words[0]
                elif outcomes[0] is None and what == "unwatch":
                    del watched[descriptor]
            else:
                disturb(what, sock, peer)
            assert sorted(both[0].suspended) == sorted(both[1].suspended)
            assert reported(both[0], watched) == reported(both[1], watched)


def reported(selector: Selector, watched: dict[int, int]) -> dict[int, int]:
    """Return the descriptors that are ready, and the events of each that are watched for."""
    report = selector.select(0)
    assert all(ready is print for _descriptor, ready, _events in report)
    return {descriptor: events & watched[descriptor] for descriptor, _ready, events in report}


def test_its_flags_are_those_of_epoll() -> None:
    assert (IN, OUT, ERR) == (select.EPOLLIN, select.EPOLLOUT, select.EPOLLERR)
    assert (HUP, RDHUP) == (select.EPOLLHUP, select.EPOLLRDHUP)


@pytest.mark.parametrize("what", ["shutdown", "close", "reset"])
def test_epoll_tells_that_the_other_side_has_ended(what: str) -> None:
    with contextlib.closing(EpollSelector()) as selector, socket.create_server(("127.0.0.1", 0)) as server:
        peer = socket.create_connection(server.getsockname())
        ours, _address = server.accept()
        with ours, peer:
            selector.watch(ours.fileno(), EVENT_READ, print)
            peer.send(b"x")
            assert [events & EVENT_END for _descriptor, _ready, events in selector.select(10)] == [0]
            disturb(what, ours, peer)
            assert [events & EVENT_END for _descriptor, _ready, events in selector.select(10)] == [EVENT_END]


def test_a_time_out_is_never_too_short() -> None:
    with contextlib.closing(make_selector()) as selector:
        for seconds in (0.0, 0.0001, 0.0029):
            started = time.monotonic()
            assert selector.select(seconds) == []
            assert time.monotonic() - started >= seconds


def test_a_descriptor_that_was_closed_too_early_is_not_reported() -> None:
    """Its copy keeps it in epoll, which cannot be told to forget a closed descriptor."""
    ours, peer = socket.socketpair()
    copy = ours.dup()
    with contextlib.closing(EpollSelector()) as selector, peer, copy:
        selector.watch(ours.fileno(), EVENT_READ, print)
        os.close(ours.fileno())
        with pytest.raises(OSError):
            selector.unwatch(ours.fileno())
        peer.send(b"x")
        assert selector.select(0) == []
        ours.detach()


def test_another_system_has_the_selector_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "epoll")
    with contextlib.closing(make_selector()) as selector:
        assert isinstance(selector, LibrarySelector)
