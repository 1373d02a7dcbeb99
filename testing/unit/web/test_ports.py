"""A `web` port of a real server: browsers, netcat and the page meet, and the server stops under them."""

from __future__ import annotations

import http.client
import signal
import socket
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from harness.servers import ServerProcess

WEB = ("listen 127.0.0.1:0 result", "listen 127.0.0.1:0 web")
SECONDS = 20


def webs(server: ServerProcess) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.ports[1]}/", open_timeout=SECONDS, proxy=None)


def ask(client: ClientConnection, line: str) -> str:
    client.send(line)
    return str(client.recv(timeout=SECONDS))


def test_lines_over_websocket_meet_lines_over_tcp(tmp_path: Path) -> None:
    """(W1, W9)"""
    with ServerProcess(tmp_path, *WEB, port=None) as server, webs(server) as ann, webs(server) as eve:
        for client, name in ((ann, "ann"), (eve, "eve")):
            assert ask(client, f"REGISTER {name} pw") == "RESULT REGISTER 1"
            assert ask(client, f"LOGIN {name} pw") == "RESULT LOGIN 1"
        assert ask(ann, "CREATE garden") == "RESULT CREATE garden 1"
        assert ask(ann, "JOIN garden") == "RESULT JOIN garden 1"
        assert ask(eve, "JOIN garden") == "RESULT JOIN garden 1"
        bob = server.user("bob")
        assert bob.ask("JOIN garden") == ["RESULT JOIN garden 1"]
        ann.send("SAY garden gr\u00fc\u00df dich")
        for client in (ann, eve):
            assert client.recv(timeout=SECONDS) == "RECV ann garden gr\u00fc\u00df dich"
        bob.expect("RECV ann garden gr\u00fc\u00df dich\n")
        bob.close()
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as ended:
            ann.recv(timeout=SECONDS)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1001


def test_the_page_is_served_and_counted(tmp_path: Path) -> None:
    """(W2, W10, W11)"""
    with ServerProcess(tmp_path, *WEB, "web-title The <Garden>", port=None) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.ports[1], timeout=SECONDS)
        client.request("GET", "/")
        answer = client.getresponse()
        assert answer.status == 200
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        body = answer.read().decode()
        assert "<title>The &lt;Garden&gt;</title>" in body
        with socket.create_connection(("127.0.0.1", server.ports[1]), timeout=SECONDS) as netcat:
            netcat.sendall(b"LOGIN ann hunter2\r\n")
            assert netcat.makefile("rb").readline() == b"HTTP/1.1 400 Bad Request\r\n"
        with webs(server) as ann:
            assert ask(ann, "REGISTER ann hunter2") == "RESULT REGISTER 1"
        server.signal(signal.SIGUSR1)
        server.wait_for("web pages=1 handshakes=1 refused-host=0 refused-origin=0")
        assert not any("hunter2" in line for line in server.log)
