"""Command lines and configs, what a start needs, and what refuses it."""

from __future__ import annotations

import itertools
import re
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

import server as server_module
from app import bootstrap
from app.config import MAX_CONFIG
from app.logs import fields_of
from app.node import StartError
from app.options import parse_command_line, read_options, read_or_exit
from harness.peer import PATIENCE, Peer
from harness.processes import ROOT
from harness.servers import ServerProcess, free_ports
from server import Server
from settings import HostedChannel, Listen, Settings
from support.programs import BARE_PYTHON, SERVER, on, run, start
from version import VERSION


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


def test_the_channel_of_a_port_is_a_field_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    names = ("attic", "hall", "lobby")
    rooms = tuple(HostedChannel(name, 0, 5) for name in names)
    server = Server(Settings(listen=(Listen("127.0.0.1", 0, "auto"),), channel=rooms, database=":memory:"))
    try:
        server_module.announce(server, hello_server=False)
        records = [dict(fields_of(str(each.msg), each.args)) for each in caplog.records if "listening" in each.message]
        places = [(record["dialect"], record.get("channel")) for record in records]
        assert places == [("auto", None), *(("rooms", name) for name in names)]
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
    settings = read_options(parse_command_line([str(tmp_path / "my.conf"), "--database", ":memory:"])).settings
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
    assert read_options(parse_command_line(words)).settings.max_users == users


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
            " and one of auto, result, hello, mailbox, irc, federation, web, and perhaps tls,"
            " not '5050 rooms'",
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


@pytest.mark.parametrize("words", [["x"], ["0", "missing.conf"], ["0", "--database", "nowhere/x.db"]])
def test_a_wrong_start_of_a_process(words: list[str], tmp_path: Path) -> None:
    done = run(*words, directory=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("server.py: ")


def test_help_is_no_error_and_any_python_will_do(tmp_path: Path) -> None:
    done = run("--help", directory=tmp_path, python=BARE_PYTHON)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--database" in done.stdout


@pytest.mark.parametrize("program", ["server.py", "client.py"])
def test_the_version_is_told(program: str, tmp_path: Path) -> None:
    command = [BARE_PYTHON, str(ROOT / program), "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"crosstalk {VERSION}\n", "")


def test_a_config_is_checked_without_a_start(tmp_path: Path) -> None:
    """C52, with a port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (tmp_path / "good.conf").write_text(f"address 127.0.0.1\nlisten {port} hello\n")
        (tmp_path / "bad.conf").write_text("max-mail x\n\nwhat\nlog-bytes 70000\nmax-mail 1\n")
        good = run("--check-config", "good.conf", directory=tmp_path)
        assert (good.returncode, good.stdout, good.stderr) == (0, "good.conf: no errors\n", "")
        bad = run("bad.conf", "--check-config", directory=tmp_path)
        places = [line.split(" ")[1] for line in bad.stderr.splitlines()]
        assert (bad.returncode, bad.stdout) == (1, "")
        assert places == ["bad.conf:1:", "bad.conf:3:", "bad.conf", "bad.conf:4:"]
        assert run("0", "good.conf", "--check-config", directory=tmp_path).returncode == 0
        twice = run(port, "good.conf", "--check-config", directory=tmp_path)
        assert (twice.returncode, twice.stderr) == (
            1, f"server.py: good.conf:2: 127.0.0.1:{port} cannot be opened, since 127.0.0.1:{port} is, too\n"
        )  # fmt: skip
        assert run(port, "none.conf", "--check-config", directory=tmp_path).stderr.count("\n") == 1
        for words in (["--check-config"], ["--check-config", "0", "--max-users", "x"]):
            assert run(*words, directory=tmp_path).returncode == 1
    assert [*tmp_path.glob("*.db*")] == []


def test_a_check_finds_places_where_nothing_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """C52: the start itself would find them when it makes these files."""
    monkeypatch.chdir(tmp_path)
    for name in ("locked", "free"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link.db").symlink_to("missing/chat.db")
    monkeypatch.setattr(
        "os.access", lambda path, _mode: str(path) not in ("locked", str(tmp_path / "locked"), "read.db")
    )
    (tmp_path / "read.db").touch()
    rows = {
        "database missing/chat.db": f"there is no directory {tmp_path}/missing",
        "database file/chat.db": f"there is no directory {tmp_path}/file",
        "database locked/chat.db": f"nothing can be written to the directory {tmp_path}/locked",
        "database link.db": f"there is no directory {tmp_path}/missing",
        "database free": "the database free is no file that can be read and written",
        "database read.db": "the database read.db is no file that can be read and written",
        "control missing/x": "there is no directory missing",
        "control locked/x": "nothing can be written to the directory locked",
        f"control {'x' * 108}": "the path of the control socket has more than 107 bytes",
        "control file": "the control socket cannot be made: file is there, and is no socket",
        **dict.fromkeys(["database free/chat.db", "database :memory:", "control none", "control free/x"], ""),
    }
    for line, reason in rows.items():
        (tmp_path / "my.conf").write_text(f"listen 0 auto\n{line}\n")
        with pytest.raises(SystemExit) as end:
            read_or_exit(parse_command_line(["my.conf", "--check-config"]))
        assert end.value.code == bool(reason)
        assert capsys.readouterr().err == (f"server.py: my.conf:2: {reason}\n" if reason else "")
        assert read_or_exit(parse_command_line(["my.conf"])).errors == []


def test_the_ready_line_tells_the_whole_path_and_whether_the_file_is_new(tmp_path: Path) -> None:
    """C46."""
    for mark in (r" \(new file\)", ""):
        with ServerProcess(tmp_path, "database my chat.db") as server:
            server.wait_for(f" ready .* database={re.escape(str(tmp_path))}/my chat.db{mark}$")
    with ServerProcess(tmp_path, "database :memory:") as server:
        server.wait_for(" ready .* database=:memory:$")
    (tmp_path / "empty.db").touch()
    with ServerProcess(tmp_path, "database empty.db") as server:
        server.wait_for(r"/empty.db \(new file\)$")


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
    servers = [
        Server(read_options(parse_command_line(["0", "my.conf", "--database", ":memory:"])).settings) for _ in range(2)
    ]
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
