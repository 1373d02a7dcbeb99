"""TLS at the ports of a server process, on its links, and what refuses to start."""

from __future__ import annotations

import contextlib
import re
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from app.directives import is_exposed
from harness.cluster import wait_for
from harness.peer import PATIENCE, Peer
from harness.processes import ROOT
from harness.servers import ServerProcess, free_ports
from net.tls import certificate_of, server_context
from support.certificates import Authority, Certificate
from support.programs import run

LOCAL = ("address 127.0.0.1", "database :memory:")


WEBSOCKET = (
    b"GET / HTTP/1.1\r\nHost: %b:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: %b://localhost:%d\r\n\r\n"
)


def connect(port: int, authority: Authority, name: str = "localhost") -> Peer:
    """Return a client that has made its handshake."""
    sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
    context = ssl.create_default_context(cafile=authority.path)
    return Peer(context.wrap_socket(sock, server_hostname=name))


def tls_ports(server: ServerProcess) -> dict[str, int]:
    """Return the ports with TLS by what is spoken there."""
    found = (re.search(r"port=(\d+) dialect=(.+) tls", line) for line in server.log)
    return {match[2]: int(match[1]) for match in found if match}


def test_every_port_can_have_tls_and_all_meet(tmp_path: Path, authority: Authority, certificate: Certificate) -> None:
    """C53."""
    channels = [f"channel {name} {port} 5 tls" for name, port in zip(("a", "b", "c"), free_ports(3), strict=True)]
    listens = [f"listen 0 {dialect} tls" for dialect in ("auto", "hello", "mailbox", "irc", "web")]
    with ServerProcess(tmp_path, *LOCAL, *certificate.directives, *listens, *channels) as server:
        ports = tls_ports(server)
        assert len(ports) == 8
        with (
            server.user("alice") as alice,
            connect(ports["auto"], authority) as bob,
            connect(ports["hello"], authority) as carol,
            connect(ports["mailbox"], authority) as dave,
            connect(ports["rooms channel=a"], authority) as erin,
            connect(ports["web"], authority) as browser,
        ):
            assert bob.ask("REGISTER bob b", "LOGIN bob b") == ["RESULT REGISTER 1", "RESULT LOGIN 1"]
            assert carol.ask("HELLO-FROM carol") == ["HELLO carol"]
            assert dave.line().startswith("To get started")
            erin.send("erin")
            erin.expect("erin has joined")
            assert alice.ask("SAY @bob hi", "SAY @carol ho") == ["RECV alice @bob hi", "RECV alice @carol ho"]
            assert bob.line() == "RECV alice @alice hi"
            assert carol.line() == "DELIVERY alice ho"
            browser.send_bytes(WEBSOCKET % (b"localhost", ports["web"], b"https", ports["web"]))
            assert browser.line().startswith("HTTP/1.1 101")
            browser.expect("\r\n\r\n")
        with connect(ports["web"], authority) as browser:
            browser.send_bytes(WEBSOCKET % (b"localhost", ports["web"], b"http", ports["web"]))
            assert browser.line().startswith("HTTP/1.1 403"), "a page that came without TLS"
        assert server.wait_for("certificate names=localhost,127.0.0.1,")


def test_half_a_close_and_the_end_of_the_server(tmp_path: Path, authority: Authority, certificate: Certificate) -> None:
    """C56: everything that was sent is answered, and the end can be told from a cut."""
    with ServerProcess(tmp_path, *LOCAL, *certificate.directives, "listen 0 auto tls") as server:
        port = tls_ports(server)["auto"]
        with connect(port, authority) as alice:
            alice.send(*["PING"] * 1000, "QUIT")
            assert alice.rest() == b"RESULT PING 1\n" * 1000
        with connect(port, authority) as bob, Peer(port) as plain, Peer(port):
            bob.ask("PING")
            assert plain.socket.fileno() > 0
            server.signal(signal.SIGTERM)
            assert bob.rest() == b""
        assert server.wait() == 0


# ---- what does not fit ----


