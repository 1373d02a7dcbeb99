"""server.py: the command line, signals, and what only a whole process shows."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

import server as server_module
from app import bootstrap
from app.config import MAX_CONFIG
from app.node import StartError
from app.options import parse_command_line, read_or_exit, settings_for
from domain.changes import AccountRegistered, Change, ChannelCreated, Joined, Said
from harness.peer import PATIENCE, Peer
from harness.processes import ROOT
from harness.servers import ServerProcess, free_ports
from net.tcp import RESERVED_DESCRIPTORS
from protocol import Session
from server import MAX_TYPED, Server, main
from settings import Listen, Settings
from store import Store

SERVER = str(ROOT / "server.py")

TEXT = "x" * 8000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path) as server:
        yield server


def on(port: int, **settings: Any) -> Settings:
    """Settings with a listener on 127.0.0.1."""
    return Settings(listen=(Listen("127.0.0.1", port, "auto"),), **settings)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


# ---- starting ----


def test_a_server_says_when_it_is_ready_and_serves_both_families(server: ServerProcess) -> None:
    with server.peer() as peer:
        assert peer.ask("PING") == ["RESULT PING 1"]
    if has_ipv6():
        with server.peer("::1") as peer:
            assert peer.ask("PING") == ["RESULT PING 1"]
    assert server.database.name == f"crosstalk-{server.port}.db"
    assert server.database.exists()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d (INFO|WARNING) ", line) for line in server.log)


def test_a_server_can_be_bound_to_one_address(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "address 127.0.0.1", "database my chat.db") as server:
        with server.peer() as peer:
            assert peer.ask("PING") == ["RESULT PING 1"]
        with pytest.raises(OSError):
            server.peer("127.0.0.2")
        assert server.database == tmp_path / "my chat.db"


@pytest.mark.parametrize(
    ("address", "reached", "logged"),
    [
        (None, (True, True), "address=:: port={} dialect=auto"),
        ("0.0.0.0", (True, False), "address=0.0.0.0 port={} dialect=auto"),
        ("::", (False, True), "address=:: port={} dialect=auto (IPv6 only)"),
    ],
)
def test_the_log_tells_all_addresses_from_those_of_one_family(
    address: str | None, reached: tuple[bool, bool], logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    caplog.set_level("INFO")
    server = Server(Settings(listen=(Listen(address, 0, "auto"),), database=":memory:"))
    try:
        server_module.announce(server, hello_server=False)
        assert f"listening {logged.format(server.port)}" in caplog.messages
        assert tuple(can_connect(host, server.port) for host in ("127.0.0.1", "::1")) == reached
    finally:
        server.loop.close()
        server.store.close()


def can_connect(host: str, port: int) -> bool:
    try:
        Peer(port, host).close()
    except OSError:
        return False
    return True


def test_the_command_line_wins_over_the_config(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "database one.db", words=["--database", "two.db"]) as server:
        assert server.database == tmp_path / "two.db"
    assert not (tmp_path / "one.db").exists()


@pytest.mark.parametrize("stdout", [subprocess.PIPE, None])
def test_the_labs_server_says_that_it_is_on(tmp_path: Path, stdout: int | None) -> None:
    """Also where nobody can read it."""
    command = [sys.executable, SERVER, "--address", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" 2>log' + ("" if stdout else " >&-"), "sh", *command], cwd=tmp_path, stdout=stdout
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / "log").exists() or " ready " not in (tmp_path / "log").read_text():
            assert time.monotonic() < deadline
        if process.stdout is not None:
            assert process.stdout.readline() == b"Server is on\n"
        ready = re.search(r"ready address=127.0.0.1 port=(\d+)", (tmp_path / "log").read_text())
        assert ready
        with Peer(int(ready[1])) as peer:
            assert peer.ask("HELLO-FROM alice", "LIST") == ["HELLO alice", "LIST-OK alice"]
        process.terminate()
        assert process.wait(PATIENCE) == 0
        if process.stdout is not None:
            assert process.stdout.read() == b""
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_every_listener_speaks_its_dialect_and_all_meet(tmp_path: Path) -> None:
    listeners = ["listen 127.0.0.1:0 hello", "listen 0 result", "listen 0 auto"]
    with ServerProcess(tmp_path, *listeners) as server:
        assert [line.split("dialect=")[1] for line in server.log if " listening " in line] == [
            "auto", "hello", "result", "auto",
        ]  # fmt: skip
        main, hello, result, auto = server.ports
        assert main == server.port
        with Peer(main) as alice, Peer(hello) as bob, Peer(auto) as carol, Peer(result) as dave:
            assert alice.ask("HELLO-FROM alice") == ["HELLO alice"]
            assert bob.ask("HELLO-FROM bob") == ["HELLO bob"]
            assert carol.ask("REGISTER carol c", "LOGIN carol c") == ["RESULT REGISTER 1", "RESULT LOGIN 1"]
            assert dave.ask("HELLO-FROM dave") == ["RESULT ERROR unknown type"]
            assert bob.ask("LIST") == ["LIST-OK alice,bob,carol"]
        with Peer(hello) as strict:
            assert strict.ask("REGISTER erin e") == ["BAD-RQST-HDR"]
            assert strict.line() == ""


def test_a_config_alone_can_say_where_to_listen(tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text("address 127.0.0.1\nlisten 0 hello\nlisten 0 auto\nmax-users 3")
    settings = settings_for(parse_command_line([str(tmp_path / "my.conf"), "--database", ":memory:"]))
    assert settings.listen == (Listen(None, 0, "hello"), Listen(None, 0, "auto"))
    server = Server(settings)
    assert [(place.address, place.dialect) for place in server.endpoints] == [
        ("127.0.0.1", "hello"),
        ("127.0.0.1", "auto"),
    ]
    server.loop.close()
    server.store.close()


@pytest.mark.parametrize(
    ("words", "users"),
    [
        (["--port", "0"], 16),
        (["--port", "0", "--max-users", "5"], 5),
        (["--port", "0", "my.conf"], 3),
        (["--port", "0", "my.conf", "--max-users", "5"], 5),
        (["0"], None),
        (["0", "my.conf"], 3),
        (["0", "--max-users", "5", "my.conf"], 5),
    ],
)
def test_how_many_users_hello_takes(
    words: list[str], users: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.conf").write_text("max-users 3")
    assert settings_for(parse_command_line(words)).max_users == users


def start(words: list[str]) -> int:
    """Start the server as its command line does; give the exit status."""
    try:
        settings, lab = read_or_exit(parse_command_line(words))
        return main(settings, hello_server=lab)
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code


@pytest.fixture
def quiet_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "start_logging", lambda: None)


@pytest.mark.usefixtures("quiet_logging")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "a port or a config is needed"),
        (["x"], "x: cannot read the config: No such file"),
        (["65536"], "'65536' is not a number"),
        (["-1"], "-1"),
        (["5050.0"], "5050.0: cannot read the config"),
        (["\u0663"], "not a number"),
        (["99999999999999999999"], "not a number"),
        (["0" * 20 + "65536"], "not a number"),
        (["0" * 9 + "99999"], "not a number"),
        (["0", "a.conf", "b.conf"], "b.conf"),
        (["a.conf", "0"], "too many arguments: 0"),
        (["--port", "0", "a.conf", "b.conf"], "too many arguments: b.conf"),
        (["--port", "0", "5051"], "5051: cannot read the config"),
        (["--port", "65536"], "'65536' is not a number from 0 to 65535"),
        (["--port", "x"], "'x' is not a number from 0 to 65535"),
        (["--port"], "--port"),
        (["--address", "127.0.0.1"], "a port or a config is needed"),
        (["--address", "localhost", "--port", "0"], "argument --address: 'localhost' is not an IP address"),
        (["0", "--max-users", "0"], "argument --max-users: '0' is not a whole number from 1"),
        (["0", "--max-users", "tea"], "argument --max-users: 'tea' is not a whole number from 1"),
        (["channels.conf"], "cannot make the channel cellar: max-channels is too small"),
        (["nowhere.conf"], "nowhere.conf has no listen line and no channel; add one, or start with a port"),
        (
            ["listen.conf"],
            "listen.conf:2: listen needs [<address>:]<port>"
            " and one of auto, result, hello, mailbox, federation, not '5050 rooms'",
        ),
        (["0", "--what"], "--what"),
        (["0", "--data", "x.db"], "--data"),
        (["0", "--database"], "--database"),
        (["0", "missing.conf"], "missing.conf: cannot read the config"),
        (["0", "."], "cannot read the config"),
        (["0", "bad.conf"], "bad.conf:2: bcrypt-cost needs a whole number from 4 to 31, not '3'"),
        (["0", "nul.conf"], "nul.conf:1: database needs"),
        (["0", "--database", "nowhere/x.db"], "cannot open the database nowhere/x.db"),
        (["0", "--database", "."], "cannot open the database"),
        (["0", "--database", ""], "argument --database: '' is not the path of a file"),
        (["0", "--database", "nul\0.db"], "is not the path of a file"),
        (["0", "--database", "surrogate\ud800.db"], "is not the path of a file"),
        (["0", "--database", "/dev/null"], "cannot open the database /dev/null: not a regular file"),
        (["0", "--database", "text.db"], "cannot open the database text.db"),
        (["0", "address.conf"], "cannot listen on 192.0.2.1:0"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_wrong_start_is_one_line_and_status_1(
    words: list[str], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.conf").write_text("# a config\nbcrypt-cost 3\n")
    (tmp_path / "nul.conf").write_text("database a\0b\n")
    (tmp_path / "address.conf").write_text("address 192.0.2.1\n")
    (tmp_path / "nowhere.conf").write_text("max-mail 1\n")
    (tmp_path / "listen.conf").write_text("listen 0 auto\nlisten 5050 rooms\n")
    channels = [
        f"channel {name} {port} 5" for name, port in zip(("lobby", "attic", "cellar"), free_ports(3), strict=True)
    ]
    (tmp_path / "channels.conf").write_text("\n".join(["max-channels 2", "database :memory:", *channels]))
    (tmp_path / "text.db").write_text("no database\n" * 100)
    status = start(words)
    out, err = capsys.readouterr()
    assert status == 1
    assert out == ""
    assert err.startswith("server.py: ")
    assert reason in err
    assert err.count("\n") == 1
    assert err.endswith("\n")


def run(*words: str, directory: Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, SERVER, *words],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("words", [["x"], ["0", "missing.conf"], ["0", "--database", "nowhere/x.db"]])
def test_a_wrong_start_of_a_process(words: list[str], tmp_path: Path) -> None:
    done = run(*words, directory=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("server.py: ")


def test_help_is_no_error_and_any_python_will_do(tmp_path: Path) -> None:
    done = run("--help", directory=tmp_path, python=BARE_PYTHON)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--database" in done.stdout


BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)
"""A Python without bcrypt, as the one that made the environment may be: the server goes on in the environment."""

ONCE = (
    ("exec {python} {server} 0 <(cat my.conf)", BARE_PYTHON),
    ("exec {python} {server} 0 <(cat my.conf)", sys.executable),
    ("mkfifo once; cat my.conf > once & exec {python} {server} once", BARE_PYTHON),
    ("exec {python} {server} --address 127.0.0.1 --port 0 /dev/stdin < <(cat my.conf)", BARE_PYTHON),
    ("exec {python} {server} /dev/stdin < my.conf", BARE_PYTHON),
    ("exec {python} {server} 0 /dev/fd/5 5<<end\n$(cat my.conf)\nend", BARE_PYTHON),
)
"""Starts with a config that can perhaps be read only once, as the shell's words."""


