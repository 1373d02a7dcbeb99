"""Playing the steps of servers: their processes, ports, output and commands."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from harness import player, processes, servers
from harness.actors import Stage
from harness.language import parse
from harness.peer import PATIENCE
from harness.player import perform
from harness.processes import (
    FIRST_PORT,
    LAST_PORT,
    OUR_COMMAND,
    Ports,
    Process,
    Processes,
    Settings,
    command_words,
    is_free,
    program_words,
    server_command,
)
from harness.report import describe
from harness.servers import ServerProcess
from harness.text import Failed
from support.runner import PASSING, check_fails, check_passes, connected, script, staged


def test_console_and_standard_error(runner_settings: Settings) -> None:
    check_passes(
        connected("""
            server > hello   you
            server > again
            server < typed hello you
            server </ typed a.*
            c > !log('one') or log('two') or log('two')
            server ? ^one$
            server ? tw
            server ? two
            server !
            """),
        runner_settings,
    )


def test_all_that_a_process_has_written_is_read_when_its_end_is_told(tmp_path: Path) -> None:
    words = "import os; os.write(2, b'a line\\n' * 9000); os.write(1, b'another\\n' * 8000); os._exit(3)"
    process = Process([sys.executable, "-S", "-c", words], tmp_path, servers.PROCESSES)
    assert process.wait(time.monotonic() + PATIENCE) == 3
    assert (len(process.log.lines), len(process.output.lines)) == (9000, 8000)
    process.judged = True
    process.close(True, time.monotonic() + PATIENCE)


def test_standard_error_is_read_once(runner_settings: Settings, tmp_path: Path) -> None:
    case = connected("c > !log('one') or log('two')\nserver ? two\nserver ? one")
    with staged(case, runner_settings, tmp_path) as stage:
        stage.settings = dataclasses.replace(runner_settings, deadline=0.05)
        with pytest.raises(Failed, match="no new line"):
            perform(stage, case.steps[-1])
        stage.settings = runner_settings


def test_a_server_that_talks_a_lot_is_never_blocked(runner_settings: Settings) -> None:
    check_passes(
        connected("c > !log('x' * 300000) or print('y' * 300000, flush=True) or say('done')\nc < done"),
        runner_settings,
    )


def test_config_words_and_ports(runner_settings: Settings) -> None:
    check_passes(
        script("""
            server = peer 127.0.0.1:$5051
            server @ 5050 --own $5050 --peer 127.0.0.1:$5051
            c ~ server
            c > !say(config[0], len(config))
            c < bcrypt-cost 4 2
            c > !say(config[1].split()[1] == sys.argv[6], int(sys.argv[4]) == port, port != 5050)
            c < True True True
            server = for the next start
            server !
            server @
            c <!
            c ~ server
            c > !say(config[2], *sys.argv[3::2])
            c < for the next start --own --peer
            """),
        runner_settings,
    )


def test_another_port_of_a_server(runner_settings: Settings) -> None:
    check_passes(
        script("""
            server = !other = socket.create_server(("127.0.0.1", $5051))
            server @ 5050
            c ~ server 5051
            d ~ server
            d > !other.accept()[0].send(b"welcome\\n")
            c < welcome
            """),
        runner_settings,
    )


def test_exact_ports(runner_settings: Settings) -> None:
    with Ports().take() as claim:
        port = claim.getsockname()[1]
        case = parse(f"server @ {port}\nc ~ server {port}\nc > !say(port)\nc < {port}")
        check_passes(case, dataclasses.replace(runner_settings, exact_ports=True))


@pytest.mark.parametrize("end", ["server !", "server !!", "c > !os._exit(3)\nserver <! 3"])
def test_a_restarted_server_has_its_port_and_its_files(end: str, runner_settings: Settings) -> None:
    check_passes(
        connected(f"""
