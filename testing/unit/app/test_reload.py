"""Loading the config again: what changes at once, what takes a restart, and what an error leaves as it was."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app.reload import CERTIFICATES, READ_EACH_TIME, ROWS
from harness.peer import Peer
from harness.processes import CONFIG_HEAD
from harness.servers import ServerProcess
from settings import Live, Secret, Settings


def test_no_setting_is_in_two_tables() -> None:
    """P37."""
    fields = [*READ_EACH_TIME, *CERTIFICATES, *(field for row in ROWS for field in row.fields)]
    assert len(fields) == len(set(fields))
    assert set(fields) <= set(Settings._fields)


def test_live_settings_are_those_of_now() -> None:
    live = Live(Settings(max_mail=5))
    held = live.as_settings
    assert (held.max_mail, held.uses_tls) == (5, False)
    live.values = live.values._replace(max_mail=6, tls_ca="x")
    assert (held.max_mail, held.uses_tls) == (6, True)


def test_a_secret_is_known_again() -> None:
    assert Secret(b"x" * 16) == Secret(b"x" * 16, is_exposed=True)
    assert len({Secret(b"x" * 16), Secret(b"x" * 16), Secret(b"y" * 16)}) == 2


class Running(NamedTuple):
    server: ServerProcess
    operator: Peer
    config: Path

    def set(self, *lines: str) -> list[str]:
        """Write the config and reload it; return the answer."""
        self.config.write_text("".join(f"{line}\n" for line in (*CONFIG_HEAD, *lines)), encoding="utf-8")
        return self.ask("reload")

    def ask(self, line: str) -> list[str]:
        self.operator.send(line)
        answer = [self.operator.line()]
        while answer[-1].startswith(" "):
            answer.append(self.operator.line())
        return answer


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with ServerProcess(tmp_path, "hangup reload", "hostname one", "federation open") as server:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(str(tmp_path / f"crosstalk-{server.port}.control"))
        with Peer(sock) as operator:
            yield Running(server, operator, tmp_path / "config")


ALWAYS = ("hangup reload", "hostname one", "federation open")


def test_what_can_change_does_and_the_rest_is_named(running: Running) -> None:
    """P37."""
    with running.server.user("ann") as ann:
        assert ann.ask("CREATE tea", "JOIN tea", "SAY tea hi")[-1] == "RECV ann tea hi"
        assert running.set(*ALWAYS) == ["OK"]
        answer = running.set(
            *ALWAYS, "max-channels 1", "history-on-join 1", "channels-reply joined", "registration closed",
            "max-name 3", "afk-seconds 5", "operator root", "max-clients 2", "web-host x", "log-level warning",
        )  # fmt: skip
        assert sorted(answer) == [
            *(f" changed {name}" for name in (
                "afk-seconds", "channels-reply", "history-on-join", "log-level", "max-channels", "max-clients",
                "max-name", "operator", "registration",
            )), " restart web-host", "OK",
        ]  # fmt: skip
        assert ann.ask("CREATE hot", "CREATE much", "CHANNELS", "REGISTER bob bob", "LEAVE tea", "JOIN tea") == [
            "RESULT CREATE hot 0", "RESULT CREATE much 0", "RESULT CHANNELS tea", "RESULT REGISTER 0",
            "RESULT LEAVE tea 1", "RESULT JOIN tea 1",
        ]  # fmt: skip
        assert ann.line() == "RECV ann tea hi", "what it is told on joining"
        with running.server.peer() as second, running.server.peer() as third:
            assert second.ask("PING") == ["RESULT PING 1"]
            assert third.line() == "", "there are too many"
        assert running.set(*ALWAYS)[-1] == "OK"
        assert ann.ask("REGISTER bob bob", "CREATE hot") == ["RESULT REGISTER 1", "RESULT CREATE hot 1"]
        assert running.set(*ALWAYS, "exempt links", "max-address-connections 1", "max-registrations 1") == [
            " changed max-registrations", " changed max-address-connections", " changed exempt", "OK",
        ]  # fmt: skip
        with running.server.peer() as second, running.server.peer() as third:
            assert second.ask("REGISTER cid x", "REGISTER dan x") == ["RESULT REGISTER 1", "RESULT REGISTER 0"]
            assert third.line() == "", "the address is exempt no more"
        assert running.set(*ALWAYS, "exempt 127.0.0.0/8", "max-address-connections 1")[-1] == "OK"
        with running.server.peer() as second, running.server.peer() as third:
            assert second.ask("PING") == third.ask("PING") == ["RESULT PING 1"]


def test_an_error_leaves_all_as_it_was(running: Running) -> None:
    """P37."""
    (answer,) = running.set(*ALWAYS, "max-channels 0", "registration closed", "nonsense 1")
    assert re.fullmatch(
        r"ERROR All stays as it was: .*config:\d+: max-channels needs .*config:\d+: .*nonsense.*", answer
    )
    running.server.wait_for(r"ERROR reload: all stays as it was: .*max-channels needs")
    with running.server.user("ann") as ann:
        assert ann.ask("CREATE tea") == ["RESULT CREATE tea 1"]
    running.config.unlink()
    assert "cannot read the config" in running.ask("reload")[0]
    os.mkfifo(running.config)
    assert "is no file, so it cannot be read again" in running.ask("reload")[0]


def test_a_hangup_reloads_and_ends_nothing(running: Running) -> None:
    """P37."""
    running.config.write_text("\n".join((*CONFIG_HEAD, *ALWAYS, "max-mail 7", "")), encoding="utf-8")
    running.server.signal(signal.SIGHUP)
    running.server.wait_for("INFO reload: changed=max-mail")
    running.config.write_text("nonsense", encoding="utf-8")
    running.server.signal(signal.SIGHUP)
    running.server.wait_for("ERROR reload: all stays as it was")
    assert running.ask("status")[-1] == "OK"


def test_servers_of_the_config_come_and_go(running: Running, tmp_path: Path) -> None:
    """P37: what is new is dialled, what is gone is closed, and what stays is left alone."""
    secret = tmp_path / "secret"
    secret.write_text("x" * 20)
    secret.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        for listener in (one, two):
            listener.settimeout(30)
        lines = [
            f"127.0.0.1:{one.getsockname()[1]} one.org secret={secret}", f"127.0.0.1:{two.getsockname()[1]} two.org",
        ]  # fmt: skip
        assert running.set(*ALWAYS, lines[0]) == [" changed peers", "OK"]
        with Peer(one.accept()[0]) as first:
            assert first.line() == "FEDERATE-OUT one"
            assert running.set(*ALWAYS, *lines) == [" changed peers", "OK"]
            with Peer(two.accept()[0]) as second:
                assert second.line() == "FEDERATE-OUT one"
                second.send("FEDERATE-CONFIRM two.org")
                second.expect("FEDCHANNELS")
                assert running.set(*ALWAYS, lines[0]) == [" changed peers", "OK"]
                assert second.rest() is not None, "it is closed"
            running.server.wait_for("the config lists it no longer")
            assert first.unread == b""
            assert running.set(*ALWAYS, lines[0]) == ["OK"], "the same secret is no change"


def test_a_server_that_has_dialled_and_is_listed_no_more(running: Running) -> None:
    """P37: if others may link it stays, as one of these; a pinned name is free then."""
    assert running.set(*ALWAYS, "127.0.0.1:1 two.org") == [" changed peers", "OK"]
    with running.server.peer() as peer:
        peer.send("FEDERATE-OUT two.org")
        assert peer.line() == "FEDERATE-CONFIRM one"
        assert running.set(*ALWAYS) == [" changed peers", "OK"]
        peer.expect("FEDCHANNELS")
        peer.send("FEDNEW den")
        with running.server.user("ann") as ann:
            while "den:two.org" not in ann.ask("CHANNELS")[0]:
                pass