@pytest.mark.parametrize(("script", "python"), ONCE)
def test_a_config_that_can_be_read_once_only_is_obeyed(script: str, python: str, tmp_path: Path) -> None:
    """C51: what it says is not lost on the way to another Python, nor to a second look."""
    (tmp_path / "my.conf").write_text("address 127.0.0.1\ndatabase my.db\nlisten 0 hello\n")
    with subprocess.Popen(
        ["bash", "-c", script.format(python=python, server=SERVER)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = list(itertools.takewhile(lambda line: " ready " not in line, process.stderr))
        process.terminate()
        process.communicate(timeout=PATIENCE)
    listening = [line for line in lines if " listening " in line]
    assert any("dialect=hello" in line for line in listening), lines
    assert all(" address=127.0.0.1 " in line for line in listening), lines
    assert (tmp_path / "my.db").exists()


@pytest.mark.parametrize("words", [["/dev/zero"], ["0", "/dev/zero"], ["0", "long.conf"]])
def test_a_config_has_an_end(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "long.conf").write_text("#" * (MAX_CONFIG + 1))
    done = run(*words, directory=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"server.py: {words[-1]}: cannot read the config: it is longer than {MAX_CONFIG} bytes\n"


def test_a_port_or_a_database_in_use(server: ServerProcess, tmp_path: Path) -> None:
    done = run(str(server.port), "--database", ":memory:", directory=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"cannot listen on *:{server.port}: " in done.stderr
    done = run("0", "--database", str(server.database), directory=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"{server.database} is in use" in done.stderr
    with server.peer() as peer:
        assert peer.ask("PING") == ["RESULT PING 1"]


def test_a_server_that_cannot_start_frees_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    database = sqlite3.connect("other.db")
    database.execute("CREATE TABLE recipes (name)")
    database.close()
    for _ in range(2):
        with pytest.raises(StartError, match="another program"):
            Server(on(0, database="other.db"))
    first = Server(on(0, database=":memory:"))
    with pytest.raises(StartError, match="choose another port"):
        Server(on(first.port, database="mine.db"))
    first.loop.close()
    first.store.close()
    again = Server(on(first.port, database="mine.db"))
    again.loop.close()
    again.store.close()


def test_two_servers_in_one_process_know_nothing_of_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.conf").write_text("bcrypt-cost 4\naddress 127.0.0.1\n")
    servers = [Server(settings_for(parse_command_line(["0", "my.conf", "--database", ":memory:"]))) for _ in range(2)]
    peers = [Peer(server.port) for server in servers]
    try:
        for server, peer in zip(servers, peers, strict=True):
            guard = server.loop.call_later(PATIENCE, lambda: pytest.fail("no account was made"))
            peer.send("REGISTER alice pw")
            while "alice" not in server.node.chat.users.accounts:
                server.loop.turn()
            server.loop.cancel(guard)
            assert peer.line() == "RESULT REGISTER 1"
    finally:
        for peer in peers:
            peer.close()
        for server in servers:
            server.loop.close()
            server.store.close()


# ---- serving ----


def test_what_was_told_survives_a_kill(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "database my.db") as server, server.user("alice") as alice:
        alice.ask("CREATE room", "JOIN room")
        assert alice.ask("SAY room hello") == ["RECV alice room hello"]
        server.signal(signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
    with ServerProcess(tmp_path, "database my.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice", "SAY room again", "HISTORY room") == [
            "RESULT LOGIN 1", "RECV alice room again", "RESULT HISTORY room 2",
        ]  # fmt: skip
        assert [alice.line(), alice.line()] == ["RECV alice room hello", "RECV alice room again"]


def test_a_client_that_ends_its_side_gets_its_answers(server: ServerProcess) -> None:
    with server.peer() as peer:
        peer.send("REGISTER alice pw", "LOGIN alice pw", "CREATE room", "JOIN room", "SAY room hello")
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.rest().decode().splitlines() == [
            "RESULT REGISTER 1", "RESULT LOGIN 1", "RESULT CREATE room 1", "RESULT JOIN room 1",
            "RECV alice room hello",
        ]  # fmt: skip


def test_a_web_browser_gets_nothing(server: ServerProcess) -> None:
    with server.peer() as peer:
        peer.send_bytes(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert peer.rest() == b""


def test_the_settings_reach_what_they_set(tmp_path: Path) -> None:
    config = (
        "max-line 512", "max-name 5", "max-accounts 1", "max-channels 1", "max-channels-per-user 1", "max-mail 0",
        "channels-reply joined", "history-on-join 1", "max-clients 2",
    )  # fmt: skip
    with ServerProcess(tmp_path, *config) as server, server.user("alice") as alice:
        asked = {
            "x" * 511: "RESULT ERROR unknown type",
            "x" * 512: "RESULT ERROR line too long",
            "CREATE toolong": "RESULT CREATE toolong 0",
            "REGISTER bob pw": "RESULT REGISTER 0",
            "CREATE room": "RESULT CREATE room 1",
            "CREATE more": "RESULT CREATE more 0",
            "CHANNELS": "RESULT CHANNELS",
            "JOIN room": "RESULT JOIN room 1",
            "SAY room hello": "RECV alice room hello",
            "LEAVE room": "RESULT LEAVE room 1",
        }
        assert dict(zip(asked, alice.ask(*asked), strict=True)) == asked
        alice.send("JOIN room")
        assert [alice.line(), alice.line()] == ["RESULT JOIN room 1", "RECV alice room hello"]
        with server.peer() as second, server.peer() as third:
            assert third.rest() == b""
            assert second.ask("PING") == ["RESULT PING 1"]
            server.wait_for(r"max-clients")


def test_a_disk_that_is_full_and_has_room_again(server: ServerProcess) -> None:
    """C47."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process cannot be set here")
    with server.user("alice") as alice:
        assert alice.ask("CREATE room", "JOIN room") == ["RESULT CREATE room 1", "RESULT JOIN room 1"]
        pid = server.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, limits[1]))
        assert alice.ask("SAY room lost", "CREATE more", "SEND room lost", "PING") == [
            "RESULT SAY 0", "RESULT CREATE more 0", "RESULT SEND ERROR", "RESULT PING 1",
        ]  # fmt: skip
        assert len([line for line in server.log if "cannot write to the database" in line]) <= 1
        server.wait_for("ERROR cannot write to the database")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        assert alice.ask("SAY room kept", "CREATE more", "HISTORY room") == [
            "RECV alice room kept", "RESULT CREATE more 1", "RESULT HISTORY room 1",
        ]  # fmt: skip
        server.wait_for("is written again")


def test_more_clients_than_descriptors_wait_and_are_served_later(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, shell="ulimit -S -n 40; ulimit -H -n 48") as server, contextlib.ExitStack() as stack:
        room = int(server.wait_for(r"max clients: (\d+)")[1])
        assert room == 48 - RESERVED_DESCRIPTORS  # what it was given it has raised
        peers = [stack.enter_context(server.peer()) for _ in range(room + 4)]
        for peer in peers:
            peer.send("PING")
        assert [peer.line() for peer in peers[:room]] == ["RESULT PING 1"] * room
        server.wait_for("accept paused")
        for peer in peers[:4]:
            peer.close()
        assert [peer.line() for peer in peers[room:]] == ["RESULT PING 1"] * 4
        assert peers[room].ask("REGISTER alice pw", "LOGIN alice pw") == ["RESULT REGISTER 1", "RESULT LOGIN 1"]
        assert peers[4].ask("PING") == ["RESULT PING 1"]


def test_a_slow_reader_is_closed_and_the_others_hear_all(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path, "max-out-buffer 300000") as server,
        server.user("alice") as alice,
        server.user("bob") as bob,
        server.user("slow") as slow,
    ):
        alice.ask("CREATE room", "JOIN room")
        bob.ask("JOIN room")
        slow.ask("JOIN room")
        lines = [f"RECV alice room {TEXT}"] * 5
        for _ in range(1000):
            assert alice.ask(*[f"SAY room {TEXT}"] * 5) == lines
            assert [bob.line() for _line in lines] == lines
            if any("reads too slowly" in line for line in server.log):
                break
        server.wait_for("reads too slowly")
        assert alice.ask("PING") == ["RESULT PING 1"]


@pytest.mark.parametrize("dialect", ["hello", "result"])
def test_who_sends_to_a_reader_that_stalls_is_told_when_it_is_closed(tmp_path: Path, dialect: str) -> None:
    with ServerProcess(tmp_path, "stall-seconds 1") as server, server.peer() as alice, server.peer() as slow:
        if dialect == "hello":
            assert slow.ask("HELLO-FROM slow") == ["HELLO slow"]
        else:
            assert slow.ask("REGISTER slow x", "LOGIN slow x") == ["RESULT REGISTER 1", "RESULT LOGIN 1"]
        assert alice.ask("HELLO-FROM alice") == ["HELLO alice"]
        answer = "SEND-OK"
        while answer == "SEND-OK":
            alice.send(f"SEND slow {TEXT}", "LIST")
            answer, users = alice.line(), alice.line()
        assert (answer, users) == ("BAD-DEST-USER", "LIST-OK alice")
        server.wait_for("has taken nothing for 1 seconds")


# ---- channels with ports, and the console ----


@pytest.fixture
def ports(tmp_path: Path) -> list[int]:
    """The ports of the channels in `rooms.conf`: lobby, attic, cellar."""
    ports = free_ports(3)
    lines = [f"channel {name} {port} 5" for name, port in zip(("lobby", "attic", "cellar"), ports, strict=True)]
    (tmp_path / "rooms.conf").write_text("\n".join(["address 127.0.0.1", "database :memory:", *lines]))
    return ports


def without_time(line: str) -> str:
    return re.sub(r" \(\d\d:\d\d:\d\d\)", "", line)


@contextlib.contextmanager
def rooms_server(directory: Path, stdin: Any, stdout: Any = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    """A server for `rooms.conf` that accepts connections."""
    process = subprocess.Popen(
        [sys.executable, SERVER, "rooms.conf"],
        cwd=directory, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr
        while " ready " not in (line := process.stderr.readline()):
            assert line, "it has ended"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_console_and_the_log_of_the_chat(tmp_path: Path, ports: list[int]) -> None:
    with rooms_server(tmp_path, subprocess.PIPE) as process, Peer(ports[0]) as ann, Peer(ports[0]) as bob:
        assert process.stdin
        assert process.stdout

        def typed(line: str) -> str:
            assert process.stdin
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            return printed()

        def printed() -> str:
            assert process.stdout
            return without_time(process.stdout.readline().rstrip("\n"))

        ann.send("ann")
        assert printed() == "[Server message] ann has joined the lobby channel."
        bob.send("bob")
        assert printed() == "[Server message] bob has joined the lobby channel."
        bob.send("hi")
        assert printed() == "[bob] hi"
        assert typed("what\n/kick lobby\n/kick lobby:zoe") == "[Server message] zoe is not in lobby."
        assert typed("/mute lobby:ann 5") == "[Server message] Muted ann for 5 seconds."
        assert typed("/kick lobby:bob") == "[Server message] Kicked bob."
        assert bob.rest()
        process.stdin.write("/shutdown\n/kick lobby:zoe\n")
        process.stdin.close()
        process.stdin = None
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == ""
        heard = [without_time(line) for line in ann.rest().decode().splitlines()]
        assert heard[-2:] == [
            "[Server message] You have been muted for 5 seconds.",
            "[Server message] bob has left the channel.",
        ]


def test_commands_that_the_loop_has_not_carried_out_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that reads them waits, and what is no command never comes to the loop."""
    server = Server(on(0, database=":memory:"))
    typed, lines = list[bytes](), [f"/mute tea:{number} 5" for number in range(3 * MAX_TYPED)]
    monkeypatch.setattr(Session, "received", lambda _session, data: typed.append(data))
    ended = threading.Event()

    def read(_descriptor: int, take: Callable[[str], None]) -> None:
        for line in lines:
            take(line)
            take("y")
            assert len(server.loop._threadsafe_calls) <= MAX_TYPED
        ended.set()

    monkeypatch.setattr(server_module, "read_lines", read)
    monkeypatch.setattr(signal, "signal", lambda _signum, _handler: None)
    guard = server.loop.call_later(PATIENCE, lambda: pytest.fail("not all of it came"))
    try:
        server_module.open_console(server)
        while len(typed) < len(lines):
            server.loop.turn()
        assert b"".join(typed).decode().splitlines() == lines
        assert ended.wait(PATIENCE)
    finally:
        server.loop.cancel(guard)
        server.loop.close()
        server.store.close()


@pytest.mark.parametrize("stdin", ["end", "nothing", "closed"])
def test_a_server_goes_on_when_its_input_does_not(tmp_path: Path, ports: list[int], stdin: str) -> None:
    """P2."""
    reader, writer = os.pipe()
    os.close(writer)
    descriptor = {"end": reader, "nothing": subprocess.DEVNULL, "closed": None}[stdin]
    saved = os.dup(0)
    try:
        if stdin == "closed":
            os.close(0)
        with rooms_server(tmp_path, descriptor), Peer(ports[1]) as ann:
            ann.send("ann", "hi")
            assert [without_time(ann.line()) for _ in range(3)][2] == "[ann] hi"
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(reader)


def test_a_terminal_is_a_console_and_may_be_left(tmp_path: Path, ports: list[int]) -> None:
    ours, theirs = os.openpty()
    try:
        with rooms_server(tmp_path, theirs) as process, Peer(ports[1]) as ann:
            assert process.stdout
            ann.send("ann")
            assert process.stdout.readline()
            os.write(ours, b"/kick attic:ann\n")
            assert "Kicked ann." in process.stdout.readline()
            os.write(ours, b"\x04")  # the end of the input, as a terminal gives it
            with Peer(ports[1]) as bob:
                bob.send("bob")
                assert "bob has joined" in process.stdout.readline()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_chat_goes_on_when_nobody_reads_its_log(tmp_path: Path, ports: list[int]) -> None:
    """P2."""
    with rooms_server(tmp_path, subprocess.DEVNULL), Peer(ports[0]) as ann:
        ann.send("ann")
        for number in range(300):
            ann.send(f"{number} {TEXT}")
            while f"{number} x" not in ann.line():
                pass
    with rooms_server(tmp_path, subprocess.DEVNULL) as process, Peer(ports[0]) as ann:
        assert process.stdout
        process.stdout.close()
        process.stdout = None
        ann.send("ann", "hi")
        assert [without_time(ann.line()) for _ in range(3)][2] == "[ann] hi"


BAD_ROOMS = {
    "channel lobby 5001": "rooms.conf:1: channel needs <name> <port> <capacity>, not 'lobby 5001'",
    "channel lobby 5001 5 x": "rooms.conf:1: channel needs <name> <port> <capacity>",
    "channel 1lobby 5001 5": "rooms.conf:1: '1lobby' cannot be a channel with a port",
    "channel a:b 5001 5": "rooms.conf:1: 'a:b' cannot be",
    "channel lobby x 5": "rooms.conf:1: the port of a channel is a whole number from 1 to 65535, not 'x'",
    "channel lobby 0 5": "rooms.conf:1: the port of a channel is",
    "channel lobby 65536 5": "rooms.conf:1: the port of a channel is",
    "channel lobby 5001 x": "rooms.conf:1: the capacity of a channel is a whole number from 5",
    "channel lobby 5001 4": "rooms.conf:1: the capacity of a channel is",
    "channel a 5001 5\nchannel a 5002 5\nchannel c 5003 5": "rooms.conf:2: channel a stands in line 1 already",
    "channel a 5001 5\nchannel b 5002 5\nchannel c 5001 5": "rooms.conf:3: port 5001 stands in line 1 already",
    "listen 5001 auto\nchannel a 5001 5\nchannel b 5002 5\nchannel c 5003 5": "rooms.conf:2: port 5001 stands in",
    "channel a 5001 5\nchannel b 5002 5": "rooms.conf: channel stands 2 times; it needs 3 or more, or none",
    "": "rooms.conf has no listen line and no channel",
}


@pytest.mark.usefixtures("quiet_logging")
@pytest.mark.parametrize("text", BAD_ROOMS)
def test_configs_of_channels_that_are_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rooms.conf").write_text(text)
    assert start(["rooms.conf"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert BAD_ROOMS[text] in printed.err


def test_a_channels_port_in_use(tmp_path: Path, ports: list[int]) -> None:
    with socket.create_server(("127.0.0.1", ports[2])):
        done = run("rooms.conf", directory=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cannot listen on 127.0.0.1:{ports[2]}: " in done.stderr


# ---- stopping ----


def test_a_signal_stops_a_server_cleanly(server: ServerProcess) -> None:
    with server.user("alice") as alice:
        server.signal(signal.SIGTERM)
        assert alice.rest() == b""
        assert server.wait() == 0
    assert "Traceback" not in "\n".join(server.log)
    assert any("stopping" in line for line in server.log)
    assert not Path(f"{server.database}-wal").exists()


def test_ctrl_c_stops_a_server_too(server: ServerProcess) -> None:
    server.signal(signal.SIGINT)
    assert server.wait() == 0


HISTORY = "RESULT HISTORY room 400\n" + f"RECV alice room {'y' * 60_000}\n" * 400
"""More than a kernel takes for one connection."""


@contextlib.contextmanager
def owing(directory: Path, config: str) -> Iterator[tuple[ServerProcess, Peer]]:
    """A server that owes HISTORY to a client who has not begun to read it."""
    store = Store(str(directory / "big.db"))
    hashed = bcrypt.hashpw(b"alice", bcrypt.gensalt(4))
    furniture: list[Change] = [
        AccountRegistered("alice", hashed, 1.0),
        ChannelCreated("room", "alice", 1.0),
        Joined("alice", "room", 1.0),
    ]
    assert store.write([*furniture, *[Said("alice", "room", "y" * 60_000, 1.0)] * 400])
    store.close()
    with ServerProcess(directory, config, "database big.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice") == ["RESULT LOGIN 1"]
        alice.send("HISTORY room 400", "PING")
        with server.peer() as other:  # when this one is answered, the server has read what came before
            assert other.ask("PING") == ["RESULT PING 1"]
        yield server, alice


def test_what_is_owed_leaves_before_the_end(tmp_path: Path) -> None:
    with owing(tmp_path, "shutdown-seconds 600") as (server, alice):
        server.signal(signal.SIGTERM)
        server.wait_for("stopping")
        assert alice.rest() == HISTORY.encode()  # and no answer to a line that was not run
        assert server.wait() == 0


def test_an_outstanding_answer_is_given_before_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    go, real = threading.Event(), bcrypt.hashpw

    def hashpw(password: bytes, salt: bytes) -> bytes:
        assert go.wait(PATIENCE)
        return real(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    server = Server(on(0, database="my.db", bcrypt_cost=4, shutdown_seconds=600))
    with Peer(server.port) as peer:
        peer.send("REGISTER alice pw", "REGISTER bob pw")
        guard = server.loop.call_later(PATIENCE, lambda: pytest.fail("this does not end"))
        while not server.loop.working:
            server.loop.turn()
        server.loop.call_soon(server.stop)
        server.loop.call_soon(go.set)
        server.run()
        server.loop.cancel(guard)
        assert peer.rest() == b"RESULT REGISTER 1\n"
    with pytest.raises(OSError):
        Peer(server.port)
    again = Server(on(0, database="my.db"))
    assert set(again.node.chat.users.accounts) == {"alice"}
    again.loop.close()
    again.store.close()


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with owing(tmp_path, "shutdown-seconds 3600") as (server, _alice):
        server.signal(signal.SIGTERM)
        server.wait_for("stopping")
        assert server.is_running
        deadline = time.monotonic() + PATIENCE
        while server.is_running:  # one that comes too soon is one with the first
            assert time.monotonic() < deadline
            server.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(0.1)
        assert server.wait() == 1


def test_a_client_that_does_not_read_cannot_keep_a_server_up(tmp_path: Path) -> None:
    with owing(tmp_path, "shutdown-seconds 0") as (server, _alice):
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_the_counters_are_written_to_the_log(server: ServerProcess) -> None:
    with server.user("alice") as alice:
        alice.ask("CREATE room")
        server.signal(signal.SIGUSR1)
        line = server.wait_for("statistics .*").group()
        assert "clients=1 users=1 accounts=1 channels=1 failed-logins=0 refused-hashes=0" in line
        alice.send("QUIT")
        assert alice.rest() == b""
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "closed-goodbye=1" in server.log[-1]


def test_a_log_that_nobody_reads_does_not_stop_the_chat(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, SERVER, "0", "--database", ":memory:"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stderr=writer,
        )
        try:
            os.close(writer)
            writer = -1
            log = b""
            while not (ready := re.search(rb" ready .*port=(\d+)", log)):
                log += os.read(reader, 4096)
            os.close(reader)
            reader = -1
            with Peer(int(ready[1])) as peer:
                for _ in range(3):
                    process.send_signal(signal.SIGUSR1)
                    assert peer.ask("PING") == ["RESULT PING 1"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()
    finally:
        for descriptor in (reader, writer):
            if descriptor >= 0:
                os.close(descriptor)


def test_a_server_without_standard_descriptors_serves(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "server.py"), "0"]
    with subprocess.Popen(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], cwd=tmp_path) as process:
        deadline = time.monotonic() + PATIENCE
        answer = None
        while answer is None and time.monotonic() < deadline:
            # Nobody says when it is ready; the name of its database tells the port.
            for path in tmp_path.glob("crosstalk-*.db"):
                with contextlib.suppress(OSError), Peer(int(path.stem.removeprefix("crosstalk-"))) as peer:
                    answer = peer.ask("PING")
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert answer == ["RESULT PING 1"]


def test_the_database_is_its_owners_alone(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        for path in (server.database, Path(f"{server.database}-wal")):
            assert path.stat().st_mode & 0o777 == 0o600


def test_who_goes_on_speaking_after_the_signal_is_not_served(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, "shutdown-seconds 600") as server, server.user("alice") as alice:
        alice.ask("CREATE tea", "JOIN tea")
        speaking = threading.Thread(target=speak_until_closed, args=(alice,))
        speaking.start()
        alice.line()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        speaking.join(PATIENCE)
        assert not speaking.is_alive()


def speak_until_closed(peer: Peer) -> None:
    with contextlib.suppress(OSError):
        while True:
            peer.send("SAY tea x")


# ---- the environment ----


def test_why_the_environment_is_of_no_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "bin" / "python"
    monkeypatch.setattr(bootstrap, "ENVIRONMENT", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["/somewhere/server.py"])

    def complaint() -> str:
        with pytest.raises(SystemExit) as end:
            bootstrap.use_environment("no_such_module")
        return str(end.value.code)

    missing = "server.py: no_such_module is not installed; "
    assert complaint() == f"{missing}run {ROOT}/setup first"
    python.parent.mkdir()
    python.write_text("no program")
    assert complaint() == f"{missing}{python} cannot be used: Permission denied"
    python.chmod(0o700)
    assert complaint() == f"{missing}{python} cannot be used: Exec format error"
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert complaint() == f"{missing}run {ROOT}/setup first"
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(python)])
    assert complaint() == f"{missing}{python} cannot be used: Not a directory"


# ---- the database's files ----


def test_a_database_that_is_moved_away_and_put_back(tmp_path: Path) -> None:
    """C48: nothing is confirmed meanwhile, it is told without being asked, and the end destroys nothing."""
    path, away = tmp_path / "my.db", tmp_path / "away.db"
    with ServerProcess(tmp_path, "database my.db") as server, server.user("alice") as alice:
        assert alice.ask("CREATE one") == ["RESULT CREATE one 1"]
        path.rename(away)
        server.wait_for("ERROR cannot write to the database my.db: .*moved or removed")
        assert alice.ask("CREATE lost", "PING") == ["RESULT CREATE lost 0", "RESULT PING 1"]
        away.rename(path)
        server.wait_for("WARNING the database is written again")
        assert alice.ask("CREATE two") == ["RESULT CREATE two 1"]
        path.rename(away)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    log = (tmp_path / "my.db-wal").read_bytes()
    done = run("0", "--database", "my.db", directory=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "put the database back" in done.stderr
    assert (tmp_path / "my.db-wal").read_bytes() == log
    away.rename(path)
    with ServerProcess(tmp_path, "database my.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice", "JOIN one", "JOIN two", "JOIN lost") == [
            "RESULT LOGIN 1", "RESULT JOIN one 1", "RESULT JOIN two 1", "RESULT JOIN lost 0",
        ]  # fmt: skip


def test_a_restore_as_the_documents_have_it(tmp_path: Path) -> None:
    """Also over what a crash has left behind; left out the moving away, it is refused."""
    document = (ROOT / "docs" / "operation.md").read_text()
    commands = re.findall(r"^        (\(umask 077; .*|mkdir -m 700 .*)$", document, re.MULTILINE)
    back_up, restore = [command.replace("crosstalk-5050", "my") for command in commands]
    with ServerProcess(tmp_path, "database my.db") as server, server.user("alice") as alice:
        alice.ask("CREATE kept")
        subprocess.run(["sh", "-c", back_up], cwd=tmp_path, check=True)
        alice.ask("CREATE unwanted")
        server.signal(signal.SIGKILL)
        server.wait()
    assert [path.stat().st_mode & 0o777 for path in tmp_path.glob("backup*.db")] == [0o600]
    subprocess.run(["sh", "-c", restore], cwd=tmp_path, check=True)
    with ServerProcess(tmp_path, "database my.db") as server, server.peer() as alice:
        assert alice.ask("LOGIN alice alice", "JOIN kept", "JOIN unwanted") == [
            "RESULT LOGIN 1", "RESULT JOIN kept 1", "RESULT JOIN unwanted 0",
        ]  # fmt: skip
        assert not [line for line in server.log if "WARNING" in line]
