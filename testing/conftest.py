"""Lets pytest play the scripts in this directory, each one as an item `testing/result/login.txt::case`.

Also has the fixtures that the tests of the client, of net/ and of peering/ share.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import processes, servers
from harness.cases import case_name, is_case, run_case
from harness.cluster import SHARED_ENGINES, Engines
from harness.peer import PATIENCE
from harness.processes import Settings, server_command
from harness.report import Outcome, describe

if TYPE_CHECKING:
    from support.certificates import Authority, Certificate
    from support.clients import FakeServer
    from support.loop import LoopStage
    from support.world import World

HERE = Path(__file__).resolve().parent


SETTINGS = pytest.StashKey[Settings]()
ENGINES = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-cases", action="store_true", help="leave out the scripts, run the unit tests only")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run directories in several processes, unless the command line gives their number; run files in this one.

    There is one more process than processors, since some tests wait. Starting them takes seconds, which is too long for
    a single file.
    """
    if hasattr(config, "workerinput"):
        return  # it is one of those processes
    named = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    chosen = config.getoption("numprocesses", 0) is not None  # 0, too, where pytest-xdist is missing
    alone = chosen or config.getoption("usepdb") or config.getoption("collectonly")
    if not alone and any(path.is_dir() for path in named):
        config.option.numprocesses = 1 + len(os.sched_getaffinity(0))
        config.option.dist = "worksteal"


def pytest_configure(config: pytest.Config) -> None:
    # Keep the rewritten assertions, also where PYTHONDONTWRITEBYTECODE is set: they take most of a collection.
    sys.dont_write_bytecode = False
    keep_hangup_from_servers()
    servers.PROCESSES.preloads = hasattr(os, "pidfd_open")  # on Linux
    # One object for all items, so that no port is handed out twice.
    config.stash[SETTINGS] = Settings(command=server_command(), deadline=PATIENCE, processes=servers.PROCESSES)
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, end_servers)
    else:
        config.stash[ENGINES] = tempfile.mkdtemp(prefix="engines")
        os.environ[SHARED_ENGINES] = config.stash[ENGINES]  # the workers inherit it


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector, which takes as long as all else: what is collected stays to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def keep_hangup_from_servers() -> None:
    """Go on ignoring SIGHUP under `nohup`, but do not have the servers of the tests inherit that.

    A program inherits an ignored signal, while one that has a handler is at its default again.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _number, _frame: None)


def end_servers(_number: int, _frame: object) -> None:
    """Interrupt a worker, and end it soon: its thread for the connection to pytest would delay the end by seconds."""
    servers.PROCESSES.close()
    exit_soon = threading.Timer(1.0, os._exit, [128 + signal.SIGINT])
    exit_soon.daemon = True
    exit_soon.start()
    raise KeyboardInterrupt


def pytest_unconfigure(config: pytest.Config) -> None:
    # After Ctrl-C in the middle of a case its servers still run.
    servers.PROCESSES.close()
    directory = config.stash.get(ENGINES, None)
    if directory is not None:
        if os.listdir(directory):
            Engines(Path(directory)).stop()
        shutil.rmtree(directory)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if parent.config.getoption("no_cases") or not file_path.is_relative_to(HERE):
        return None
    return CaseFile.from_parent(parent, path=file_path) if is_case(file_path) else None


class CaseFile(pytest.File):
    """A script."""

    def collect(self) -> Iterator[pytest.Item]:
        yield CaseItem.from_parent(self, name="case")


class CaseDidNotPass(Exception):
    """Carries the report of a case that did not pass."""


class CaseItem(pytest.Item):
    """One run of a script."""

    def runtest(self) -> None:
        record = run_case(self.path, self.config.stash[SETTINGS])
        if record.outcome is not Outcome.PASSED:
            raise CaseDidNotPass(describe(record))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        if isinstance(excinfo.value, CaseDidNotPass):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo, style))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, case_name(self.path)


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Closes what a test has started."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority, whose certificates are trusted where a test says so."""
    from support.certificates import Authority, need_openssl

    need_openssl()
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Certificate:
    """A certificate of that authority for this machine."""
    return authority.issue()


@pytest.fixture
def stage() -> Iterator[LoopStage]:
    """A loop with the default settings."""
    from support.loop import staged

    with staged() as stage:
        yield stage


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that does what the test says."""
    from support.clients import FakeServer

    with contextlib.closing(FakeServer()) as fake:
        yield fake


@pytest.fixture(scope="session")
def fake_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of a server that does what a client tells it, see `support.runner`."""
    from support.runner import FAKE_SERVER

    path = tmp_path_factory.mktemp("fake") / "server.py"
    path.write_text(FAKE_SERVER)
    return path


@pytest.fixture
def runner_settings(fake_program: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the case runner with the fake server in place of ours."""
    monkeypatch.setattr(processes, "SERVER", fake_program)
    return Settings(command=(sys.executable, "-IS", str(fake_program), "{port}", "{config}"), quiet=0.02)


@pytest.fixture
def foreign_settings(fake_program: Path) -> Settings:
    """Settings of the case runner with the fake server as another project's."""
    return Settings(command=(sys.executable, "-IS", str(fake_program)))


@pytest.fixture
def no_mistake_is_only_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail the test for an exception that the loop has only logged, since a turn goes on after one."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.exc_info] == []


@pytest.fixture
def world() -> Iterator[World]:
    """A server with the hostname `one`, without sockets, threads and clocks."""
    from support.peers import ONE
    from support.world import World

    with World(settings=ONE) as world:
        yield world
