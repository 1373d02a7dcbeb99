"""logs.py: the log must never hold up the chat."""

from __future__ import annotations

import datetime
import fcntl
import json
import logging
import os
import select
import time
from collections.abc import Iterator

import pytest

from app.logs import (
    LINES_PER_SECOND,
    MAX_KINDS,
    MAX_PIPE_WRITE,
    JsonFormatter,
    LineFormatter,
    NonBlockingHandler,
    set_log_level,
)
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


# ---- the forms of a record ----


def record_of(template: str, *values: object, connection: int = 0, level: int = logging.WARNING) -> logging.LogRecord:
    """A record at a fixed time."""
    record = logging.LogRecord("crosstalk.limits", level, "", 0, template, values, None)
    record.created = 1_000_000_000.0
    if connection:
        record.connection = connection
    return record


def text_of(record: logging.LogRecord) -> str:
    """A record as text, without its time."""
    return LineFormatter().format(record).split(" ", 1)[1]


def test_a_line_of_text_has_the_number_of_its_connection() -> None:
    assert text_of(record_of("limit reason=x address=%s", "::1", connection=17)) == (
        "WARNING connection=17 limit reason=x address=::1"
    )
    assert text_of(record_of("stopping", level=logging.INFO)) == "INFO stopping"


@pytest.mark.parametrize(
    ("template", "values", "event", "fields"),
    [
        ("stopping", (), "stopping", {}),
        ("max clients: %d", (7,), "max clients", {}),
        ("listening address=%s port=%d dialect=%s%s", ("::1", 5, "auto", ""), "listening",
         {"address": "::1", "port": 5, "dialect": "auto"}),
        ("limit reason=failed-login address=%s name=%s", ("192.0.2.1", "bob"), "limit",
         {"reason": "failed-login", "address": "192.0.2.1", "name": "bob"}),
        ("%d%% of %s, longest-ms=%.1f", (3, "x=y", 2.5), "", {"longest-ms": 2.5}),
        ("what %s", ("a=b c=d",), "what", {}),
        ("time=%s level=%s", ("never", "none"), "", {}),
    ],
)  # fmt: skip
def test_an_object_of_json_has_the_fields_of_its_line(
    template: str, values: tuple[object, ...], event: str, fields: dict[str, object]
) -> None:
    record = record_of(template, *values, connection=3)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line) == fields | {
        "time": LineFormatter().formatTime(record),
        "level": "warning",
        "logger": "crosstalk.limits",
        "event": event,
        "message": template % values,
        "connection": 3,
    }


def test_what_a_client_chooses_begins_no_line() -> None:
    forged = "a\n2026-12-01T00:00:00+00:00 WARNING limit\r\u2028\x1b[2J\u202e\x85"
    line = text_of(record_of("what %s", forged))
    assert line == ("WARNING what a\\n2026-12-01T00:00:00+00:00 WARNING limit\\r\\u2028\\x1b[2J\\u202e\\x85")
    assert json.loads(JsonFormatter().format(record_of("what %s", forged)))["message"] == f"what {forged}"


def test_a_traceback_is_indented_or_one_value() -> None:
    record = record_of("error", level=logging.ERROR)
    try:
        raise ValueError("first\n2026-12-01T00:00:00+00:00 ERROR forged")
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    first, *rest = LineFormatter().format(record).split("\n")
    assert first.endswith("ERROR error")
    assert rest
    assert all(line.startswith("  ") for line in rest)
    assert "ValueError" in json.loads(JsonFormatter().format(record))["traceback"]


def test_a_count_of_dropped_lines_is_an_object_too(pipe: Pipe) -> None:
    pipe.handler.setFormatter(JsonFormatter())
    for _ in range(LINES_PER_SECOND + 3):
        pipe.log_now("much")
    pipe.read()
    pipe.log("more")
    dropped, more = map(json.loads, pipe.read().splitlines())
    assert dropped["message"].startswith("(3 log lines before this one were dropped")
    assert (dropped["level"], more["message"]) == ("warning", "more")


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_can_change_at_any_time(level: str, count: int, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("crosstalk")
    before = logger.level
    try:
        set_log_level(level)
        for write in (logger.debug, logger.info, logger.warning, logger.error):
            write("one")
        assert len(caplog.records) == count
    finally:
        logger.setLevel(before)
