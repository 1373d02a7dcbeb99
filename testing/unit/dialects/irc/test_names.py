"""dialects/irc/names.py: names as IRC shows them, and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.irc.names import Alike, channel_name, channel_of, nick_of, unescape, user_part
from domain.masks import fold
from domain.names import is_name

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=",:@| "), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("name", "nick"),
    [
        ("ann", "ann"), ("a!b", "a|21|b"), ("*", "|2a|"), ("what?", "what|3f|"), ("#x", "|23|x"), ("x#", "x#"),
        ("~a", "|7e|a"), ("bob@two.example", "bob|two.example"), ("b!b@two.example", "b|21|b|two.example"),
        ("花", "花"),
    ],
)  # fmt: skip
def test_a_nick_shows_what_it_cannot_have_as_a_number(name: str, nick: str) -> None:
    """(I16)"""
    assert nick_of(name) == nick
    assert unescape(nick) == name


@given(NAMES, st.sampled_from(["", "@two.example", "@a-1"]))
def test_nothing_is_lost_either_way(name: str, host: str) -> None:
    """(I16)"""
    nick = nick_of(name + host)
    assert unescape(nick) == name + host
    assert not re.search(r"[!*?]|\A[#&+%~$]", nick)
    assert channel_name(channel_of(name)) == name


@given(st.text(max_size=20))
def test_any_nick_is_a_name_or_none(nick: str) -> None:
    name = unescape(nick)
    assert name is None or isinstance(name, str)


@pytest.mark.parametrize("nick", ["a|2|b", "a|zz|b", "|ff|", "|+1|", "| 1|x", "|0x1|"])
def test_what_no_name_is_shown_as_is_nobody(nick: str) -> None:
    assert unescape(nick) is None


def test_a_channel_has_one_sign_in_front() -> None:
    """(I15)"""
    assert (channel_of("garden"), channel_of("#x"), channel_of("garden:two.example")) == (
        "#garden", "##x", "#garden:two.example",
    )  # fmt: skip
    assert channel_name("garden") is None
    assert channel_name("##x") == "#x"


@given(st.lists(st.text("aAbBé", min_size=1, max_size=4), max_size=8, unique=True))
def test_no_client_takes_two_for_one(names: list[str]) -> None:
    """However names come, those that are shown are not alike, and each leads back (I17)."""
    alike = Alike(names)
    shown = {name: nick_of(alike.shown(name)) for name in names}
    assert len({fold(nick) for nick in shown.values()}) == len(names)
    for name, nick in shown.items():
        found = unescape(nick)
        assert found is not None
        assert alike.find(found, names.__contains__) == name


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["ann", "Ann", "ANN", "aNN", "bob"])), max_size=20))
def test_the_oldest_is_shown_as_it_is(steps: list[tuple[bool, str]]) -> None:
    """(I17)"""
    alike, held = Alike(), list[str]()
    for comes, name in steps:
        (alike.add if comes else alike.remove)(name)
        if comes and name not in held:
            held.append(name)
        elif not comes and name in held:
            held.remove(name)
        same = [other for other in held if fold(other) == fold(name)]
        assert alike.oldest(name) == (same[0] if same else None)


def test_each_letter_of_another_case_is_escaped() -> None:
    """(I17)"""
    alike = Alike(["ann", "Ann", "ANN"])
    assert [alike.shown(name) for name in ("ann", "Ann", "ANN", "aNN")] == ["ann", "|41|nn", "|41||4e||4e|", "aNN"]


def test_the_user_part_is_ascii() -> None:
    """(I14)"""
    assert [user_part(text) for text in ("ann", "a b!c@d", "花", "x" * 20)] == ["ann", "abcd", "u", "x" * 10]


def test_names_of_the_domain_have_no_bar() -> None:
    """So bars are free for IRC (I16)."""
    assert not is_name("a|b")
