"""Where the control socket is, and `server.py --control`."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app import operate
from app.control import ControlSocket, default_path
from app.node import StartError
from app.operate import DONE, FAILED, UNUSABLE
from dialects.operator.control import FULL
from harness.servers import ServerProcess
from net.admin_listener import MAX_OPEN
from net.loop import Loop
from settings import Settings
from support.programs import SERVER


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def opened(loop: Loop, database: Path | str, control: str | None = None) -> ControlSocket:
    return ControlSocket(
        Settings(control=control),
        str(database),
        partial(loop.listen_admin, accepted=lambda _connection: pytest.fail()),
    )


@pytest.mark.parametrize(
    ("database", "path"),
    [("crosstalk-1.db", "crosstalk-1.control"), ("a/b.sqlite", "a/b.sqlite.control"), (":memory:", "none")],
)
def test_the_default_path(database: str, path: str) -> None:
    """P12."""
    assert default_path(database) == path


def test_a_socket_stands_beside_the_database_until_the_end(
    tmp_path: Path, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    """P12."""
    caplog.set_level("INFO")
    control = opened(loop, tmp_path / "chat.db")
    assert (tmp_path / "chat.control").is_socket()
    assert caplog.messages == [f"control socket path={tmp_path / 'chat.control'}"]
    control.remove()
    control.remove()
    assert not (tmp_path / "chat.control").exists()


@pytest.mark.parametrize("database", ["x" * 150 + ".db", "missing/chat.db", ":memory:", "taken.db"])
def test_a_default_path_that_cannot_be_had_is_a_line_in_the_log(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    """P12."""
    caplog.set_level("INFO")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.control").write_text("precious")
    opened(loop, database).remove()
    (line,) = caplog.messages
    assert line.startswith("no control socket")
    assert "set control <path>" in line
    assert (tmp_path / "taken.control").read_text() == "precious"


@pytest.mark.parametrize("path", ["x" * 150, "missing/chat.control", "taken.control"])
def test_a_path_of_the_config_that_cannot_be_had_ends_the_start(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: Loop
) -> None:
    """P12."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.control").write_text("precious")
    with pytest.raises(StartError, match=f"cannot open the control socket {path}: .+; choose another path"):
        opened(loop, "chat.db", path)


