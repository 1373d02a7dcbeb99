"""The command line of the case runner, and pytest as another one."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import testing
from harness import cases
from harness.cases import case_name, find_cases
from harness.peer import PATIENCE
from harness.processes import (
    ROOT,
)
from harness.report import shorten
from support.runner import PASSING


@pytest.fixture
def project(tmp_path: Path, fake_program: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the runner, the fake server in the place of ours, and an empty `testing/`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CROSSTALK_SERVER", raising=False)
    shutil.copy(ROOT / "testing.py", tmp_path)
    shutil.copytree(ROOT / "harness", tmp_path / "harness")
    shutil.copy(fake_program, tmp_path)
    (tmp_path / "testing").mkdir()
    return tmp_path


def add_case(project: Path, name: str, text: str) -> None:
    path = project / "testing" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


FAILING = "server @ 5050\nc ~ server\n\nc > hi\nc < ho # no\n"


def run_main(project: Path, fake_program: Path, *words: str) -> int:
    command = shlex.join([sys.executable, "-IS", str(fake_program)])
    return testing.main(["--server", command, *words], project / "testing")


def test_cases_are_found(project: Path) -> None:
    for name in ("b/login.txt", "a.txt", "b/c/deep", "x.py", "x.pyc", "x.md", "x.json", ".x", "_x.txt"):
        add_case(project, name, PASSING)
    add_case(project, "__pycache__/y.txt", PASSING)
    root = project / "testing"

    def names(pattern: str = "") -> list[str]:
        return [case_name(path, root) for path in find_cases(pattern, root)]

    assert names() == ["a", "b/c/deep", "b/login"]
    assert names("b/") == ["b/c/deep", "b/login"]
    assert names("login") == ["b/login"]
    assert names("login.") == []


def test_a_run_and_its_record(project: Path, fake_program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_case(project, "result/login.txt", PASSING)
    add_case(project, "result/bad.txt", FAILING)
    add_case(project, "wrong.txt", "# a comment\nserver % 5050\n")
    (project / "testing" / "bytes.txt").write_bytes(b"# one\nserver \xff\n")
    assert run_main(project, fake_program) == 1

    told = capsys.readouterr().out
    assert re.search(r"^passed  result/login \(\d+\.\d\d s\)$", told, re.M)
    assert re.search(
        r"^failed  result/bad .*\n  testing/result/bad.txt:5: c < ho\n  another line came\n"
        r"    expected: ho\n    received: hi\n  standard error of server\n    INFO ready port=\d+$",
        told,
        re.M,
    )
    assert re.search(r"^invalid wrong .*\n  testing/wrong.txt:2: server % 5050\n  unknown action '%'$", told, re.M)
    assert re.search(r"^invalid bytes .*\n  testing/bytes.txt:2: server \\xff\n  not UTF-8$", told, re.M)
    assert re.search(r"^1 passed, 1 failed, 2 invalid in \d+\.\d s\n\Z", told, re.M)

    document = json.loads((project / "testing.json").read_text(encoding="utf-8"))
    assert (document["passed"], document["failed"], document["invalid"]) == (1, 1, 2)
    cases = {case["name"]: case for case in document["cases"]}
    passed, failed, wrong = cases["result/login"], cases["result/bad"], cases["wrong"]
    assert (passed["outcome"], passed["error"]) == ("passed", None)
    assert passed["file"] == "testing/result/login.txt"
    assert [entry["received"] for entry in passed["transcript"]][2:] == [None, "hi"]
    last = failed["transcript"][-1]
    assert (last["line"], last["name"], last["action"], last["text"]) == (5, "c", "<", "c < ho")
    assert 0 < last["seconds"] <= failed["seconds"] <= document["seconds"]
    error = failed["error"]
    assert (error["line"], error["expected"], error["received"]) == (5, "ho", "hi")
    assert (wrong["outcome"], wrong["error"]["line"], wrong["transcript"]) == ("invalid", 2, [])


def test_a_pattern_chooses(project: Path, fake_program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_case(project, "good.txt", PASSING)
    add_case(project, "bad.txt", FAILING)
    assert run_main(project, fake_program, "good", "--jobs", "1") == 0
    assert "1 passed, 0 failed" in capsys.readouterr().out
    assert run_main(project, fake_program, "none such") == 1
    assert "no test case has 'none such' in its name" in capsys.readouterr().err


def test_a_case_that_breaks_the_runner_fails_alone(
    project: Path, fake_program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(cases, "play", broken)
    add_case(project, "good.txt", PASSING)
    assert run_main(project, fake_program) == 1
    assert "RuntimeError: a bug" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--jobs=0", "--deadline=0", "--deadline=x", "--deadline=inf", "--server='"])
def test_wrong_options(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        testing.main([option])
    assert "error" in capsys.readouterr().err


def test_a_long_line_is_shortened_for_a_person() -> None:
    assert shorten("x" * 1000) == "x" * 1000
    assert shorten("ab" * 5000).endswith("ab (10000 characters)")
    assert len(shorten("ab" * 5000)) < 1050


def test_it_runs_alone(project: Path) -> None:
    add_case(project, "good.txt", PASSING)
    command = [sys.executable, "-S", "testing.py"]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0
    add_case(project, "bad.txt", FAILING)
    assert subprocess.run([*command, "bad"], stdout=subprocess.DEVNULL, check=False).returncode == 1


@pytest.mark.parametrize("numbers", [["INT"], ["TERM"], ["HUP"], ["HUP", "HUP", "TERM"], ["QUIT", "INT"]], ids=" ".join)
def test_an_interrupted_run_ends_its_servers(project: Path, numbers: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as witness:
        add_case(project, "a.txt", PASSING)
        port = witness.getsockname()[1]
        add_case(
            project,
            "b.txt",
            f"server = !s = socket.create_connection(('127.0.0.1', {port}))\nserver @ 5050\nserver < never",
        )
        add_case(project, "c.txt", PASSING)
        command = [sys.executable, "-S", "testing.py", "--jobs", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
            server = witness.accept()[0]
            for number in numbers:
                run.send_signal(getattr(signal, f"SIG{number}"))
            told = run.communicate(timeout=PATIENCE)[0]
        with server:
            server.settimeout(PATIENCE)
            # The server held the other end of this connection to its last moment.
            assert server.recv(1) == b""
    assert run.returncode == 1
    assert re.fullmatch(r"passed  a .*\n1 passed, 0 failed, 0 invalid in .* s, interrupted\n", told)
    assert [case["name"] for case in json.loads((project / "testing.json").read_text())["cases"]] == ["a"]


def test_a_signal_that_is_ignored_stays_so(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as witness:
        port = witness.getsockname()[1]
        text = f"server = !s = socket.create_connection(('127.0.0.1', {port})); s.recv(1)\n{PASSING}"
        add_case(project, "a.txt", text)
        command = ["sh", "-c", f"trap '' HUP; exec {shlex.join([sys.executable, '-S', 'testing.py'])}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            server = witness.accept()[0]
            run.send_signal(signal.SIGHUP)
            server.close()
            told = run.communicate(timeout=PATIENCE)[0]
    assert run.returncode == 0, told


@pytest.fixture
def handlers() -> Iterator[Callable[[int], object]]:
    """Puts the handlers of the terminating signals back; tells which one a signal has."""
    numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]
    before = {number: signal.getsignal(number) for number in numbers}
    yield signal.getsignal
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_before_the_first_case_is_told_and_the_next_ones_change_nothing(
    handlers: Callable[[int], object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    monkeypatch.setattr(testing, "main", lambda: signal.raise_signal(signal.SIGTERM))
    assert testing.run_program() == 1
    assert capsys.readouterr().err == "testing.py: interrupted\n"
    # Ignored by the system, not by a handler: the interpreter removes handlers at its end.
    assert {handlers(number) for number in testing.TERMINATING} == {signal.SIG_IGN}


def test_a_signal_between_cases_ends_the_run_with_its_record(
    project: Path, fake_program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(testing, "run_cases", interrupted)
    add_case(project, "a.txt", PASSING)
    assert run_main(project, fake_program) == 1
    assert re.fullmatch(r"0 passed, 0 failed, 0 invalid in .* s, interrupted\n", capsys.readouterr().out)
    assert json.loads((project / "testing.json").read_text())["cases"] == []


@pytest.mark.usefixtures("handlers")
def test_what_nobody_can_read_is_not_tried_again_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setattr(testing, "main", lambda: output.write("a report\n") and 1)
        assert testing.run_program() == 1
        output.flush()


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("stdout", [None, io.StringIO()], ids=["closed", "not a file"])
def test_a_run_without_a_standard_output_has_its_status(
    monkeypatch: pytest.MonkeyPatch, stdout: io.StringIO | None
) -> None:
    """As with `>&-`, or within a program that captures what is printed."""
    for status in (0, 1):
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(testing, "main", lambda status=status: status)
        assert testing.run_program() == status


@pytest.mark.parametrize("count", [1, 3])
def test_a_run_whose_report_nobody_reads(project: Path, count: int) -> None:
    """As with `| head -1`: it says so and ends, with its record."""
    for number in range(count):
        add_case(project, f"{number}.txt", PASSING)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as output:
        run = subprocess.run(
            [sys.executable, "-S", "testing.py", "--jobs", "1"], stdout=output, stderr=subprocess.PIPE, check=False
        )
    assert (run.returncode, run.stderr) == (1, b"testing.py: cannot write the report: Broken pipe\n")
    assert [case["name"] for case in json.loads((project / "testing.json").read_text())["cases"]] == ["0"]


def test_a_report_for_which_there_is_no_room(project: Path) -> None:
    add_case(project, "a.txt", PASSING)
    with open("/dev/full", "wb") as output:
        run = subprocess.run([sys.executable, "-S", "testing.py"], stdout=output, stderr=subprocess.PIPE, check=False)
    assert (run.returncode, run.stderr) == (1, b"testing.py: cannot write the report: No space left on device\n")


def test_a_record_that_cannot_be_written(project: Path, fake_program: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_case(project, "a.txt", PASSING)
    (project / "testing.json").mkdir()
    assert run_main(project, fake_program) == 1
    told = capsys.readouterr()
    assert "1 passed, 0 failed" in told.out
    assert told.err == "testing.py: cannot write testing.json: Is a directory\n"


def test_a_directory_that_cannot_be_made_is_no_traceback(
    project: Path, fake_program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    add_case(project, "a.txt", PASSING)
    monkeypatch.setattr(tempfile, "tempdir", str(project / "none"))
    assert run_main(project, fake_program) == 1
    told = capsys.readouterr().out
    assert "cannot be played: [Errno 2] No such file or directory" in told
    assert "Traceback" not in told


NO_PLUGINS = [word for name in ("cacheprovider", "xdist", "hypothesispytest") for word in ("-p", f"no:{name}")]


def test_pytest_collects_the_cases(project: Path) -> None:
    add_case(project, "result/good.txt", PASSING)
    add_case(project, "bad.txt", FAILING)
    shutil.copy(ROOT / "testing" / "conftest.py", project / "testing")
    for name in ("test_one.py", "test_two.py"):
        text = "import testing\n\ndef test_runner():\n    assert testing.main\n"
        (project / "testing" / name).write_text(text)
    (project / "pytest.ini").write_text("[pytest]\ntestpaths = testing\npythonpath = .\n")
    command = [sys.executable, "-m", "pytest", "-v", *NO_PLUGINS]

    def told(*words: str) -> str:
        return subprocess.run([*command, *words], stdout=subprocess.PIPE, text=True, check=False).stdout

    everything = told()
    assert "testing/result/good.txt::case PASSED" in everything
    assert "testing/bad.txt::case FAILED" in everything
    assert "testing/bad.txt:5: c < ho\n  another line came\n    expected: ho\n    received: hi" in everything
    assert "3 passed" in everything
    assert "1 failed" in everything
    assert "2 passed" in told("--no-cases")


def test_pytest_interrupted_in_several_processes_ends_the_servers(project: Path, fake_program: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as witness:
        witness.settimeout(PATIENCE)
        port = witness.getsockname()[1]
        for name in ("a.txt", "b.txt"):
            dial = f"server = !s = socket.create_connection(('127.0.0.1', {port}))\n"
            add_case(project, name, f"{dial}server @ 5050\nserver < never\n")
        shutil.copy(ROOT / "testing" / "conftest.py", project / "testing")
        (project / "pytest.ini").write_text("[pytest]\ntestpaths = testing\npythonpath = .\n")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n2"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True) as run:
            connections = [witness.accept()[0] for _ in range(2)]
            os.killpg(run.pid, signal.SIGINT)  # as a terminal does
            for server in connections:
                with server:
                    server.settimeout(PATIENCE)
                    assert server.recv(1) == b""
            assert run.wait(PATIENCE) == pytest.ExitCode.INTERRUPTED
