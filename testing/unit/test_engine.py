"""engine.py: the command line, what it configures, and real engines from their start to their end."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from harness.cluster import free_base
from harness.processes import ROOT
from harness.servers import free_ports
from replica.engines import HEALTH_PORT, ROUTE_PORT, Copy, Engine, EngineError, Plan, find_binary, log_state, waited
from support.engines import NEEDS_ENGINE

HOSTS = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


# ---- the command line ----


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "the following arguments are required: command"),
        (["begin"], "argument command: invalid choice: 'begin'"),
        (["start", "1"], "start needs no words, or K and the addresses"),
        (["start", "1", *HOSTS[:2]], "start needs no words, or K and the addresses"),
        (["start", "0", *HOSTS], "argument K: '0' is not a number from 1 to 3"),
        (["start", "4", *HOSTS], "argument K: '4' is not a number from 1 to 3"),
        (["start", "two", *HOSTS], "argument K: 'two' is not a number"),
        (["start", "2", "a", "b", "c"], "'a' is not an IP address"),
        (["start", "2", HOSTS[0], HOSTS[1], HOSTS[0]], "an address stands twice"),
        (["start", "1", "0.0.0.0"], "0.0.0.0 is all addresses"),
        (["start", "1", *HOSTS, "--engines", "3"], "--engines is for engines on one machine"),
        (["start", "--engines", "2"], "argument --engines: invalid choice: 2"),
        (["start", "--port", "0"], "argument --port: '0' is not a number from 1 to 65535"),
        (["start", "--port", "65400"], "choose a port up to 65330"),
        (["restart"], "restart needs one K"),
        (["restart", "1", "2"], "restart needs one K"),
        (["restart", "x"], "argument K: 'x' is not a number from 1 to 5"),
        (["stop", "1"], "stop needs no words"),
        (["status", "--port", "4222"], "--port belongs to start; status remembers it"),
        (["restart", "1", "--password-file", "p"], "--password-file belongs to start"),
        (["status", "--tls-key", "k"], "--tls-key belongs to start"),
        (["start", "--tls-key", "k"], "--tls-certificate and --tls-key belong together"),
        (["start", "--tls-ca", "c"], "--tls-ca is for --tls-certificate"),
        (["stop", "--binary", "x"], "--binary belongs to start and restart"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(
    words: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        engine.main(words)
    assert end.value.code == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("engine.py: ")
    assert reason in error


def test_the_help_has_every_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        engine.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for word in (*engine.COMMANDS, "--port", "--directory", "--password-file", "--binary", "--engines"):
        assert word in text


def test_output_that_cannot_be_written_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(engine.COMMANDS, "status", lambda _arguments: print("engine") or 0)
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert engine.main(["status"]) == 1
    assert capsys.readouterr().err == "engine.py: No space left on device\n"


@pytest.mark.parametrize("command", [["status"], ["stop"], ["restart", "1", "--binary", "/bin/true"]])
def test_where_nothing_was_started_it_says_so(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert engine.main([*command, "--directory", str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert "no engine was started in" in error or "/bin/true is no nats-server" in error


# ---- the program ----


def program(path: Path, words: str) -> str:
    path.write_text(f"#!/bin/sh\necho '{words}'\n")
    path.chmod(0o700)
    return str(path)


@pytest.mark.parametrize(
    ("words", "reason"),
    [("hello", "is no nats-server"), ("nats-server: v2.12.9", "is v2.12.9; it must be 2.14 or newer")],
)
def test_a_program_that_cannot_keep_the_promises_is_refused(words: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=reason):
        find_binary(program(tmp_path / "nats-server", words), "")


def test_the_program_of_the_setup_goes_before_that_of_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("environment/bin", "path"):
        (tmp_path / place).mkdir(parents=True)
    on_path = program(tmp_path / "path" / "nats-server", "nats-server: v2.15.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:{os.environ['PATH']}")
    environment = str(tmp_path / "environment")
    assert find_binary(None, environment) == on_path
    own = program(tmp_path / "environment/bin/nats-server", "nats-server: v2.14.6")
    assert find_binary(None, environment) == own
    monkeypatch.setenv("PATH", "")
    with pytest.raises(EngineError, match=r"run \./setup --engine"):
        find_binary(None, str(tmp_path))


# ---- the configuration ----


def test_engines_of_one_machine_let_everybody_of_it_in() -> None:
    plan = Plan.on_one_machine(3, 5000)
    config = plan.config(2, "/data/2", "")
    assert (config["listen"], config["http"]) == ("127.0.0.1:5001", f"127.0.0.1:{5001 + HEALTH_PORT}")
    assert config["no_auth_user"] == "chat"
    assert config["jetstream"]["sync_interval"] == "always"
    assert config["cluster"]["routes"] == [f"nats-route://127.0.0.1:{port + ROUTE_PORT}" for port in (5000, 5002)]
    assert "authorization" not in config["cluster"]


def test_engines_of_three_machines_want_the_password_everywhere() -> None:
    plan = Plan.on_machines(2, HOSTS, 4222)
    assert plan.own == [2]
    config = plan.config(2, "/data/2", "open: sesame")
    assert (config["listen"], config["http"]) == ("10.0.0.2:4222", "127.0.0.1:4422")
    assert "no_auth_user" not in config
    assert config["cluster"]["listen"] == "10.0.0.2:4322"
    assert config["cluster"]["authorization"] == {"user": "chat", "password": "open: sesame"}
    assert config["cluster"]["routes"][0] == "nats-route://chat:open%3A%20sesame@10.0.0.1:4322"


def test_a_single_engine_has_no_routes() -> None:
    assert "cluster" not in Plan.on_one_machine(1, 4222).config(1, "/data/1", "")


def test_the_rights_are_those_of_a_node() -> None:
    (user,) = Plan.on_one_machine(3, 4222).config(1, "/d", "")["authorization"]["users"]
    assert user["permissions"]["publish"]["deny"] == ["ct.*.r"]
    assert all(not right.startswith("$JS.API.STREAM.DELETE") for right in user["permissions"]["publish"]["allow"])
    assert ">" not in user["permissions"]["subscribe"]


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert str(Engine(1, "::1", 4222)) == "[::1]:4222"


def test_what_is_said_of_a_log() -> None:
    replicas = [
        {"name": "engine-1", "current": True, "lag": 0},
        {"name": "engine-3", "current": False, "lag": 12},
    ]
    detail = {
        "state": {"first_seq": 5, "last_seq": 17, "bytes": 2048},
        "cluster": {"leader": "engine-2", "replicas": replicas},
    }
    log = log_state("garden", detail)
    assert log.copies == [Copy("1", "current", 0), Copy("2", "leads", 0), Copy("3", "behind", 12)]
    assert not log.is_current
    assert engine.log_row(log) == ("garden", "5 to 17", "2,048", "1 current, 2 leads, 3 behind by 12 entries")
    replicas[1] = {"name": "engine-3", "current": True, "offline": True, "lag": 0}
    assert log_state("garden", detail).copies[2] == Copy("3", "away", 0)
    assert engine.log_row(engine.complete([], ["CT_garden"])[0]) == ("garden", "", "", "no leader")


# ---- real engines ----


class Engines:
    """engine.py in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "engine.py"), *words]
        return subprocess.run(command, cwd=self.directory, capture_output=True, text=True, timeout=60, check=False)

    def pid(self, number: int) -> int:
        return int((self.directory / "engines" / str(number) / "pid").read_text())