def test_it_can_be_turned_off_and_set(tmp_path: Path, loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """P12."""
    caplog.set_level("INFO")
    opened(loop, tmp_path / "chat.db", "none").remove()
    assert caplog.messages == []
    assert list(tmp_path.iterdir()) == []
    control = opened(loop, ":memory:", str(tmp_path / "here"))
    assert (tmp_path / "here").is_socket()
    control.remove()


# ---- the program ----


class Answering:
    """A control socket whose answers a test gives. `asked` has the line that came."""

    def __init__(self, directory: Path, answer: bytes) -> None:
        self.path = str(directory / "x.control")
        self.asked = b""
        self._answer = answer
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.bind(self.path)
        self._sock.listen(1)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _address = self._sock.accept()
        with connection, connection.makefile("rwb") as stream:
            self.asked = stream.readline()
            stream.write(self._answer)

    def close(self) -> None:
        self._thread.join()
        self._sock.close()
        os.unlink(self.path)


Ask = Callable[..., tuple[int, str, str, bytes]]


@pytest.fixture
def ask(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Send a command to a socket with this answer; return the status, what was printed, and the line that came."""

    def run(answer: bytes, *words: str, typed: str = "") -> tuple[int, str, str, bytes]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        server = Answering(tmp_path, answer)
        try:
            status = operate.main([server.path, *words])
        finally:
            server.close()
        printed = capfd.readouterr()
        return status, printed.out, printed.err, server.asked

    return run


@pytest.mark.parametrize(
    ("answer", "status", "out", "err"),
    [
        (b"OK\n", DONE, "", ""),
        (b"OK Kicked ann.\n", DONE, "Kicked ann.\n", ""),
        (b" one\n  two\n OK\nOK\n", DONE, "one\n two\nOK\n", ""),
        (b"ERROR ann is not in x.\n", FAILED, "", "server.py: ann is not in x.\n"),
        (b" one\nERROR The database cannot be read.\n", FAILED, "one\n", "server.py: The database cannot be read.\n"),
        (b"USAGE Usage: kick\n", UNUSABLE, "", "server.py: Usage: kick\n"),
        (b"", FAILED, "", "server.py: the server has closed the connection\n"),
        (b" one\n", FAILED, "one\n", "server.py: the server has closed the connection\n"),
    ],
)
def test_an_answer_becomes_output_and_a_status(ask: Ask, answer: bytes, status: int, out: str, err: str) -> None:
    """P14."""
    assert ask(answer, "kick", "x", "ann") == (status, out, err, b"kick x ann\n")


def test_words_make_one_line(ask: Ask) -> None:
    """P14."""
    _status, _out, _err, asked = ask(b"OK\n", "announce", "one\ntwo\r\nthree\u2028four", os.fsdecode(b"\xff"))
    assert asked == b"announce one two three four \xff\n"


def test_a_password_is_no_word_of_a_command_line(
    ask: Ask, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """P14."""
    assert ask(b"OK\n", "reset-password", "ann", "-", typed="a secret\nx\n")[3] == b"reset-password ann a secret\n"
    assert ask(b"OK\n", "reset-password", "ann")[3] == b"reset-password ann\n"
    for nothing in ("", "\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(nothing))
        assert operate.main(["nowhere", "reset-password", "ann", "-"]) == UNUSABLE
        assert capfd.readouterr().err == "server.py: there is no password on standard input\n"
    for command in operate.PASSWORD_COMMANDS:
        assert operate.main(["nowhere", command, "ann", "secret"]) == UNUSABLE
        printed = capfd.readouterr().err
        assert "a command line is no place for a password" in printed
        assert "secret" not in printed


@pytest.mark.parametrize("words", [[], ["path"], ["path", ""], ["path", " ", "\n"]])
def test_the_program_needs_a_path_and_a_command(words: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """P14."""
    assert operate.main(words) == UNUSABLE
    assert capfd.readouterr().err.startswith("server.py: usage: ")


@pytest.mark.parametrize("path", ["missing", "x" * 200, "file", "stale"])
def test_a_server_that_cannot_be_reached(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """P14."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind("stale")
    assert operate.main([path, "status"]) == UNUSABLE
    assert capfd.readouterr().err.startswith(f"server.py: cannot connect to {path}: ")


def test_a_connection_that_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """P12, P14: the reason is printed, although the command cannot be sent any more."""
    path = str(tmp_path / "x")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(path)
        sock.listen(1)

        def connect(_path: str) -> socket.socket:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.connect(path)
            connection, _address = sock.accept()
            with connection:
                connection.sendall(FULL)
            return client

        monkeypatch.setattr(operate, "_connect", connect)
        assert operate.main([path, "status"]) == FAILED
    assert "All places here are taken" in capfd.readouterr().err


def test_a_server_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """P14."""
    monkeypatch.setattr(operate, "ANSWER_SECONDS", 0.05)
    path = str(tmp_path / "x")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(path)
        sock.listen(1)
        assert operate.main([path, "status"]) == FAILED
    assert "does not answer" in capfd.readouterr().err


def run(directory: Path, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SERVER, "--control", *words],
        cwd=directory, capture_output=True, text=True, timeout=60, check=False, **more,
    )  # fmt: skip


def test_a_server_and_its_operator(tmp_path: Path) -> None:
    """P12 to P15, P18."""
    with ServerProcess(tmp_path) as server:
        path = f"crosstalk-{server.port}.control"
        with server.user("ann") as ann:
            ann.ask("CREATE tea", "JOIN tea", "SAY tea hi")
            done = run(tmp_path, path, "users")
            assert (done.returncode, done.stdout) == (DONE, "ann dialect=result address=127.0.0.1\n")
            assert run(tmp_path, path, "kick", "tea", "ann").stdout == "Kicked ann.\n"
            assert ann.line() == "RESULT KICKED tea"
        assert run(tmp_path, path, "kick", "tea", "ann").returncode == FAILED
        done = run(tmp_path, path, "kicc")
        assert (done.returncode, done.stderr) == (UNUSABLE, "server.py: There is no command kicc; try help.\n")
        assert "accounts 1\n" in run(tmp_path, path, "status").stdout
        with contextlib.ExitStack() as idle:
            socks = [idle.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) for _ in range(MAX_OPEN)]
            for sock in socks:
                sock.connect(str(tmp_path / path))
            done = run(tmp_path, path, "shutdown")
            assert (done.returncode, done.stderr) == (FAILED, f"server.py: {FULL.decode().removeprefix('ERROR ')}")
            socks[0].sendall(b"shutdown")
            socks[0].shutdown(socket.SHUT_WR)
            assert server.wait() == 0
        assert not (tmp_path / path).exists()
        assert run(tmp_path, path, "status").returncode == UNUSABLE


