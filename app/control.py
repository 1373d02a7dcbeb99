"""The control socket of a server: where it is, and its listener (P13)."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable

from app.consistency import NO_SOCKET
from app.node import StartError
from net.local import LocalSocket
from settings import Settings
from store import MEMORY

log = logging.getLogger("crosstalk.control")


class ControlSocket:
    """The socket for the operator's commands, if the settings and the system allow it.

    Args:
        settings: has the path; None stands for one beside the database.
        database: the path of the database.
        listen: has connections at a listening socket accepted, and owns it from there on.

    Raises:
        StartError: the socket cannot be made at the path of the settings. Without such a path a failure is only logged.
    """

    def __init__(self, settings: Settings, database: str, listen: Callable[[socket.socket], None]) -> None:
        self._socket = _open(settings.control, database)
        if self._socket is not None:
            listen(self._socket.sock)

    def remove(self) -> None:
        """Remove the socket's path. Idempotent."""
        if self._socket is not None:
            self._socket.remove()


def default_path(database: str) -> str:
    """Return the path of the control socket beside a database; NO_SOCKET for a database in memory."""
    return NO_SOCKET if database == MEMORY else f"{database.removesuffix('.db')}.control"


def _open(wanted: str | None, database: str) -> LocalSocket | None:
    path = wanted or default_path(database)
    if path == NO_SOCKET:
        if wanted is None:
            log.info("no control socket: the database is in memory; set control <path> to have one")
        return None
    try:
        opened = LocalSocket(path)
    except OSError as error:
        reason = error.strerror or str(error)
        if wanted is not None:
            raise StartError(f"cannot open the control socket {path}: {reason}; choose another path") from error
        log.warning("no control socket at %s: %s; set control <path> to have one elsewhere", path, reason)
        return None
    log.info("control socket path=%s", os.path.abspath(path))
    return opened
