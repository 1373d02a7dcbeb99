"""Entries of the log: the changes of a turn as JSON, and what only the cluster needs, `Leads` and `Leaves`.

An entry is `{"v": 1, "run": ..., "n": ..., "c": [[kind, field, ...], ...]}`. `v` is the version, `run` the run of the
process that wrote it, and `n` its number in that run. `c` has the changes, with all that was decided. A change is
written field by field, after the declared types of its class, so a new kind of change needs nothing here.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, get_args, get_type_hints

from domain.changes import Change, InOrder

VERSION = 1
"""Of the entries that are written and understood."""

MAX_ENTRY = 256 * 1024
"""Bytes of an entry, above which a turn's changes become several; one change alone may be longer."""


FRAME = 100
"""More than the bytes of an entry without its changes."""


class NewerVersion(Exception):
    """The entry has a version or a change that is unknown here: a newer version has written it."""


class Leads(NamedTuple):
    """The writer of this entry leads from here on.

    Attributes:
        node: its name.
        base: a hash of the data with which the log was begun; "" for none. Only an entry that begins a log has it.
    """

    node: str
    base: str = ""


class Leaves(NamedTuple):
    """The leader writes nothing more: whoever wants may lead, without waiting."""

    node: str


class Entry(NamedTuple):
    """What an entry says: the run that wrote it, its number there, and its changes."""

    run: str
    number: int
    changes: Sequence[Any]


KINDS: dict[str, type] = {kind.__name__: kind for kind in (*get_args(Change), Leads, Leaves) if kind is not InOrder}
"""Every durable change, by the name under which it is written."""


def encode(run: str, number: int, changes: Sequence[Any]) -> bytes:
    """Return the bytes of an entry; without changes it only proves that its writer still leads."""
    return entry(run, number, _rows(changes))


def entry(run: str, number: int, rows: bytes) -> bytes:
    """Return the bytes of an entry whose changes are these, which `divide` has written."""
    return b'{"v":%d,"run":"%b","n":%d,"c":%b}' % (VERSION, run.encode(), number, rows)


def divide(changes: Sequence[Any]) -> Iterator[tuple[bytes, Sequence[Any]]]:
    """Divide the changes of a turn into entries: what `entry` takes for each, and its changes."""
    rows = _rows(changes)
    if len(rows) <= MAX_ENTRY - FRAME or len(changes) < 2:
        yield rows, changes
    else:
        half = len(changes) // 2
        yield from divide(changes[:half])
        yield from divide(changes[half:])


def decode(data: bytes) -> Entry:
    """Read an entry.

    Raises:
        NewerVersion: it cannot be understood.
    """
    try:
        fields = _load(data.decode("utf-8", "surrogatepass"))
        if fields["v"] != VERSION:
            raise NewerVersion(f"version {fields['v']}")
        return Entry(str(fields["run"]), int(fields["n"]), [_read(*row) for row in fields["c"]])
    except (KeyError, TypeError, ValueError) as error:
        raise NewerVersion(f"{type(error).__name__}: {error}") from error


_load = json.JSONDecoder().decode

_dump = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=lambda value: base64.b64encode(value).decode()
).encode


def _rows(changes: Sequence[Any]) -> bytes:
    return _dump([[type(change).__name__, *change] for change in changes]).encode("utf-8", "surrogatepass")


def _read(name: str, *fields: Any) -> Any:
    try:
        kind = KINDS[name]
    except KeyError:
        raise NewerVersion(f"change {name}") from None
    return _reader(kind)(fields)


@functools.cache
def _reader(hint: Any) -> Callable[[Any], Any]:
    """Return the function that turns what JSON has made of a value of this type into the value."""
    if hint is bytes:
        return functools.partial(base64.b64decode, validate=True)
    if isinstance(hint, type) and hasattr(hint, "_make"):
        readers = [_reader(each) for each in get_type_hints(hint).values()]
        if all(read is _as_it_is for read in readers):
            return lambda values: hint(*values)  # checks their number; one of an older version may lack the last ones
        return lambda values: hint(*(read(value) for read, value in zip(readers, values, strict=True)))
    return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value
