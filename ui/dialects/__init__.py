"""The wires as a person uses them, one file each; this is their registry, and recognises one by its greeting."""

from collections.abc import Callable, Mapping

from ui.dialects.base import Talk
from ui.dialects.hello import HelloTalk
from ui.dialects.mailbox import GREETING, MailboxTalk
from ui.dialects.result import ResultTalk
from ui.dialects.rooms import RoomTalk
from ui.files import paths

TALKS: Mapping[str, Callable[[], Talk]] = {
    "result": ResultTalk,
    "hello": HelloTalk,
    "rooms": lambda: RoomTalk(paths),
    "mailbox": MailboxTalk,
}


def recognised(line: str) -> Talk | None:
    """Give the talk for a server that says this before anything is said to it."""
    return MailboxTalk() if line.startswith(GREETING) else None
