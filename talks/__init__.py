"""The wires as a person uses them, one file each; this is their registry, and recognises one by its greeting."""

from collections.abc import Callable, Mapping

from files import paths
from talks.hello import HelloTalk
from talks.mailbox import GREETING, MailboxTalk
from talks.result import ResultTalk
from talks.rooms import RoomTalk
from talks.talk import Talk

TALKS: Mapping[str, Callable[[], Talk]] = {
    "result": ResultTalk,
    "hello": HelloTalk,
    "rooms": lambda: RoomTalk(paths),
    "mailbox": MailboxTalk,
}


def recognised(line: str) -> Talk | None:
    """Give the talk for a server that says this before anything is said to it."""
    return MailboxTalk() if line.startswith(GREETING) else None
