"""Where a session is in its life, and why it runs no line for now."""

from __future__ import annotations

import enum


class SessionState(enum.Enum):
    """Where a session is in its life; it only goes forward."""

    OPEN = enum.auto()
    """Lines are run as they come."""
    INPUT_ENDED = enum.auto()
    """The client has half-closed: its lines are run and answered, then the session ends (C12)."""
    DRAINING = enum.auto()
    """The server stops: outstanding answers are sent, no further line is run (C21)."""
    OVER = enum.auto()
    """Nothing is run or sent any more."""


class Block(enum.Enum):
    """Why a session runs no line for now."""

    OVER = "the session is over"
    PAUSED = "it produces more than another server can read"
    CONGESTED = "the client does not read"
    UNANSWERED = "an earlier request is outstanding"
    TOO_FAST = "the client has sent as many lines as it may for now"