def test_plain_clients_at_ports_with_tls_and_the_reverse(
    tmp_path: Path, authority: Authority, certificate: Certificate
) -> None:
    """C54, C55."""
    listens = ["listen 0 auto tls", "listen 0 web tls", "listen 0 irc tls", "listen 0 mailbox", "listen 0 web"]
    with ServerProcess(tmp_path, *LOCAL, *certificate.directives, *listens) as server:
        ports = tls_ports(server)
        with Peer(ports["auto"]) as plain, Peer(ports["web"]) as browser, Peer(ports["irc"]) as irc:
            assert plain.ask("PING") == ["This port speaks TLS only: connect with TLS."]
            assert plain.rest() == b""
            assert irc.ask("NICK ann") == ["ERROR :This port speaks TLS only: connect with TLS.\r"]
            browser.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head, _blank, body = browser.rest().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ")
            assert body == b"This port speaks TLS only: connect with TLS.\n"
        server.wait_for("closing 127.0.0.1 port .*: it speaks plain text at a port for TLS")
        for port in (server.port, server.ports[4]):
            with pytest.raises(OSError):
                connect(port, authority)
        with pytest.raises(OSError):
            connect(server.ports[5], authority)
        foreign = "it speaks TLS at a port that does not"
        wait_for(lambda: len([line for line in server.log if foreign in line]) == 3, "a line for each of them")
        with server.peer() as peer:
            assert peer.ask("PING") == ["RESULT PING 1"]


def test_a_handshake_that_is_plain_text_by_its_first_byte_alone(
    tmp_path: Path, authority: Authority, certificate: Certificate
) -> None:
    """C55, in any split; and other first lines with such bytes are lines."""
    with ServerProcess(tmp_path, *LOCAL) as server:
        for pieces in ([b"\x16", b"\x03"], [b"\x16\x03\x01\n"], [b"\x16\x03" + b"x" * 9000]):
            with server.peer() as peer:
                for piece in pieces:
                    peer.send_bytes(piece)
                assert peer.rest() == b""
        with server.peer() as peer:
            assert peer.ask("\x16", "\x16\x03") == ["RESULT ERROR unknown type"] * 2


class OpenSslClient:
    """The client of the program openssl. A line `R` has it ask for a renegotiation, and `K` for new keys."""

    def __init__(self, port: int, version: str, authority: Authority) -> None:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-CAfile", authority.path]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        self._text = b""

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def expect(self, wanted: bytes) -> None:
        """Read up to the end of this text. Raises AssertionError when it does not."""
        assert self._process.stdout is not None
        until = time.monotonic() + PATIENCE
        while wanted not in self._text:
            select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))
            assert time.monotonic() < until, self._text
            data = self._process.stdout.read(65536)
            assert data, self._text
            self._text += data
        self._text = self._text.partition(wanted)[2]

    def __enter__(self) -> OpenSslClient:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()


def test_renegotiation_is_refused_and_new_keys_are_not(
    tmp_path: Path, authority: Authority, certificate: Certificate
) -> None:
    """C53."""
    with ServerProcess(tmp_path, *LOCAL, *certificate.directives, "listen 0 auto tls") as server:
        port = tls_ports(server)["auto"]
        with OpenSslClient(port, "-tls1_2", authority) as old, OpenSslClient(port, "-tls1_3", authority) as new:
            for client in (old, new):
                client.send("PING")
                client.expect(b"RESULT PING 1")
            old.send("R")
            old.expect(b"no renegotiation")
            new.send("K")
            new.expect(b"KEYUPDATE")
            new.send("PING")
            new.expect(b"RESULT PING 1")
        with connect(port, authority) as peer:
            assert peer.ask("PING") == ["RESULT PING 1"]


# ---- the start ----


