#!/usr/bin/env python3
"""Plays the scripts below `testing/` against real servers: `python3 testing.py [pattern]`.

TESTING.md describes the language of the scripts. `harness/` plays them; this is the command line. Both need the
standard library alone. Reading order of `harness/`:

    text        reads the arguments of a line, and shows bytes to a person
    processes   ports, server processes and their output
    peer        a blocking client that reads lines
    actors      the clients and servers of a script, on their stage
    language    the table of the actions, and the parser
    player      plays one case
    cases       finds and runs the cases
    report      the record of a case, and the report for a person
    servers     our server in a process, for unit tests and the benchmark

Nothing sleeps for a fixed time: each wait is for an event and has a deadline. Deadlines are times of the monotonic
clock and are called `until`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.cases import CASES, find_cases, run_cases
from harness.processes import Settings, seconds_since, server_command
from harness.report import RECORD, Outcome, Record, describe, summary, write_record

TERMINATING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def seconds(word: str) -> float:
    """Parse a positive time in seconds. Raises ValueError."""
    number = float(word)
    if not 0 < number < threading.TIMEOUT_MAX:
        raise ValueError(word)
    return number


def jobs(word: str) -> int:
    """Parse a number of cases at a time. Raises ValueError."""
    number = int(word)
    if number < 1:
        raise ValueError(word)
    return number


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line; exit if it is wrong."""
    default_jobs = max(4, 2 * (os.cpu_count() or 1))
    parser = argparse.ArgumentParser(description="Play the scripts in testing/ against real servers.")
    add = parser.add_argument
    add("pattern", nargs="?", default="", help="only the cases with this text in their names")
    add("--jobs", type=jobs, default=default_jobs, metavar="N", help="cases at a time (default %(default)s)")
    add("--deadline", type=seconds, default=10.0, metavar="SECONDS", help="of a step (default %(default)s)")
    add("--quiet-seconds", type=seconds, default=0.1, metavar="SECONDS", help="of `<-` (default %(default)s)")
    add("--exact-ports", action="store_true", help="use the scripts' own ports, one case after the other")
    add("--keep", action="store_true", help="keep the directory of each case and name it")
    add("--server", metavar="COMMAND", help="start this server, with {port} and {config} filled in, not ours")
    options = parser.parse_args(arguments)
    try:
        options.command = server_command(options.server)
    except ValueError as error:
        parser.error(f"the server's command cannot be read: {error}")
    return options


def main(arguments: Sequence[str] | None = None, root: Path = CASES) -> int:
    """Run the cases below the root that the arguments select; return the exit status: 0 when all passed."""
    options = read_arguments(arguments)
    paths = find_cases(options.pattern, root)
    if not paths:
        print(f"no test case has {options.pattern!r} in its name", file=sys.stderr)
        return 1
    settings = Settings(
        command=options.command,
        deadline=options.deadline,
        quiet=options.quiet_seconds,
        exact_ports=options.exact_ports,
        keep=options.keep,
    )
    records: list[Record] = []

    def report(record: Record) -> None:
        records.append(record)
        print(describe(record), flush=True)

    began = time.monotonic()
    interrupted = False

    def run() -> None:
        nonlocal interrupted
        try:
            run_cases(paths, settings, 1 if options.exact_ports else options.jobs, root, report)
        except KeyboardInterrupt:
            interrupted = True
        print(summary(records, seconds_since(began)) + (", interrupted" if interrupted else ""), flush=True)

    is_reported = attempt("write the report", run)
    is_recorded = attempt(f"write {RECORD}", lambda: write_record(records, seconds_since(began)))
    all_passed = all(record.outcome is Outcome.PASSED for record in records)
    return int(interrupted or not (is_reported and is_recorded and all_passed))


def attempt(what: str, call: Callable[[], None]) -> bool:
    """Make a call that may raise OSError, and print the error; tell whether the call succeeded."""
    try:
        call()
    except OSError as error:
        print_error(f"cannot {what}: {error.strerror}")
        return False
    return True


def print_error(text: str) -> None:
    """Print an error on standard error, if that can be written."""
    with contextlib.suppress(OSError):
        print(f"testing.py: {text}", file=sys.stderr, flush=True)


def interrupt_at_signals() -> None:
    """Have each terminating signal raise KeyboardInterrupt, once, so that a run kills its servers.

    A closing terminal sends SIGHUP, often twice. An ignored signal, as under `nohup`, stays ignored.
    """

    def interrupt(_number: int, _frame: object) -> None:
        for number in handled:
            signal.signal(number, lambda _number, _frame: None)
        raise KeyboardInterrupt

    handled = [number for number in TERMINATING if signal.getsignal(number) is not signal.SIG_IGN]
    for number in handled:
        signal.signal(number, interrupt)


def run_program() -> int:
    """Run `main`; return the exit status. Leave nothing in the buffer of standard output that cannot be written."""
    interrupt_at_signals()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = main()
    except KeyboardInterrupt:  # before the first case, or after the last one
        print_error("interrupted")
        status = 1
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError:  # reported already; the buffer must not be flushed again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # The status is decided. The interpreter removes handlers at its end; an ignored signal stays ignored.
    for number in TERMINATING:
        signal.signal(number, signal.SIG_IGN)
    return status


if __name__ == "__main__":
    sys.exit(run_program())
