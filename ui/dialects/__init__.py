"""The wires as a person uses them, one file each. This is their registry; a wire is loaded when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.dialects.base import Talk


def _result() -> Talk:
    from ui.dialects.result import ResultTalk

    return ResultTalk()


def _hello() -> Talk:
    from ui.dialects.hello import HelloTalk

    return HelloTalk()


def _rooms() -> Talk:
    from ui.dialects.rooms import RoomTalk
    from ui.files import paths

    return RoomTalk(paths)


def _mailbox() -> Talk:
    from ui.dialects.mailbox import MailboxTalk

    return MailboxTalk()


TALKS: Mapping[str, Callable[[], Talk]] = {
    "result": _result,
    "hello": _hello,
    "rooms": _rooms,
    "mailbox": _mailbox,
}


def recognised(line: str) -> Talk | None:
    """Give the talk for a server that says this before anything is said to it."""
    from ui.dialects.mailbox import GREETING

    return _mailbox() if line.startswith(GREETING) else None


def nobody(_line: str) -> None:
    """No other talk takes over, whatever the server says first."""