def test_a_certificate_that_cannot_be_used_refuses_the_start(
    tmp_path: Path, authority: Authority, certificate: Certificate
) -> None:
    """Status 1 and one line, which names the line of the config; the same with --check-config."""
    other, locked = authority.issue(), authority.issue(pass_phrase="x")
    path, key = certificate.directives
    rows = {
        ("listen 5050 auto tls",): "my.conf:1: tls at the end of a line needs a certificate: add tls-certificate",
        ("listen 5050 auto", path): "my.conf:2: tls-certificate is of no use without tls-key <path>",
        ("listen 5050 auto", key): "my.conf:2: tls-key is of no use without tls-certificate <path>",
        (
            "listen 5050 auto tls",
            "tls-certificate x.pem",
            key,
        ): "my.conf:2: cannot read the certificate x.pem",
        ("listen 5050 auto tls", path, "tls-key x.pem"): "my.conf:2: cannot read the key x.pem: No such file",
        ("listen 5050 auto tls", path, f"tls-key {other.key}"): f"my.conf:2: the key {other.key} does not belong to ",
        ("listen 5050 auto tls", *locked.directives): "my.conf:2: the key has a pass phrase, for which nobody can be",
        ("listen 5050 auto", "tls-ca x.pem"): "my.conf:2: cannot read the certificates x.pem: No such file",
    }
    for lines, reason in rows.items():
        (tmp_path / "my.conf").write_text("\n".join(lines))
        for words in (["my.conf"], ["--check-config", "my.conf"]):
            done = run(*words, directory=tmp_path)
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.startswith(f"server.py: {reason}"), done.stderr
            assert done.stderr.count("\n") == 1
    assert list(tmp_path.glob("*.db")) == []


def test_what_is_wrong_with_a_certificate_is_logged(tmp_path: Path, authority: Authority) -> None:
    expired, soon = authority.issue(days=-1), authority.issue(days=3)
    Path(soon.key).chmod(0o644)
    for certificate, patterns in (
        (expired, [f"WARNING the certificate {expired.path} has expired on "]),
        (
            soon,
            [f"WARNING the certificate {soon.path} expires on ", f"WARNING other users can read the key {soon.key};"],
        ),
    ):
        with ServerProcess(tmp_path, *LOCAL, *certificate.directives, "listen 0 auto tls") as server:
            for pattern in patterns:
                server.wait_for(re.escape(pattern))


