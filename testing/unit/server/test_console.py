"""Channels with ports, the console and the log of the chat."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import server as server_module
from harness.peer import PATIENCE, Peer
from protocol import Session
from server import MAX_TYPED, Server
from support.programs import SERVER, TEXT, on, run, start


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


def test_a_terminal_that_hangs_up_ends_the_server_in_order(tmp_path: Path) -> None:
    """C21, P15: a typo is answered before, on standard error alone."""
    ours, theirs = os.openpty()
    errors = tmp_path / "errors"
    with errors.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, SERVER, "0"],
            cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=stderr, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
    os.close(theirs)

    def wait_for(words: str) -> None:
        until = time.monotonic() + PATIENCE
        while words not in errors.read_text():
            assert time.monotonic() < until, errors.read_text()
            time.sleep(0.02)

    try:
        wait_for(" ready ")
        os.write(ours, b"kicc\n/kick a:b\n")
        wait_for("There is no command kicc; try help.")
        os.close(ours)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    wait_for("INFO stopping")


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
    "channel lobby 5001": "rooms.conf:1: channel needs <name> <port> <capacity> [tls], not 'lobby 5001'",
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
    "channel a 5001 5\nchannel b 5002 5": "rooms.conf:2: channel stands 2 times; it needs 3 or more, or none",
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
