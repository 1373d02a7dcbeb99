"""Entries of the log: every durable change comes back as it was, and what is unknown is refused."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.changes import AccountRegistered, InOrder, Mailed, Said
from replica import wire
from replica.wire import KINDS, Leads, Leaves, NewerVersion, decode, encode
from support.examples import EXAMPLES

RUN = "0123456789ab"


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a declared type."""
    plain = {
        bool: st.booleans(),
        str: st.text(),
        bytes: st.binary(),
        int: st.integers(),
        float: st.floats(allow_nan=False),
    }
    assert hint in plain, f"{hint} needs values here, and a reader in replica/wire.py if JSON has no such type"
    return plain[hint]


def changes(kind: type) -> st.SearchStrategy[Any]:
    return st.builds(kind, *map(values, get_type_hints(kind).values()))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(EXAMPLES, max_examples=20)
@given(data=st.data())
def test_a_change_comes_back(kind: type, data: st.DataObject) -> None:
    change = data.draw(changes(kind))
    entry = decode(encode(RUN, 7, [change, change]))
    assert (entry.run, entry.number, entry.changes) == (RUN, 7, [change, change])
    assert {type(each) for each in entry.changes} == {kind}


def test_an_ephemeral_change_is_no_entry() -> None:
    assert InOrder.__name__ not in KINDS
    assert {Leads, Leaves} <= {*KINDS.values()}


def test_an_entry_is_json_that_tells_all() -> None:
    data = encode(RUN, 7, [Said("ann", "garden", "hé", 1.5, 4711), AccountRegistered("bo", b"\0\xff", 2.0)])
    assert json.loads(data) == {
        "v": 1,
        "run": RUN,
        "n": 7,
        "c": [["Said", "ann", "garden", "hé", 1.5, 4711, "say"], ["AccountRegistered", "bo", "AP8=", 2.0]],
    }
    assert decode(encode(RUN, 8, [])) == (RUN, 8, [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"v":2,"run":"a","n":1,"c":[]}',
        b'{"v":1,"run":"a","n":1}',
        b'{"v":1,"run":"a","n":"x","c":[]}',
        b'{"v":1,"run":"a","n":1,"c":[["Unheard"]]}',
        b'{"v":1,"run":"a","n":1,"c":[["Said","ann"]]}',
        b'{"v":1,"run":"a","n":1,"c":[["Said","ann","garden","hi",1.0,1,"say","more"]]}',
        b'{"v":1,"run":"a","n":1,"c":[["InOrder",1,2]]}',
        b'{"v":1,"run":"a","n":1,"c":[[]]}',
        b'{"v":1,"run":"a","n":1,"c":[["AccountRegistered","bo","?",2.0]]}',
    ],
)
def test_what_is_unknown_was_written_by_a_newer_version(data: bytes) -> None:
    with pytest.raises(NewerVersion):
        decode(data)


@pytest.mark.parametrize("text", ["x", '"', "é", "\ud800"], ids=ascii)
def test_a_turn_is_divided(text: str) -> None:
    said = [Said("ann", "garden", text * 4000, float(number)) for number in range(100)]
    entries = [(wire.entry(RUN, 1, rows), part_of) for rows, part_of in wire.divide(said)]
    assert [change for data, _changes in entries for change in decode(data).changes] == said
    assert [change for _data, part_of in entries for change in part_of] == said
    assert max(len(data) for data, _changes in entries) <= wire.MAX_ENTRY
    assert len(entries) <= 2 * -(-sum(len(data) for data, _changes in entries) // wire.MAX_ENTRY)


def test_a_long_change_is_an_entry_of_its_own() -> None:
    long = Said("ann", "garden", "x" * 2 * wire.MAX_ENTRY, 1.0)
    short = Said("ann", "garden", "x", 1.0)
    assert [part for _rows, part in wire.divide([short, long, short])] == [[short], [long], [short]]
    assert [part for _rows, part in wire.divide([])] == [[]]


def test_an_entry_of_an_older_version_lacks_what_was_added_since() -> None:
    data = b'{"v":1,"run":"a","n":1,"c":[["Said","ann","garden","hi",1.5,4711],["Mailed","ann","bo","hi",1.5]]}'
    assert decode(data).changes == [Said("ann", "garden", "hi", 1.5, 4711, "say"), Mailed("ann", "bo", "hi", 1.5)]
