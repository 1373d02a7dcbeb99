"""logs.py: the log must never hold up the chat."""

from __future__ import annotations

import datetime
import fcntl
import logging
import os
import select
import time
from collections.abc import Iterator

import pytest

from app.logs import LINES_PER_SECOND, MAX_KINDS, MAX_PIPE_WRITE, LineFormatter, NonBlockingHandler
from support.examples import raising

PIPE_SIZE = 16384


class Pipe:
    """A handler that writes into a pipe, and the reader at its end."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.handler = NonBlockingHandler(self.writer)
        self.second = 1000

    def log(self, text: str) -> None:
        """Log in a second of its own."""
        self.second += 1
        self.log_now(text)

    def log_now(self, text: str, *args: object) -> None:
        """Log in the same second as before."""
        record = logging.LogRecord("crosstalk", logging.INFO, "", 0, text, args, None)
        record.created = float(self.second)
        self.handler.handle(record)

    def read(self) -> str:
        """What waits in the pipe."""
        data = b""
        while select.select([self.reader], [], [], 0)[0]:
            piece = os.read(self.reader, 65536)
            if not piece:
                break
            data += piece
        return data.decode()

    def fill(self) -> int:
        """Fill the pipe; return how many lines of ten bytes that took."""
        for number in range(100_000):
            if not select.select([], [self.writer], [], 0)[1]:
                return number
            self.log(f"{number:09}")
        raise AssertionError("this pipe is never full")

    def close(self) -> None:
        for descriptor in (self.reader, self.writer):
            if descriptor >= 0:
                os.close(descriptor)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(pipe.writer, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    yield pipe
    pipe.close()


def test_a_record_is_a_line(pipe: Pipe) -> None:
    pipe.log("one")
    pipe.log("\u4f60\u597d \udcff")
    assert pipe.read() == "one\n\u4f60\u597d \\udcff\n"


def test_a_full_pipe_does_not_block_and_dropped_lines_are_counted(pipe: Pipe) -> None:
    assert os.get_blocking(pipe.writer)
    lines = pipe.fill()
    for _ in range(7):
        pipe.log("nobody reads this")
    assert pipe.read() == "".join(f"{number:09}\n" for number in range(lines))
    pipe.log("somebody reads this")
    pipe.log("and this")
    first, second, third = pipe.read().splitlines()
    assert first == "(7 log lines before this one were dropped: 7 of 'nobody reads this')"
    assert (second, third) == ("somebody reads this", "and this")


def test_a_reader_that_is_gone_does_no_harm(pipe: Pipe) -> None:
    os.close(pipe.reader)
    pipe.reader = -1
    for _ in range(3):
        pipe.log("into the void")


def test_a_long_record_is_never_waited_for(pipe: Pipe) -> None:
    pipe.log("x" * 10 * PIPE_SIZE)
    pipe.log("y" * 10 * PIPE_SIZE)
    assert len(pipe.read()) <= 65536
    pipe.log("after")
    assert pipe.read().endswith(")\nafter\n")


def test_a_long_record_is_whole_where_there_is_room() -> None:
    pipe = Pipe()
    try:
        text = "\u00fc" * MAX_PIPE_WRITE
        pipe.log(text)
        assert pipe.read() == f"{text}\n"
    finally:
        pipe.close()


class Unasked:
    """Something whose text nobody may ask for."""

    __str__ = raising


def test_a_flood_is_dropped_and_counted(pipe: Pipe) -> None:
    for number in range(LINES_PER_SECOND):
        pipe.log_now("closing %s: too slow", number)
    assert pipe.read().splitlines() == [f"closing {number}: too slow" for number in range(LINES_PER_SECOND)]
    for _ in range(30):
        pipe.log_now("closing %s: too slow", Unasked())
    assert pipe.read() == ""
    pipe.log("closing %s: too slow")
    assert pipe.read().splitlines() == [
        "(30 log lines before this one were dropped: 30 of 'closing %s: too slow')",
        "closing %s: too slow",
    ]


def test_a_flood_hides_no_other_line(pipe: Pipe) -> None:
    for number in range(LINES_PER_SECOND + 5):
        pipe.log_now("refused %d", number)
        pipe.log_now("closed %d", number)
    pipe.read()
    pipe.log_now("the disk is full")
    assert pipe.read().splitlines() == [
        "(10 log lines before this one were dropped: 5 of 'refused %d', 5 of 'closed %d')",
        "the disk is full",
    ]
    pipe.log_now("it has room again")
    assert pipe.read() == "it has room again\n"


def test_kinds_without_number_do_no_harm(pipe: Pipe) -> None:
    for number in range(2 * MAX_KINDS):
        pipe.log_now(f"line {number}")
        pipe.read()
    assert len(pipe.handler._lines) <= MAX_KINDS + 1
    for number in range(4 * MAX_KINDS):
        pipe.log_now(f"line {number}")
        pipe.read()
    assert len(pipe.handler._dropped) <= MAX_KINDS + 1


@pytest.mark.parametrize(("zone", "shown"), [("UTC0", "+00:00"), ("XST-5:45", "+05:45"), ("YST3:30", "-03:30")])
def test_a_time_tells_its_distance_from_utc(zone: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        record = logging.LogRecord("crosstalk", logging.WARNING, "", 0, "what %s", ("happened",), None)
        record.created = 1_000_000_000.9
        line = LineFormatter().format(record)
    finally:
        monkeypatch.undo()
        time.tzset()
    at, level, text = line.split(" ", 2)
    assert (level, text) == ("WARNING", "what happened")
    assert at.endswith(shown)
    assert datetime.datetime.fromisoformat(at).timestamp() == 1_000_000_000