c > !open(str(port), "w").write("kept") and say("written")
c < written
{end}
server @
c <!
c ~ server
c > !say(open(str(port)).read())
c < kept
server ? ready
"""),
        runner_settings,
    )


def test_two_servers_of_one_case(runner_settings: Settings) -> None:
    check_passes(
        script("""
            one = peer $5052
            one @ 5051
            two @ 5052
            c ~ one
            d ~ two
            c > !say(sorted(os.listdir()))
            c < ['one.conf', 'two.conf']
            one !
            d > still here
            d < still here
            """),
        runner_settings,
    )


REFUSED = "server = !sys.exit('no such directive')\nserver @ 5050\n"


def test_a_server_that_refuses_to_start(runner_settings: Settings) -> None:
    check_passes(script(REFUSED), runner_settings)
    check_passes(script(REFUSED + "server <! 1\nserver ? no such"), runner_settings)
    check_passes(script(REFUSED + "server ? no such\nserver <! 1\nserver @\nserver <! 1"), runner_settings)


@pytest.mark.parametrize("use", ["c ~ server", *(f"server {action}" for action in ("> x", "< x", "</ x", "!", "!!"))])
def test_using_a_server_that_refused_to_start_fails(use: str, runner_settings: Settings) -> None:
    failure = check_fails(script(REFUSED + use), runner_settings)
    assert failure.message == "the server ended before it was ready"
    assert failure.line == 3
    assert failure.stderr == {"server": ["no such directive"]}


def test_a_server_that_is_never_ready_fails(runner_settings: Settings, foreign_settings: Settings) -> None:
    case = script("server = !wait()\nserver @ 5050")
    for impatient in (runner_settings, foreign_settings):
        failure = check_fails(case, dataclasses.replace(impatient, deadline=0.05))
        assert failure.line == 2
        assert "in time" in failure.message


def test_a_command_that_cannot_be_started_fails(runner_settings: Settings) -> None:
    failure = check_fails(script("server @ 5050"), dataclasses.replace(runner_settings, command=("/no/such/program",)))
    assert "cannot start /no/such/program" in failure.message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("c > !os._exit(3)\nc <!", "ended with exit status 3"),
        ("c > !os.kill(os.getpid(), 9)\nc <!", "ended with signal 9"),
        ("c > !1/0\nserver ? ZeroDivisionError", "wrote a traceback"),
        ("c > !1/0\nserver ? ZeroDivisionError\nserver !!\nserver @", "wrote a traceback"),
    ],
)
def test_a_server_that_does_not_live_well_fails_its_case(lines: str, message: str, runner_settings: Settings) -> None:
    failure = check_fails(connected(lines), runner_settings)
    assert message in failure.message
    assert failure.line == 1


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("lambda *_: os._exit(3)", "ended with exit status 3"),
        ("signal.SIG_DFL", "ended with signal 15"),
    ],
)
def test_a_server_that_does_not_stop_well_fails_its_case(handler: str, message: str, runner_settings: Settings) -> None:
    head = f"server = !signal.signal(signal.SIGTERM, {handler})\nserver @ 5050\n"
    failure = check_fails(parse(head), runner_settings)
    assert failure.message == f"the server {message}"
    assert failure.line == 2
    assert check_fails(parse(head + "server !"), runner_settings).line == 3


def test_a_server_that_does_not_stop_at_all_is_killed(runner_settings: Settings, tmp_path: Path) -> None:
    case = parse("server = !signal.signal(signal.SIGTERM, signal.SIG_IGN)\nserver @ 5050\nc ~ server")
    stage = Stage(case.roles, runner_settings, tmp_path)
    for step in case.steps:
        perform(stage, step)
    stage.settings = dataclasses.replace(runner_settings, deadline=0.05)
    assert stage.close() == [("server", "did not end in time when it was stopped")]


def test_a_server_that_ended_by_itself(runner_settings: Settings) -> None:
    check_passes(connected("c > !os._exit(0)\nc <!"), runner_settings)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("server !", "ended by itself, with exit status 0"),
        ("server !!", "ended by itself, with exit status 0"),
        ("server > x", "cannot write to the console"),
        ("d ~ server", "cannot connect"),
    ],
)
def test_using_a_server_that_ended_by_itself_fails(
    use: str, message: str, runner_settings: Settings, tmp_path: Path
) -> None:
    case = connected(f"c > !os._exit(0)\n{use}")
    with staged(case, runner_settings, tmp_path) as stage:
        assert stage.servers["server"].processes[-1].wait(stage.until()) == 0
        with pytest.raises(Failed, match=message):
            perform(stage, case.steps[-1])


def test_somebody_elses_server(foreign_settings: Settings) -> None:
    check_passes(parse("server = !os.dup2(os.open(os.devnull, os.O_WRONLY), 2)\n" + PASSING), foreign_settings)
    check_passes(connected("c > !say(len(sys.argv))\nc < 2"), foreign_settings)
    check_passes(
        parse("server = x\nserver @ 5050 y\nc ~ server\nc > !say(config, sys.argv[3])\nc < ['x'] y"), foreign_settings
    )
    check_passes(parse("server = !signal.signal(signal.SIGTERM, signal.SIG_DFL)\nserver @ 5050"), foreign_settings)
    check_passes(script(REFUSED + "server <! 1"), foreign_settings)


def test_command_words() -> None:
    config = Path("/x/s.conf")

    def words(template: str, has_directives: bool = False) -> str:
        return " ".join(command_words(template.split(), 20001, config, has_directives))

    assert words("s") == "s 20001"
    assert words("s", True) == "s 20001 /x/s.conf"
    assert words("s --port={port}") == "s --port=20001"
    assert words("s {config} {port}") == "s /x/s.conf 20001"
    assert words("s {config}", True) == "s /x/s.conf 20001"


def test_command_words_alone(foreign_settings: Settings) -> None:
    assert program_words(["s", "-v", "{port}", "{config}"]) == ["s", "-v"]
    assert program_words(OUR_COMMAND) == list(OUR_COMMAND[:2])
    check_passes(parse("server @@ 5050 $5050 $config x\nc ~ server\nc > !say(len(sys.argv))\nc < 4"), foreign_settings)


def test_the_servers_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CROSSTALK_SERVER", raising=False)
    assert server_command() == OUR_COMMAND
    assert Settings(command=server_command()).is_ours
    monkeypatch.setenv("CROSSTALK_SERVER", "measure 'a b'")
    assert server_command() == ("measure", "a b")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").touch()
    assert server_command("./theirs {port}") == (str(tmp_path / "theirs"), "{port}")
    assert not Settings(command=server_command("x")).is_ours


def test_an_error_of_the_runner_fails_the_case(runner_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(player, "perform", broken)
    failure = check_fails(script("server @ 5050"), runner_settings)
    assert failure.line == 1
    assert "RuntimeError: a bug" in failure.message


def test_directories_are_removed_unless_kept(
    runner_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert check_passes(script("server @ 5050"), runner_settings).directory is None
    assert not any(tmp_path.iterdir())
    record = check_passes(script("server @ 5050"), dataclasses.replace(runner_settings, keep=True))
    assert record.directory is not None
    assert [file.name for file in Path(record.directory).iterdir()] == ["server.conf"]
    assert record.directory in describe(record)


def test_no_process_outlives_a_run_that_was_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The signal may come while one is being started."""
    waiting = [sys.executable, "-IS", "-c", "input()"]
    processes = Processes()
    popen = subprocess.Popen

    def interrupted(*words: Any, **options: Any) -> subprocess.Popen[bytes]:
        processes.close()
        return popen(*words, **options)

    early = processes.start(waiting, tmp_path)
    monkeypatch.setattr(subprocess, "Popen", interrupted)
    late = processes.start(waiting, tmp_path)
    for process in (early, late):
        assert isinstance(process, popen)
        with process:
            assert process.wait(PATIENCE) == -signal.SIGKILL
    with pytest.raises(Failed, match="interrupted"):
        processes.start(waiting, tmp_path)


