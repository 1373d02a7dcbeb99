"""The client with which unit tests speak to a server."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from harness.peer import Peer


@pytest.fixture
def pair() -> Iterator[tuple[Peer, socket.socket]]:
    """A peer, and the other end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        with Peer(port, seconds=0.05) as peer, listener.accept()[0] as other:
            yield peer, other


def test_a_text_is_waited_for_and_read_to_its_end(pair: tuple[Peer, socket.socket]) -> None:
    peer, other = pair
    other.sendall(b"one\ntwo three\n")
    peer.expect("two")
    assert peer.line() == " three"


def test_a_text_that_does_not_come_is_told_beside_what_came(pair: tuple[Peer, socket.socket]) -> None:
    peer, other = pair
    other.sendall(b"one\n")
    with pytest.raises(AssertionError, match="no 'two' in time, only b'one"):
        peer.expect("two")
    other.shutdown(socket.SHUT_WR)
    with pytest.raises(AssertionError, match=r"'two' is not in b'one.*, which is all"):
        peer.expect("two")
    assert peer.received == "one\n"


def test_what_came_is_seen_without_waiting_for_more(pair: tuple[Peer, socket.socket]) -> None:
    peer, other = pair
    assert peer.received == ""
    other.sendall(b"one\n")
    peer.expect("one")
    assert peer.received == "one\n"
