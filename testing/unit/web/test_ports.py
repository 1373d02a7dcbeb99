"""A `web` port of a real server: lines in frames meet lines over TCP, and the server stops under them."""

from __future__ import annotations

import contextlib
import http.client
import signal
import socket
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from harness.processes import CONFIG_HEAD
from harness.servers import ServerProcess

PORTS = ("listen 127.0.0.1:0 result", "listen 127.0.0.1:0 web")
SECONDS = 60


def webs(server: ServerProcess) -> ClientConnection:
    offered = [Subprotocol("text.ircv3.net")]
    return connect(
        f"ws://127.0.0.1:{server.ports[1]}/", subprotocols=offered, open_timeout=SECONDS, proxy=None, ping_interval=None
    )


def until(client: ClientConnection, wanted: str) -> str:
    """Wait for a line that contains a text; return it."""
    while wanted not in (line := str(client.recv(timeout=SECONDS))):
        pass
    return line


def log_in(client: ClientConnection, name: str) -> None:
    for line in ("CAP REQ echo-message", f"PASS {name}", f"NICK {name}", f"USER {name} 0 * :{name}", "CAP END"):
        client.send(line)
    until(client, " 001 ")


def get(server: ServerProcess) -> tuple[str, str]:
    """Return the page and its tag."""
    client = http.client.HTTPConnection("127.0.0.1", server.ports[1], timeout=SECONDS)
    with contextlib.closing(client):
        client.request("GET", "/")
        answer = client.getresponse()
        return answer.read().decode(), answer.headers["ETag"]


def test_the_page_and_guests_follow_a_reload(tmp_path: Path) -> None:
    """(I6, W10)"""
    with ServerProcess(tmp_path, *PORTS, "hangup reload", port=None) as server:
        page, tag = get(server)
        assert 'data-guests="on" data-registration="open"' in page
        for lines, guests, wanted in (
            (("registration invite",), "off", "changed=registration"),
            (("registration invite", "irc-guests on", "web-title Den"), "on", "changed=irc-guests,web-title"),
            (("registration closed", "irc-guests off"), "off", "changed=registration,irc-guests,web-title"),
        ):
            config = (*CONFIG_HEAD, *PORTS, "hangup reload", *lines)
            (tmp_path / "config").write_text("\n".join(config), encoding="utf-8")
            server.signal(signal.SIGHUP)
            server.wait_for(f"{wanted}$")
            (page, tag), before = get(server), tag
            assert f'data-guests="{guests}" data-registration="{lines[0].split()[1]}"' in page
            assert ("<title>Den</title>" in page) == ("web-title Den" in lines)
            assert tag != before
            with webs(server) as visitor:
                for line in ("NICK zoe", "USER zoe 0 * :zoe"):
                    visitor.send(line)
                until(visitor, " 001 " if guests == "on" else "ERROR")


def test_lines_over_websocket_meet_lines_over_tcp(tmp_path: Path) -> None:
    """(W1, W9)"""
    with ServerProcess(tmp_path, *PORTS, port=None) as server, webs(server) as ann, webs(server) as eve:
        for name in ("ann", "eve"):
            with server.user(name) as user:
                user.ask("CREATE garden", "JOIN garden", "LOGOUT")
        bob = server.user("bob")
        assert bob.ask("JOIN garden") == ["RESULT JOIN garden 1"]
        for client, name in ((ann, "ann"), (eve, "eve")):
            log_in(client, name)
        ann.send("PRIVMSG #garden :gr\u00fc\u00df dich")
        for client in (ann, eve):
            assert until(client, " PRIVMSG #").endswith("PRIVMSG #garden :gr\u00fc\u00df dich")
        bob.expect("RECV ann garden gr\u00fc\u00df dich\n")
        bob.close()
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as ended:
            until(ann, "never")
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1001


def test_the_page_is_served_and_counted(tmp_path: Path) -> None:
    """(W2, W10, W11)"""
    with ServerProcess(tmp_path, *PORTS, "web-title The <Garden>", port=None) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.ports[1], timeout=SECONDS)
        client.request("GET", "/")
        with contextlib.closing(client):
            answer = client.getresponse()
            assert answer.status == 200
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert "<title>The &lt;Garden&gt;</title>" in answer.read().decode()
        with socket.create_connection(("127.0.0.1", server.ports[1]), timeout=SECONDS) as netcat:
            netcat.sendall(b"PASS hunter2\r\n")
            assert netcat.recv(26) == b"HTTP/1.1 400 Bad Request\r\n"
        server.user("hunter2").close()
        with webs(server) as ann:
            log_in(ann, "hunter2")
            server.signal(signal.SIGUSR1)
            server.wait_for("web-pages=1 web-handshakes=1 web-refused-host=0 web-refused-origin=0")
        assert not any("PASS" in line for line in server.log)
