"""The input of a session: its lines, and back-pressure on the client."""

from __future__ import annotations

from text import LineBuffer
from transport import Transport

READ_AHEAD = 64 * 1024
"""Bytes of lines that wait in a session before it may stop reading from its socket (C14)."""


class SessionInput(LineBuffer):
    """The lines of a session that have been received and not been run. An idle session has none, to save memory.

    Args:
        transport: where they come from.
        limit: maximum bytes of a line, its newline included.
        begun: whether there were lines before, so that the next one is not the first.

    Attributes:
        counted: bytes that waited when the transport was last told.
    """

    __slots__ = ("_paused", "_transport", "counted")

    def __init__(self, transport: Transport, limit: int, *, begun: bool = False) -> None:
        super().__init__(limit, begun=begun)
        self._transport = transport
        self._paused = False
        self.counted = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits, and a new buffer would go on in the same way."""
        return not (self.data or self.counted or self.within_line)

    def apply_back_pressure(self, *, held_back: bool) -> None:
        """Tell the transport how many bytes wait, and stop reading while they are too many (C14).

        Args:
            held_back: whether the lines must wait. Otherwise only the beginning of a line is there.
        """
        waiting = len(self)
        if waiting != self.counted:
            self.counted = waiting
            self._transport.count_input(waiting)
        if self._paused != (held_back and waiting > READ_AHEAD):
            self._paused = not self._paused
            (self._transport.pause_reading if self._paused else self._transport.resume_reading)()
