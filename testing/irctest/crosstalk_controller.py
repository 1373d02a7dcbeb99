"""How irctest starts this server: `make irctest IRCTEST=<checkout>`."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from irctest.basecontrollers import BaseServerController, DirectoryBasedController
from irctest.cases import BaseServerTestCase
from irctest.runner import NotImplementedByController

ROOT = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("CROSSTALK_PYTHON", sys.executable)

RETRIES = 20
"""A server that cannot start is started so often again, every tenth of a second."""

CONFIG = """\
listen {host}:{port} irc
hostname My.Little.Server
database :memory:
control {control}
bcrypt-cost 4
irc-guests on
irc-create all
"""


class CrosstalkController(BaseServerController, DirectoryBasedController):
    """Runs one server for each test."""

    software_name = "Crosstalk"
    supported_sasl_mechanisms = frozenset({"PLAIN"})
    supports_sts = False
    nickserv = ""
    isupport = {"CASEMAPPING": "ascii", "CHANTYPES": "#", "UTF8ONLY": None, "NETWORK": "My.Little.Server"}  # noqa: RUF012

    def run(
        self,
        hostname: str,
        port: int,
        *,
        password: str | None,
        ssl: bool,
        run_services: bool,
        faketime: str | None,
        websocket_hostname: str | None,
        websocket_port: int | None,
    ) -> None:
        if password is not None:
            raise NotImplementedByController("a password for the whole server")
        if ssl:
            raise NotImplementedByController("TLS")
        self.create_config()
        self.hostname, self.port = hostname, port
        with self.open_file("server.conf") as file:
            file.write(CONFIG.format(host=hostname, port=port, control=self.directory / "control"))
            if websocket_port is not None:
                file.write(f"listen {websocket_hostname}:{websocket_port} web\n")
        self._command: list[str | Path] = [PYTHON, ROOT / "server.py", self.directory / "server.conf"]
        if faketime and shutil.which("faketime"):
            self._command[:0] = ["faketime", "-f", faketime]
            self.faketime_enabled = True
        self._retries = RETRIES
        self.proc = self.execute(self._command)

    def check_is_alive(self) -> None:
        """Start the server again if it could not: another program may have had its port for a moment."""
        if not self.port_open and self._retries and self.proc is not None and self.proc.poll() is not None:
            self._retries -= 1
            self.proc = self.execute(self._command)
        else:
            super().check_is_alive()

    def wait_for_services(self) -> None:
        """There are none: accounts are part of the server."""

    def registerUser(self, case: BaseServerTestCase[Any], username: str, password: str | None = None) -> None:  # noqa: N802
        """Make an account, as the operator."""
        self.wait_for_port()
        with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rw") as file:
            sock.connect(str(self.directory / "control"))
            file.write(f"register {username} {password}\n")
            file.flush()
            answer = file.readline()
            assert answer.startswith("OK"), answer


def get_irctest_controller_class() -> type[CrosstalkController]:
    """Return the class that irctest makes its controller from."""
    return CrosstalkController
