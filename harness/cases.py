"""Finds, reads and runs the scripts below a directory, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from harness.language import InvalidCase, parse
from harness.player import play, render_exception
from harness.processes import MAX_WAIT, ROOT, Settings
from harness.report import Failure, Outcome, Record
from harness.text import readable

CASES = ROOT / "testing"
OTHER_SUFFIXES = {".py", ".pyc", ".md", ".json", ".gz"}
OTHER_FILES = {"irctest.txt"}
"""Files that are no scripts: a list of tests of another suite, which fail for a reason."""


def is_case(path: Path, root: Path = CASES) -> bool:
    """Tell whether a file below the root is a script: not Python, not a document, not hidden with `.` or `_`."""
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(root).parts)
    return not hidden and path.suffix not in OTHER_SUFFIXES and path.is_file() and path.name not in OTHER_FILES


def case_name(path: Path, root: Path = CASES) -> str:
    return path.relative_to(root).with_suffix("").as_posix()


def find_cases(pattern: str = "", root: Path = CASES) -> list[Path]:
    """Return the scripts below the root with the pattern in their names, sorted."""
    scripts = (path for path in root.rglob("*") if is_case(path, root))
    return sorted(path for path in scripts if pattern in case_name(path, root))


def run_case(path: Path, settings: Settings, root: Path = CASES) -> Record:
    """Read a script and play it. Every error goes into the record, so one bad case never ends a run."""
    name, file = case_name(path, root), path.relative_to(root.parent).as_posix()
    try:
        return play(parse(read_script(path), name, file), settings)
    except InvalidCase as error:
        return Record(name, file, Outcome.INVALID, error=Failure(error.line, error.text, error.message))
    except OSError as error:
        return Record(name, file, Outcome.FAILED, error=Failure(0, "", f"cannot be played: {error}"))
    except Exception as error:
        return Record(name, file, Outcome.FAILED, error=Failure(0, "", render_exception(error)))


def read_script(path: Path) -> str:
    """Return the text of a script. Raises InvalidCase where it is not UTF-8."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n")
        raise InvalidCase(line + 1, readable(data.split(b"\n")[line]), "not UTF-8") from None


def run_cases(
    paths: Iterable[Path], settings: Settings, jobs: int, root: Path, report: Callable[[Record], None]
) -> None:
    """Run cases side by side. At the end, or when interrupted, kill all servers; these settings start no more.

    Args:
        paths: the scripts.
        settings: shared by the cases, since they keep the cases' ports apart.
        jobs: cases at a time.
        root: the names of the cases are relative to it.
        report: called when a case has ended, from the thread that ran it, by one thread at a time.

    Raises:
        OSError: a report cannot be written; nothing else in a run raises it.
    """
    reporting = threading.Lock()

    def run(path: Path) -> None:
        record = run_case(path, settings, root)
        with reporting:
            if not settings.processes.closed:  # else the interruption may have failed the case
                report(record)

    executor = ThreadPoolExecutor(jobs)
    try:
        pending = {executor.submit(run, path) for path in paths}
        while pending:
            done, pending = wait(pending, MAX_WAIT, FIRST_COMPLETED)
            for future in done:
                future.result()
    finally:
        settings.processes.close()
        executor.shutdown(cancel_futures=True)
