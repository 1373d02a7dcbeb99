"""The registry of the client's dialects, one module each. A dialect is imported when it is chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.dialects.base import ClientDialect


def result_client(user: str = "", password: str = "", wanted: Sequence[str] = ()) -> ClientDialect:
    """Return the dialect `result`, see `ResultClient`."""
    from ui.dialects.result import ResultClient

    return ResultClient(user, password, wanted)


def _hello() -> ClientDialect:
    from ui.dialects.hello import HelloClient

    return HelloClient()


def _rooms() -> ClientDialect:
    from ui.dialects.rooms import RoomsClient
    from ui.files import paths

    return RoomsClient(paths)


def _mailbox() -> ClientDialect:
    from ui.dialects.mailbox import MailboxClient

    return MailboxClient()


DIALECTS: Mapping[str, Callable[[], ClientDialect]] = {
    "result": result_client,
    "hello": _hello,
    "rooms": _rooms,
    "mailbox": _mailbox,
}


def recognise_greeting(line: str) -> ClientDialect | None:
    """Recognise a mailbox server by the line with which it begins, see `Recogniser`."""
    from ui.first_line import MAILBOX_GREETING

    return _mailbox() if line.startswith(MAILBOX_GREETING) else None


def never_recognise(_line: str) -> None:
    """Keep the dialect, see `Recogniser`."""
