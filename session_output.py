"""What a session sends to its client: lines, streams, lists, and the answers that are still to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from transport import Transport

LIST_PIECE = 500
"""Names of a list that are rendered at once; a longer list is streamed."""


class LateAnswers:
    """The answers that a session still expects, and that hold up no later request.

    Attributes:
        count: how many.
        seconds: how long a client that has half-closed stays for them; 0 while that time runs.
    """

    __slots__ = ("count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0


class SessionOutput:
    """What a session sends to its client.

    Args:
        transport: the connection to the client.
        dialect: whose words it sends.
    """

    __slots__ = ("dialect", "transport")

    def __init__(self, transport: Transport, dialect: Any) -> None:
        self.transport = transport
        self.dialect = dialect

    @property
    def kind(self) -> str:
        """The dialect, for statistics."""
        name: str = self.dialect.name
        return name

    @property
    def address(self) -> str:
        """The client's IP address; "" when the connection is gone already."""
        return self.transport.remote_address[0]

    def send(self, text: str) -> None:
        """Send a line, given without its newline."""
        self.transport.send(f"{text}\n".encode())

    def send_bytes(self, data: bytes) -> None:
        """Send whole lines, newlines included."""
        self.transport.send(data)

    def stream(self, chunks: Iterator[bytes]) -> None:
        """Send chunks that are made as the client reads them. No line is run before the last one."""
        self.transport.stream(chunks)

    def deliver_with_receipt(self, event: Any, done: Callable[[bool], None]) -> None:
        """Tell the client what has happened; `done` gets whether the operating system took all of it (H13)."""
        self.dialect.counts.deliveries += 1
        self.transport.send_with_receipt(self.dialect.render_for(self, event), done)

    def send_list(self, head: str, names: Sequence[str], separator: str) -> None:
        """Send a list; a long one is streamed, so that it is never rendered in memory as a whole."""
        if len(names) <= LIST_PIECE:
            self.send(f"{head} {separator.join(names)}".rstrip())
        else:
            self.transport.stream(_render_list(head, names, separator))

    def probe(self) -> None:
        """Have the connection closed soon if the client's machine does not answer (R50)."""
        self.transport.probe()

    def report_limit(self, reason: str, detail: str = "", *values: object) -> None:
        """Count and log that the client has reached a limit, see `domain.sessions.ClientSession`."""
        self.transport.report_limit(reason, detail, *values)


def _render_list(head: str, names: Sequence[str], separator: str) -> Iterator[bytes]:
    before = " "
    yield head.encode()
    for start in range(0, len(names), LIST_PIECE):
        yield (before + separator.join(names[start : start + LIST_PIECE])).encode()
        before = separator
    yield b"\n"
