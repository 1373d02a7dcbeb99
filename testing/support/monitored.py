"""What a server in this process tells at its port for metrics."""

from __future__ import annotations

import contextlib
import re
import socket
import time

from harness.peer import PATIENCE
from server import Server
from support.loop import put


def status_of(answer: bytes) -> int:
    """The status of an answer, which is well-formed."""
    head, end, body = answer.partition(b"\r\n\r\n")
    assert end
    line, *fields = head.decode().split("\r\n")
    values = dict(field.split(": ", 1) for field in fields)
    assert values["Connection"] == "close"
    assert int(values["Content-Length"]) == len(body) or not body
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Za-z ]+", line)
    assert match
    return int(match[1])


def fetch(server: Server, path: str) -> tuple[int, str]:
    """Ask for a page; return status and body."""
    assert server.metrics is not None
    answer, deadline = b"", time.monotonic() + PATIENCE
    with socket.create_connection(("127.0.0.1", server.metrics.port)) as peer:
        put(peer, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        peer.setblocking(False)
        while True:
            with contextlib.suppress(BlockingIOError):
                data = peer.recv(4096)
                answer += data
                if not data:
                    break
            turn(server)
            assert time.monotonic() < deadline
    while len(server.loop.connections) > server.loop.table.clients:  # the server has seen its end, too
        turn(server)
        assert time.monotonic() < deadline
    return status_of(answer), answer.partition(b"\r\n\r\n")[2].decode()


def turn(server: Server) -> None:
    """Turn without waiting for an event."""
    server.loop.call_soon(lambda: None)
    server.loop.turn()
