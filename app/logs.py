"""The operator's log: one line for each event on standard error. Writing it never makes the loop wait.

A record is a text or an object of JSON. Its format string names its fields: `name=%s` is the field `name`. A record
that concerns a connection has that connection's number in its attribute `connection`.
"""

from __future__ import annotations

import logging
import os
import re
import select
import time
from collections.abc import Iterator
from typing import Any

MAX_PIPE_WRITE = select.PIPE_BUF
"""Bytes that a writable pipe takes at once without blocking (POSIX)."""

LINES_PER_SECOND = 50
"""Maximum lines of one kind that are written in a second. Lines of one kind have the same format string."""

MAX_KINDS = 256
"""Kinds that are counted separately; the program has fewer. Further kinds are counted together."""

KIND_CHARACTERS = 120
"""Characters of a format string that identify its kind."""

OTHERS = "other lines"

STDERR = 2

LOGGER = "crosstalk"
"""The name of the logger to which all others of this program report."""


def nonblocking_copy(descriptor: int) -> int:
    """Open the terminal of a descriptor once more, non-blocking; return any other descriptor as it is.

    A writable pipe takes MAX_PIPE_WRITE bytes without blocking, a terminal perhaps only one. The descriptor itself
    cannot be made non-blocking: the shell shares it.
    """
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # no terminal, or no permission to open it
        return descriptor


class NonBlockingHandler(logging.Handler):
    """Writes a record if that does not block; drops and counts it otherwise.

    A full pipe on standard error must not stop the chat. Nor may a client that provokes warnings fill the disk, or hide
    other lines: at most LINES_PER_SECOND of each kind are written. A dropped record is not even formatted.

    Args:
        descriptor: of the log.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor = nonblocking_copy(descriptor)
        self._dropped: dict[str, int] = {}
        self._second = 0
        self._lines: dict[str, int] = {}
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, after a line that counts the dropped ones before it."""
        kind = str(record.msg)[:KIND_CHARACTERS]
        if self._within_rate(kind, int(record.created)) and self._write(
            self._dropped_line(record) + self.format(record)
        ):
            self._dropped.clear()
        else:
            _count(self._dropped, kind)

    def _within_rate(self, kind: str, second: int) -> bool:
        if second != self._second:
            self._second = second
            self._lines.clear()
        return _count(self._lines, kind) <= LINES_PER_SECOND

    def _dropped_line(self, following: logging.LogRecord) -> str:
        if not self._dropped:
            return ""
        kinds = ", ".join(f"{count} of {kind!r}" for kind, count in self._dropped.items())
        text = f"({sum(self._dropped.values())} log lines before this one were dropped: {kinds})"
        record = logging.LogRecord(LOGGER, logging.WARNING, "", 0, text, None, None)
        record.created = following.created
        return f"{self.format(record)}\n"

    def _write(self, text: str) -> bool:
        data = f"{text}\n".encode(errors="backslashreplace")
        for start in range(0, len(data), MAX_PIPE_WRITE):
            if not any(events & select.POLLOUT for _descriptor, events in self._poll.poll(0)):
                return False
            try:
                os.write(self._descriptor, data[start : start + MAX_PIPE_WRITE])
            except OSError:  # its reader has gone
                return False
        return True


def _count(counts: dict[str, int], kind: str) -> int:
    """Count one more of a kind; return how many there are."""
    if kind not in counts and len(counts) >= MAX_KINDS:
        kind = OTHERS
    counts[kind] = number = counts.get(kind, 0) + 1
    return number


ESCAPED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that could end a line, or change how a terminal shows it."""


def escaped(text: str) -> str:
    """Return a text in one line, whatever a client has put into it, with each control character as an escape."""
    return text if text.isprintable() else ESCAPED.sub(lambda found: ascii(found[0])[1:-1], text)


class LineFormatter(logging.Formatter):
    """Formats a record as local time with its offset from UTC (ISO 8601), level, connection and message.

    Each line that begins with a time begins a record. The lines of a traceback are indented.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """Format the time in whole seconds, such as 2026-11-30T17:20:18+01:00."""
        text = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(record.created))
        return f"{text[:-2]}:{text[-2:]}"

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        number = getattr(record, "connection", 0)
        mark = f"connection={number} " if number else ""
        line = f"{self.formatTime(record)} {record.levelname} {mark}{escaped(record.getMessage())}"
        if record.exc_info:
            for part in self.formatException(record.exc_info).splitlines():
                line += f"\n  {escaped(part)}"
        return line


FIELD = re.compile(r"%%|(?:([a-z][a-z0-9-]*)=)?%[-+ #0-9.]*[a-zA-Z]|([a-z][a-z0-9-]*)=([^\s%]+)")
"""In a format string: a percent sign; what takes an argument, perhaps with a name; a name with a fixed value."""


def fields_of(template: str, arguments: Any) -> Iterator[tuple[str, Any]]:
    """Return the names and values of a record's fields.

    Args:
        template: its format string.
        arguments: what the format string takes.
    """
    values = iter(arguments if isinstance(arguments, tuple) else ())
    for found in FIELD.finditer(template):
        name, fixed_name, fixed = found.groups()
        if fixed_name:
            yield fixed_name, fixed
        elif found[0] != "%%":
            value = next(values, None)
            if name:
                yield name, value if isinstance(value, (int, float)) else str(value)


def event_of(template: str) -> str:
    """Return the words in front of the first field or argument, which are the same for all records of a kind."""
    found = FIELD.search(template)
    return template[: found.start() if found else None].rstrip(" :(,")


class JsonFormatter(LineFormatter):
    """Formats a record as an object of JSON in one line: its fields, and what all records have."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        import json  # most logs are text

        template = str(record.msg)
        content = dict(fields_of(template, record.args))
        content |= {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event_of(template),
            "message": record.getMessage(),
        }
        if number := getattr(record, "connection", 0):
            content["connection"] = number
        if record.exc_info:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content)


def set_log_level(level: str) -> None:
    """Write lines of this level and above from now on; it is one of the setting log-level."""
    logging.getLogger(LOGGER).setLevel(level.upper())


def start_logging(level: str, log_format: str) -> None:
    """Send the log to standard error.

    Args:
        level: see `set_log_level`.
        log_format: `text` or `json`.
    """
    handler = NonBlockingHandler(STDERR)
    handler.setFormatter(JsonFormatter() if log_format == "json" else LineFormatter())
    root = logging.getLogger(LOGGER)
    root.addHandler(handler)
    root.propagate = False
    set_log_level(level)
    # No line shows its caller, thread or process, so these need not be looked up.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
