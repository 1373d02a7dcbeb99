"""The record of each case, and the report for a person."""

from __future__ import annotations

import enum
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

RECORD = "testing.json"
MAX_SHOWN = 1000  # characters of an expected or received line in a report


class Outcome(enum.StrEnum):
    """How a case ended. INVALID: its script could not be read, so it was not played."""

    PASSED = "passed"
    FAILED = "failed"
    INVALID = "invalid"


@dataclass
class Failure:
    """Why a case did not pass. `stderr` holds the last lines of each server, by its name."""

    line: int
    text: str
    message: str
    expected: str | None = None
    received: str | None = None
    stderr: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Entry:
    """A played step. `seconds` is when it ended, from the beginning of the case."""

    line: int
    name: str
    action: str
    text: str
    received: str | None
    seconds: float


@dataclass
class Record:
    """The result of a case. `directory` is where its servers ran, if that was kept."""

    name: str
    file: str
    outcome: Outcome = Outcome.PASSED
    seconds: float = 0.0
    error: Failure | None = None
    transcript: list[Entry] = field(default_factory=list)
    directory: str | None = None


def describe(record: Record) -> str:
    """Describe a case for a person: in one line, followed by all that is known about a failure."""
    lines = [f"{record.outcome:7} {record.name} ({record.seconds:.2f} s)"]
    if record.directory:
        lines.append(f"  directory: {record.directory}")
    if record.error:
        lines += _describe_failure(record.file, record.error)
    return "\n".join(lines)


def _describe_failure(file: str, failure: Failure) -> Iterator[str]:
    yield f"  {file}:{failure.line}: {failure.text}"
    for line in failure.message.split("\n"):
        yield f"  {line}"
    if failure.expected is not None:
        yield f"    expected: {shorten(failure.expected)}"
    if failure.received is not None:
        yield f"    received: {shorten(failure.received)}"
    for name, lines in failure.stderr.items():
        yield f"  standard error of {name}{'' if lines else ': empty'}"
        for line in lines:
            yield f"    {line}"


def shorten(text: str) -> str:
    """Shorten a text for a person; the record has all of it."""
    if len(text) <= MAX_SHOWN:
        return text
    return f"{text[: MAX_SHOWN // 2]} ... {text[-MAX_SHOWN // 2 :]} ({len(text)} characters)"


def write_record(records: Sequence[Record], seconds: float) -> None:
    """Write the full record of a run into the current directory."""
    counts = Counter(record.outcome for record in records)
    document = {
        **{str(outcome): counts[outcome] for outcome in Outcome},
        "seconds": seconds,
        "cases": [asdict(record) for record in records],
    }
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    # A file's name may hold bytes that are not UTF-8; their `\udc80` is an escape in JSON as well.
    Path(RECORD).write_text(text, encoding="utf-8", errors="backslashreplace")


def summary(records: Sequence[Record], seconds: float) -> str:
    counts = Counter(record.outcome for record in records)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome) + f" in {seconds:.1f} s"
