"""Tokens on the wire, through a real server and its restart (W12)."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from harness.peer import Peer
from harness.servers import ServerProcess

PORTS = ("listen 127.0.0.1:0 auto",)


def log_in(peer: Peer, name: str, secret: str) -> str:
    """Log in with SASL; return the numeric that answers."""
    blob = base64.b64encode(f"\0{name}\0{secret}".encode()).decode()
    peer.send("CAP REQ sasl", f"NICK {name}", f"USER {name} 0 * :{name}", "AUTHENTICATE PLAIN", f"AUTHENTICATE {blob}")
    while (numeric := peer.line().split(" ")[1]) not in ("903", "904"):
        pass
    peer.send("CAP END")
    return numeric


def answer(peer: Peer, line: str, verb: str) -> list[str]:
    """Send a line; return the words of the answer that has this verb."""
    peer.send(line)
    while verb not in (words := peer.line().split())[:2]:
        assert words
    return words


def test_a_token_logs_in_until_it_is_dropped(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *PORTS, port=None) as server:
        server.user("ann").close()
        with server.peer() as first:
            assert log_in(first, "ann", "ann") == "903"
            token = answer(first, "TOKEN NEW LASTING", "TOKEN")[3]
            assert token.startswith("ct1_")
    with ServerProcess(tmp_path, *PORTS, f"database {server.database}", port=None) as server:
        with server.peer() as second:
            assert log_in(second, "ann", token) == "903"
            replacement = answer(second, "TOKEN NEW", "TOKEN")[3]
        with server.peer() as third:
            assert log_in(third, "ann", token) == "904"
        with server.peer() as fourth:
            assert log_in(fourth, "ann", replacement) == "903"
            assert answer(fourth, "TOKEN DROP", "TOKEN")[2] == "DROP"
            assert answer(fourth, "TOKEN DROP", "FAIL")[3] == "NO_SUCH_TOKEN"
            assert answer(fourth, "TOKEN WHAT", "FAIL")[3] == "INVALID_PARAMS"
        with server.peer() as fifth:
            assert log_in(fifth, "ann", replacement) == "904"
        assert not any("ct1_" in line for line in server.log)


@pytest.mark.parametrize("way", ["LOGIN ann {0}", "PASS ann:{0}\r\nNICK ann\r\nUSER a 0 * :a", "PASSWORD {0} new"])
def test_only_sasl_takes_a_token(tmp_path: Path, way: str) -> None:
    with ServerProcess(tmp_path, *PORTS, port=None) as server:
        server.user("ann").close()
        with server.peer() as peer:
            log_in(peer, "ann", "ann")
            token = answer(peer, "TOKEN NEW", "TOKEN")[3]
            with server.peer() as other:
                if way.startswith("PASSWORD"):
                    other.ask("REGISTER eve eve", "LOGIN eve eve")
                other.send(*way.format(token).split("\r\n"))
                while not re.search("LOGIN 0| 464 |PASSWORD 0", line := other.line()):
                    assert line
                    assert not re.search(" 001 |LOGIN 1", line)


def test_a_guest_has_no_token(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *PORTS, port=None) as server, server.peer() as guest:
        guest.send("NICK zoe", "USER zoe 0 * :zoe")
        assert answer(guest, "TOKEN NEW", "FAIL")[3] == "ACCOUNT_REQUIRED"


def test_no_password_begins_as_a_token_does(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, *PORTS, port=None) as server, server.peer() as peer:
        assert peer.ask("REGISTER ann ct1_secret") == ["RESULT REGISTER 0"]