def test_a_server_that_is_not_ready_is_not_left_behind(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    with pytest.raises(IsADirectoryError):
        ServerProcess(tmp_path)
    (tmp_path / "config").rmdir()
    with pytest.raises(AssertionError, match=r"no line of the log matches.*nonsense"):
        ServerProcess(tmp_path, "nonsense")
    assert not servers.PROCESSES._alive


def test_ports_are_never_handed_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "randint", lambda _, last: last - 10)
    with contextlib.ExitStack() as claims:

        def take(ports: Ports) -> int:
            port: int = claims.enter_context(ports.take()).getsockname()[1]
            return port

        one, other = Ports(), Ports()
        taken = [take(ports) for _ in range(25) for ports in (one, other)]
    assert len(set(taken)) == 50
    assert all(FIRST_PORT <= port <= LAST_PORT for port in taken)


def test_only_free_ports_are_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with Ports().take() as claim:
        port = claim.getsockname()[1]
        assert is_free(port)
        for address in ("127.0.0.1", "127.0.0.2"):
            with socket.create_server((address, port)):
                assert not is_free(port)
    monkeypatch.setattr(processes, "is_free", lambda port: port % 100 == 7)
    with Ports().take() as claim:
        assert claim.getsockname()[1] % 100 == 7
    monkeypatch.setattr(processes, "is_free", lambda _: False)
    with pytest.raises(Failed, match="free"):
        Ports().take()
