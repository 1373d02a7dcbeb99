"""Lets pytest play the scripts in this directory, each one as an item `testing/result/login.txt::case`.

Has the fixtures, too, that the tests of the client share.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from client_support import FakeServer

HERE = Path(__file__).resolve().parent


def load_runner() -> None:
    """Make `import testing` mean `testing.py`.

    In its importlib mode pytest has imported this file as `testing.conftest`, and so has put the directory
    under that name. The runner, loaded as a package that this directory's files belong to, satisfies both.
    """
    spec = importlib.util.spec_from_file_location(
        "testing", HERE.with_suffix(".py"), submodule_search_locations=[str(HERE)]
    )
    assert spec
    assert spec.loader
    sys.modules["testing"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


load_runner()

import testing  # noqa: E402

SETTINGS = pytest.StashKey[testing.Settings]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-cases", action="store_true", help="leave out the scripts, run the unit tests only")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run directories in several processes, unless the command line says how many; files in this one.

    Cases mostly wait for processes of their own, so there are two for each processor. Starting them takes seconds,
    which a single file would not earn back.
    """
    if hasattr(config, "workerinput"):
        return  # it is one of those processes
    named = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    chosen = config.getoption("numprocesses", 0) is not None  # 0, too, where pytest-xdist is missing
    alone = chosen or config.getoption("usepdb") or config.getoption("collectonly")
    if not alone and any(path.is_dir() for path in named):
        config.option.numprocesses = 2 * len(os.sched_getaffinity(0))
        config.option.dist = "worksteal"


def pytest_configure(config: pytest.Config) -> None:
    # One for all items: its ports are never handed out twice.
    config.stash[SETTINGS] = testing.Settings(command=testing.server_command())


def pytest_unconfigure(config: pytest.Config) -> None:
    # After Ctrl-C in the middle of a case its servers are still there.
    config.stash[SETTINGS].processes.close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if parent.config.getoption("no_cases") or not file_path.is_relative_to(HERE):
        return None
    return CaseFile.from_parent(parent, path=file_path) if testing.is_case(file_path) else None


class CaseFile(pytest.File):
    """A script."""

    def collect(self) -> Iterator[pytest.Item]:
        yield CaseItem.from_parent(self, name="case")


class CaseDidNotPass(Exception):
    """Carries what the runner tells about the case."""


class CaseItem(pytest.Item):
    """The playing of a script."""

    def runtest(self) -> None:
        record = testing.run_case(self.path, self.config.stash[SETTINGS])
        if record.outcome is not testing.Outcome.PASSED:
            raise CaseDidNotPass(testing.describe(record))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        if isinstance(excinfo.value, CaseDidNotPass):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo, style))

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, testing.case_name(self.path)


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Closes what a test has started."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that does what the test says."""
    from client_support import FakeServer

    with contextlib.closing(FakeServer()) as fake:
        yield fake