def test_a_private_certificate_serves_its_names(tmp_path: Path, authority: Authority) -> None:
    """The program behind `make certificate`, which replaces no file."""
    program = str(ROOT / "tools" / "certificate")
    done = subprocess.run([program, "chat.example", "127.0.0.1", "::1"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["certificate.pem", "key.pem"]
    assert not is_exposed((tmp_path / "key.pem").stat())
    path, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    found = certificate_of(server_context(path, key), path)
    assert found is not None and found.names == ["chat.example", "127.0.0.1", "0:0:0:0:0:0:0:1"]
    before = Path(key).read_text()
    again = subprocess.run([program], cwd=tmp_path, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (
        1, "certificate: certificate.pem is there already; move it away first\n",
    )  # fmt: skip
    assert Path(key).read_text() == before


def test_certificates_are_loaded_again_and_no_connection_is_dropped(tmp_path: Path, authority: Authority) -> None:
    """C58, with clients that talk all the time; and broken files change nothing."""
    old, new = authority.issue("DNS:old.example"), authority.issue("DNS:new.example")
    path, key = tmp_path / "certificate.pem", tmp_path / "key.pem"

    def use(certificate: Certificate) -> None:
        path.write_bytes(Path(certificate.path).read_bytes())
        key.write_bytes(Path(certificate.key).read_bytes())
        key.chmod(0o600)

    use(old)
    lines = [f"tls-certificate {path}", f"tls-key {key}", "listen 0 auto tls", "hangup reload"]
    with ServerProcess(tmp_path, *LOCAL, *lines) as server, contextlib.ExitStack() as stack:
        port = tls_ports(server)["auto"]
        there = [stack.enter_context(connect(port, authority, "old.example")) for _ in range(10)]
        stop, asked = threading.Event(), [0] * len(there)

        def talk(number: int) -> None:
            while not stop.is_set():
                assert there[number].ask(*["PING"] * 20) == ["RESULT PING 1"] * 20
                asked[number] += 1

        with ThreadPoolExecutor(len(there)) as threads, contextlib.ExitStack() as before_the_end:
            before_the_end.callback(stop.set)
            talking = [threads.submit(talk, number) for number in range(len(there))]
            for files, line in (
                (lambda: use(new), "certificate names=new.example expires="),
                (lambda: key.write_text("no key"), "all stays as it was: .*.* is not in PEM form"),
                (lambda: path.unlink(), "all stays as it was: .*cannot read the certificate"),
                (
                    lambda: use(old._replace(key=new.key)),
                    "all stays as it was: .*.* does not belong",
                ),
            ):
                files()
                server.signal(signal.SIGHUP)
                server.wait_for(line)
                stack.enter_context(connect(port, authority, "new.example")).ask("PING")
                with pytest.raises(ssl.SSLCertVerificationError):
                    connect(port, authority, "old.example")
            before = list(asked)
            until = time.monotonic() + PATIENCE
            while any(now <= then for now, then in zip(asked, before, strict=True)):
                assert time.monotonic() < until and not any(future.done() for future in talking)
            stop.set()
            for future in talking:
                future.result(PATIENCE)


# ---- links ----


@pytest.mark.parametrize("line", ["127.0.0.1:{} tls", "localhost:{} tls", "127.0.0.1:{} two.example tls"])
def test_linked_servers_prove_their_names(tmp_path: Path, authority: Authority, line: str) -> None:
    """L53."""
    with linked(tmp_path, line, authority, authority.issue("DNS:two.example", "DNS:localhost", "IP:127.0.0.1")) as pair:
        one, two = pair
        with one.user("alice") as alice, two.user("bob") as bob:
            assert bob.ask("CREATE garden", "JOIN garden") == ["RESULT CREATE garden 1", "RESULT JOIN garden 1"]
            one.wait_for("the link with two.example .* is up")
            assert alice.ask("JOIN garden:two.example") == ["RESULT JOIN garden:two.example 1"]


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [
        (["DNS:three.example"], 30, "Hostname mismatch, certificate is not valid for 'two.example'"),
        (["DNS:two.example"], -1, "certificate has expired"),
    ],
)
def test_a_server_that_does_not_prove_its_name_is_not_linked(
    tmp_path: Path, authority: Authority, names: list[str], days: int, reason: str
) -> None:
    """L53."""
    with linked(tmp_path, "127.0.0.1:{} two.example tls", authority, authority.issue(*names, days=days)) as pair:
        pair[0].wait_for(f"no link with 127.0.0.1 port .*: the certificate is not accepted: {reason}")


def test_a_line_that_comes_with_a_reload_is_never_dialled_in_plain_text(tmp_path: Path) -> None:
    """L53, where the server has started without TLS."""
    with socket.create_server(("127.0.0.1", 0)) as there, ServerProcess(tmp_path, *LOCAL, "hangup reload") as server:
        config = tmp_path / "config"
        config.write_text(config.read_text() + f"127.0.0.1:{there.getsockname()[1]} two.example tls\n")
        server.signal(signal.SIGHUP)
        server.wait_for("no link with 127.0.0.1 .*: the server has started without TLS; restart it")


class linked:  # noqa: N801
    """Two servers, of which the first dials the second with this line."""

    def __init__(self, path: Path, line: str, authority: Authority, certificate: Certificate) -> None:
        for name in ("one", "two"):
            (path / name).mkdir()
        self.two = ServerProcess(
            path / "two", *LOCAL, *certificate.directives, "hostname two.example", "listen 0 auto tls"
        )
        place = line.format(tls_ports(self.two)["auto"])
        try:
            self.one = ServerProcess(path / "one", *LOCAL, "hostname one.example", f"tls-ca {authority.path}", place)
        except BaseException:
            self.two.close()
            raise

    def __enter__(self) -> tuple[ServerProcess, ServerProcess]:
        return self.one, self.two

    def __exit__(self, *_error: Any) -> None:
        self.one.close()
        self.two.close()