def test_servers_of_one_directory_have_sockets_of_their_own(tmp_path: Path) -> None:
    """P12. A server that is started for a database in use does not take its socket."""
    with ServerProcess(tmp_path) as one, ServerProcess(tmp_path) as other:
        assert {path.name for path in tmp_path.glob("*.control")} == {
            f"crosstalk-{server.port}.control" for server in (one, other)
        }
        for server in (one, other):
            assert run(tmp_path, f"crosstalk-{server.port}.control", "shutdown").returncode == DONE
            assert server.wait() == 0


def test_a_socket_of_a_killed_server_is_replaced(tmp_path: Path) -> None:
    """P12."""
    with ServerProcess(tmp_path, "database chat.db") as server:
        server.process.kill()
    assert (tmp_path / "chat.control").exists()
    with ServerProcess(tmp_path, "database chat.db"):
        assert run(tmp_path, "chat.control", "status").returncode == DONE


def test_a_list_whose_reader_leaves(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server, server.user("ann") as ann:
        ann.ask("CREATE tea", "JOIN tea", *["SAY tea " + "x" * 1000] * 300)
        command = f"{sys.executable} {SERVER} --control crosstalk-{server.port}.control export tea | head -c 1"
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.stdout, done.stderr) == ("{", "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize(("answer", "err"), [
    (b" one\nOK\n", "cannot write the answer: No space left on device"),
    (b"OK Kicked ann.\n", "cannot write the answer: No space left on device"),
    (b" " + b"x" * 20000 + b"\nOK\n", "cannot write the answer: No space left on device"),
    (b" one\nERROR The database cannot be read.\n", "cannot write the answer: No space left on device"),
    (b"ERROR no\n", "no"),
])  # fmt: skip
def test_an_answer_that_cannot_be_written_is_no_success(tmp_path: Path, answer: bytes, err: str) -> None:
    """P14: a file of cron on a full disk."""
    server = Answering(tmp_path, answer)
    try:
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [sys.executable, SERVER, "--control", server.path, "export", "tea"],
                stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            )  # fmt: skip
    finally:
        server.close()
    assert (done.returncode, done.stderr) == (FAILED, f"server.py: {err}\n")


def test_a_server_that_ends_in_the_middle_of_an_answer(tmp_path: Path) -> None:
    """P14: its end may come as an error of the socket, too."""
    path = str(tmp_path / "x.control")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as sock:
        sock.bind(path)
        sock.listen(1)
        with subprocess.Popen(
            [sys.executable, SERVER, "--control", path, "users"], stderr=subprocess.PIPE, text=True
        ) as command:
            connection, _address = sock.accept()
            connection.recv(1)  # the rest stays unread, so the close is a reset
            connection.close()
            _out, err = command.communicate(timeout=60)
    assert command.returncode == FAILED
    assert "the answer is lost: " in err or "closed the connection" in err