@pytest.fixture
def engines(tmp_path: Path) -> object:
    made = Engines(tmp_path)
    yield made
    made.run("stop")


@NEEDS_ENGINE
def test_three_engines_from_start_to_stop(engines: Engines) -> None:
    port = free_base()
    started = engines.run("start", "--port", str(port))
    assert (started.returncode, started.stderr) == (0, "")
    assert started.stdout == "".join(f"engine {n} runs at 127.0.0.1:{port + n - 1}\n" for n in (1, 2, 3))
    pids = [engines.pid(number) for number in (1, 2, 3)]
    assert [os.getsid(pid) for pid in pids] == pids, "each leads a session of its own"

    os.kill(pids[1], signal.SIGKILL)
    assert waited(lambda: engines.run("status").returncode == 1, 10)
    assert "stopped" in engines.run("status").stdout
    again = engines.run("start")
    assert "engine 1 ran already" in again.stdout
    assert "engine 2 runs at" in again.stdout
    assert engines.pid(1) == pids[0]

    other = engines.run("start", "--port", str(port + 1000))
    assert other.returncode == 1
    assert other.stderr == "engine.py: engines in engines run with other options; stop them first: engine.py stop\n"

    restarted = engines.run("restart", "3")
    assert restarted.stdout == f"engine 3 runs at 127.0.0.1:{port + 2}, and every copy is current\n"
    assert engines.pid(3) != pids[2]
    assert engines.run("restart", "4").returncode == 1

    status = engines.run("status")
    assert status.returncode == 0
    assert status.stdout.count(" ready ") == 3
    assert engines.run("stop").stdout == "".join(f"engine {number} has stopped\n" for number in (1, 2, 3))
    assert engines.run("stop").stdout == "".join(f"engine {number} did not run\n" for number in (1, 2, 3))


@NEEDS_ENGINE
def test_an_engine_of_three_machines_waits_for_the_others(engines: Engines) -> None:
    (engines.directory / "p").write_text("open sesame\n")
    port = free_base()
    words = ("start", "2", "127.0.0.1", "127.0.0.2", "127.0.0.3", "--password-file", "p", "--port", str(port))
    started = engines.run(*words)
    assert started.returncode == 0
    assert started.stderr == "no log can be written until more engines run; start them on the other machines\n"
    status = engines.run("status").stdout
    assert "waits for others" in status
    assert status.count("elsewhere") == 2
    for path in ("engines/password", "engines/2/engine.conf"):
        assert stat.S_IMODE((engines.directory / path).stat().st_mode) == 0o600
    assert json.loads((engines.directory / "engines/plan.json").read_text())["own"] == [2]


@NEEDS_ENGINE
def test_an_engine_that_cannot_listen_says_why(engines: Engines) -> None:
    import socket

    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        started = engines.run("start", "--engines", "1", "--port", str(port))
    assert started.returncode == 1
    assert started.stderr.startswith("engine.py: engine 1 has ended: ")
    assert "address already in use" in started.stderr
