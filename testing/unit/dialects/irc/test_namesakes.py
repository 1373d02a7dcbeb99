"""Nicks of room guests with one name (I17)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dialects.irc.names import nick_of, unescape
from dialects.irc.namesakes import Namesakes, without_pairs
from domain.masks import fold

NAMES = st.sampled_from(["kim", "KIM", "k", "1", "#1", "#a", "~", "\u4f60\u597d", "k1", "\u00fcb"])


@given(NAMES, st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef")), max_size=30))
def test_each_has_a_nick_of_its_own_that_leads_back(name: str, steps: list[tuple[bool, str]]) -> None:
    """Whoever comes and goes; the oldest has the nick of its name."""
    namesakes, there = Namesakes([]), list[str]()
    for comes, channel in steps:
        (namesakes.come if comes else namesakes.go)(name, channel)
        if comes and channel not in there:
            there.append(channel)
        elif not comes and channel in there:
            there.remove(channel)
        assert [*namesakes.channels_of(name)] == there
        nicks = [namesakes.nick(name, name, channel) for channel in there]
        assert len({fold(nick) for nick in nicks}) == len(nicks)
        assert nicks[:1] == [nick_of(name)][: len(nicks)]
        assert {unescape(without_pairs(nick)) for nick in nicks} <= {name}


def test_one_that_is_shown_in_another_form_has_not_the_nick_of_a_namesake() -> None:
    """KIM beside an older kim has all letters escaped already."""
    namesakes = Namesakes([("KIM", "a"), ("KIM", "b"), ("KIM", "c")])
    form = "|4b||49||4d|"
    assert [namesakes.nick("KIM", form, channel) for channel in "abc"] == [form, f"{form}||", f"{form}||||"]


def test_only_empty_pairs_that_no_name_is_shown_with_are_removed() -> None:
    nicks = {"kim||": "kim", "kim||||": "kim", "|6b|||": "|6b|", "kim": "kim", "|6b|": "|6b|", "bob|two": "bob|two"}
    assert {nick: without_pairs(nick) for nick in nicks} == nicks
