"""Names: what may be one, wherever it comes from, and that nothing is done with a word that is too long for one."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import federation
import unicode_names
from app.directives import ConfigError
from dialects import hello, mailbox, result, rooms
from dialects.mailbox import Pattern
from dialects.operator import table
from domain.changes import (
    AccountRegistered,
    ChannelCreated,
)
from domain.names import has_form_of_name, is_name
from harness.processes import ROOT
from support.configs import parse_config
from support.examples import EXAMPLES
from support.world import Client, World
from text import MAX_CHARACTERS, MAX_WORD, is_too_long, normalize
from ui.dialects import DIALECTS

# ---- what is seen ----

SEEN = {
    "a family": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "a flag": "\U0001f1e9\U0001f1ea",
    "a flag of joined signs": "\U0001f3f3\ufe0f\u200d\U0001f308",
    "an eye in a bubble": "\U0001f441\ufe0f\u200d\U0001f5e8\ufe0f",
    "a skin tone": "\U0001f44b\U0001f3fd",
    "a skin tone, joined": "\u26f9\U0001f3fd\u200d\u2642\ufe0f",
    "a heart in colour": "\u2764\ufe0f",
    "a heart in black": "\u2764\ufe0e",
    "a sign of mathematics": "\u2194\ufe0f",
    "keycaps": "1\ufe0f\u20e30\u20e3#\ufe0f\u20e3*\ufe0f\u20e3",
    "Devanagari": "\u0915\u094d\u200d\u0937",
    "Bengali, a joiner before the mark": "\u09b0\u200d\u09cd\u09af",
    "Persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Thai": "\u0e44\u0e21\u0e49\u0e40\u0e2d\u0e01",
    "Hebrew": "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
    "Vietnamese": "Nguy\u1ec5n",
    "Tibetan": "\u0f56\u0f62\u0f92\u0fb1\u0f74\u0f51",
    "Hangul": "\ud55c\uae00",
    "CJK": "\u4f60\u597d",
    "an Arabic sign of numbers": "\u0600\u0661",
    "four marks": "q\u0323\u0324\u0325\u0326",
    "a mark on a digit and on a sign": "1\u0332\u2764\u0332",
    "a mark that encloses": "\u0416\u20dd",
    "ASCII": "#!$%&'()*+-.;<=>?[]^_`{}~\\",
}

UNSEEN = {
    "a joiner alone": "\u200d",
    "a joiner in front": "\u200c\u0646",
    "a joiner at the end": "\u0646\u0645\u06cc\u200c",
    "two joiners": "\u0915\u200d\u200c\u0937",
    "a joiner among Latin letters": "bo\u200db",
    "a joiner after a Latin letter with a mark": "q\u0323\u200d\u0915",
    "a joiner before a Latin letter": "\u0915\u200da",
    "a joiner among Greek letters": "\u03b1\u200d\u03b2",
    "a joiner among Cyrillic letters": "\u044f\u200c\u044f",
    "a joiner among full-width letters": "\uff21\u200d\uff22",
    "a joiner among digits": "1\u200d2",
    "a joiner among Arabic digits": "\u0661\u200c\u0662",
    "a joiner after a keycap": "1\ufe0f\u20e3\u200d\u2764",
    "a combining grapheme joiner": "a\u034f",
    "Hangul fillers": "\u115f\u1160",
    "a Hangul filler": "\u3164",
    "a half-width Hangul filler": "\uffa0",
    "a blank Braille pattern": "Server\u2800message",
    "a null notehead": "Server\U0001d159message",
    "a zero-width space": "a\u200bb",
    "a soft hyphen": "a\u00adb",
    "an annotation anchor": "a\ufff9b",
    "a selector alone": "\ufe0f",
    "a selector after a letter": "a\ufe0f",
    "a selector after an ideograph": "\u4e2d\U000e0100",
    "a selector after a digit": "1\ufe0f",
    "a selector after a mark": "\u2764\u0332\ufe0f",
    "two selectors": "\u2764\ufe0f\ufe0f",
    "a selector of Mongolian": "\u1820\u180b",
    "a mark alone": "\u0301",
    "a mark in front": "\u0e31\u0e01",
    "five marks": "q\u0323\u0324\u0325\u0326\u0327",
    "five marks with a joiner between": "\u0e01\u0e38\u0e38\u200d\u0e38\u0e38\u0e38",
    "an unassigned character": "a\u0378",
    "a private one": "\ue000",
    "private ones beyond the first plane": "\U000f0000\U0010fffd",
    "noncharacters": "\ufdd0\ufffe",
    "noncharacters beyond the first plane": "\U0001ffff",
    "a flag of tags": "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
}


@pytest.mark.parametrize("name", SEEN.values(), ids=SEEN)
def test_what_is_seen_may_be_a_name(name: str) -> None:
    assert is_name(unicodedata.normalize("NFC", name))


@pytest.mark.parametrize("name", UNSEEN.values(), ids=UNSEEN)
def test_what_is_not_seen_is_in_no_name(name: str) -> None:
    assert not is_name(unicodedata.normalize("NFC", name))


FORMATS = re.compile(f"[{unicode_names.NUMBER_SIGNS}\ufff9-\ufffb\U00013430-\U0001343f]")
"""Characters of category Cf that Unicode's DerivedCoreProperties.txt does not count among the ignored ones."""


def test_each_format_character_is_ignored_or_known() -> None:
    ignored = re.compile(f"[{unicode_names.IGNORED}]")
    for character in map(chr, range(0x110000)):
        if unicodedata.category(character) == "Cf":
            assert bool(ignored.match(character)) != bool(FORMATS.match(character)), hex(ord(character))


def test_each_character_by_itself() -> None:
    """What is a name alone has a glyph of its own, so it can stand before anything else of that kind."""
    hidden = re.compile(f"[{unicode_names.IGNORED}{unicode_names.BLANK_SIGNS},:@|/]")
    for character in map(chr, [*range(0x3400), *range(0x3400, 0x110000, 61), *range(0xE0000, 0xE0200)]):
        category = unicodedata.category(character)
        no_glyph = category in {"Cc", "Cs", "Cn", "Co", "Zs", "Zl", "Zp", "Mn", "Me"} or hidden.match(character)
        if no_glyph or not unicodedata.is_normalized("NFC", character):
            assert not is_name(character), hex(ord(character))
        elif category != "Cf":
            assert is_name(character), hex(ord(character))


SIGNS = st.text(
    st.sampled_from("ab1#\u0416\u0915\u0e01\u4e2d\u2764\u0301\u0e38\u20e3\ufe0f\u200c\u200d\u2800"), max_size=8
)


@EXAMPLES
@given(SIGNS)
def test_taking_out_what_is_not_seen_changes_no_name_into_another_that_looks_the_same(text: str) -> None:
    """Among Latin letters and digits nothing can be put that does not show."""
    word = normalize(text)
    if is_name(word):
        for hidden in "\u200c\u200d\u2800":
            assert not re.search(f"[a-z0-9\u0416]{hidden}|{hidden}[a-z0-9\u0416]|^{hidden}|{hidden}$", word)
        assert not re.search("[^\u2764\ufe0f]\ufe0f(?!\u20e3)", word)
        assert not re.search("[\u0301\u0e38\u20e3][\u200c\u200d]?" * 5, word)


@EXAMPLES
@given(SIGNS)
def test_a_new_name_has_the_form_of_a_name(text: str) -> None:
    word = normalize(text)
    assert has_form_of_name(word) or not is_name(word)


def test_ascii_names_need_no_tables() -> None:
    for name in ("domain/names", "text"):
        tree = ast.parse((ROOT / f"{name}.py").read_text())
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert not {"unicodedata", "unicode_names"} & {alias.name for node in imports for alias in node.names}


# ---- where new names come from ----

FORGED = "Server\u2800message"


def test_no_new_user_or_channel_can_be_called_so() -> None:
    with World(channels={"lobby": 5}) as world:
        assert world.client().ask(f"REGISTER {FORGED} x") == ["RESULT REGISTER 0"]
        assert world.user("ann").ask(f"CREATE {FORGED}") == [f"RESULT CREATE {FORGED} 0"]
        assert world.client(world.hello).ask(f"HELLO-FROM {FORGED}") == ["BAD-RQST-BODY"]
        assert world.mailbox_client().ask(f"1|{FORGED}") == [mailbox.HINT]
        assert world.room_guest("lobby", FORGED).saw() == ["* Cannot connect to the lobby channel."]
        assert world.printed() == []
        peer = world.peer("two")
        peer.ask(f"FEDJOIN {FORGED}@two lobby", f"FEDNEW {FORGED}", f"FEDCHANNELS {FORGED}")
        assert world.printed() == []
        assert world.user("eve").ask("CHANNELS") == ["RESULT CHANNELS lobby"]


def test_no_channel_of_the_config_can_be_called_so() -> None:
    with pytest.raises(ConfigError, match="cannot be a channel"):
        parse_config(f"channel {FORGED} 5051 5", "config")


def test_what_is_called_so_already_goes_on() -> None:
    """Accounts and channels from before rule C33."""
    with World(channels={}) as world:
        world.chat.restore([AccountRegistered(FORGED, FORGED.encode(), 1.0), ChannelCreated(FORGED, "", 1.0)])
        ann = world.user("ann")
        guest = world.guest("bob")
        assert ann.ask(f"SAY @{FORGED} hi") == [f"RECV ann @{FORGED} hi"]
        assert guest.ask(f"SEND {FORGED} hi") == ["BAD-DEST-USER"]
        old = world.client()
        assert old.ask(f"LOGIN {FORGED} {FORGED}") == ["RESULT LOGIN 1", "RECV ann @ann hi"]
        assert guest.ask(f"SEND {FORGED} hi") == ["SEND-OK"]
        assert old.heard() == ["RECV bob @bob hi"]
        assert old.ask(f"JOIN {FORGED}", f"SAY {FORGED} me") == [
            f"RESULT JOIN {FORGED} 1", f"RECV {FORGED} {FORGED} me",
        ]  # fmt: skip
        peer = world.peer("two")
        assert peer.ask(f"FEDJOIN eve@two {FORGED}") == [f"FEDRESULT eve JOIN {FORGED}:127.0.0.1 1"]
        assert peer.ask(f"FEDMSG eve@two {FORGED} hi") == [f"FEDRESULT eve MSG {FORGED}@127.0.0.1 1"]
        assert old.heard() == ["RECV eve@two @eve@two hi"]


# ---- what is too long is not looked at ----

MARKS = "\u0345\u0334"
LONG_WORDS = (
    "a" + MARKS * 320,
    MARKS * 1500,
    "\u0915" + "\u0334" * 1000 + "a" * 100,
    f"@{MARKS * 600}@{MARKS * 600}",
    f"{MARKS * 600}:{MARKS * 600}",
    "*" + MARKS * 1000,
    "a" + MARKS * (MAX_CHARACTERS // 2),
    MARKS * (MAX_CHARACTERS // 2),  # not too long
)


@pytest.fixture
def worked_on(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what NFC has been made of."""
    lengths: list[int] = []

    def counting(call: Callable[[str, str], object]) -> Callable[[str, str], object]:
        def counted(form: str, text: str) -> object:
            lengths.append(len(text))
            return call(form, text)

        return counted

    for name in ("normalize", "is_normalized"):
        monkeypatch.setattr(unicodedata, name, counting(getattr(unicodedata, name)))
    return lengths


def lines_of(verbs: Iterator[str], most: int = 3) -> Iterator[str]:
    """Each verb with long words in every place."""
    for verb in verbs:
        for word in LONG_WORDS:
            for count in range(1, most + 1):
                yield " ".join([verb, *[word] * count]).lstrip()


def ask(client: Client, lines: Iterator[str]) -> None:
    for line in lines:
        client.send(line)
        client.heard()


def test_no_long_word_is_made_nfc(worked_on: list[int]) -> None:
    """C34."""
    with World(channels={"lobby": 5, "attic": 5}) as world:
        verbs = [verb.split()[0] for verb in result.COMMANDS if verb != "QUIT"]
        ask(world.client(), lines_of(iter(verbs)))
        ask(world.user("ann", "tea"), lines_of(iter(verbs)))
        for line in lines_of(iter(hello.COMMANDS)):
            world.client(world.hello).ask(line)
        ask(world.guest("bob"), lines_of(iter(hello.COMMANDS)))
        for client in (world.mailbox_client(), world.mailbox_user("mason")):
            ask(client, (line.replace(" ", "|") for line in lines_of(iter(set(mailbox.COMMANDS) - {"bye"}))))
        for line in lines_of(iter([""]), most=1):
            assert world.room_guest("lobby", line).saw() == ["* Cannot connect to the lobby channel."]
        for first_line, commands in (("zoe", rooms.COMMANDS), ("yan files", rooms.FILE_COMMANDS)):
            ask(world.room_guest("lobby", first_line), lines_of(iter(set(commands) - {"/quit"})))
        world.type(*lines_of(iter(set(table.ALL) - {"/shutdown", "shutdown"})))
        ask(world.client(), lines_of(iter(federation.COMMANDS)))
        for verb in federation.COMMANDS:
            for line in lines_of(iter([verb, f"{verb} eve@two", f"{verb} eve@two tea", f"{verb} eve JOIN"])):
                world.peer("two").ask(line)
                world.clients.pop().leave()
    for word in LONG_WORDS:
        with pytest.raises(ConfigError):
            parse_config(f"channel {word} 5051 5", "config")
    assert max(worked_on) == MAX_CHARACTERS


@pytest.mark.parametrize("dialect_name", DIALECTS)
def test_no_long_word_is_made_nfc_by_the_client(dialect_name: str, worked_on: list[int]) -> None:
    dialect = DIALECTS[dialect_name]()
    dialect.take_name("ann")
    verbs = ["", "LOGIN", "JOIN", "SAY", "SEND", "HELLO-FROM", "!who", "/send", "/new", "0|", "3|", "/whisper", "@bob"]
    for line in lines_of(iter([*verbs, "RESULT JOIN", "RECV", "DELIVERY", "user :"])):
        dialect.typed(line)
        dialect.sent(line)
        dialect.received(line)
    assert max(worked_on, default=0) <= MAX_CHARACTERS


@pytest.mark.parametrize("sign", [":", "@", ":@"])
def test_a_word_of_many_parts_is_no_more_work_than_one_of_three(sign: str, worked_on: list[int]) -> None:
    normalize(sign.join([MARKS * (MAX_CHARACTERS // 2)] * 15))
    assert len(worked_on) <= 3


def test_nfc_is_made_in_one_place() -> None:
    made = [
        path.name
        for path in [*ROOT.glob("*.py"), *ROOT.glob("dialects/*.py"), *ROOT.glob("ui/**/*.py")]
        if re.search(r"unicodedata\.normalize\b", path.read_text())
    ]
    assert made == ["text.py"]


def test_no_character_is_more_than_four_before_nfc() -> None:
    assert max(len(unicodedata.normalize("NFD", chr(code))) for code in range(0x110000)) * 67 == MAX_CHARACTERS


@EXAMPLES
@given(st.text(min_size=1, max_size=64))
def test_every_spelling_of_a_name_is_short_enough(text: str) -> None:
    name = normalize(text)
    if has_form_of_name(name):
        spelled = unicodedata.normalize("NFD", name)
        assert not is_too_long(spelled)
        assert normalize(spelled) == name
        assert normalize(f"{spelled}123") == unicodedata.normalize("NFC", f"{spelled}123")
        assert normalize(f"@{spelled}@{spelled}") == f"@{name}@{name}"
        assert normalize(f"{spelled}:{spelled}") == f"{name}:{name}"
        for between in ("*", ".*"):
            assert normalize(between.join(spelled)) == unicodedata.normalize("NFC", between.join(spelled))


@pytest.mark.parametrize(("pattern", "matches"), [("*" * MAX_WORD, True), ("*" * (MAX_WORD + 1), False)])
def test_a_longer_pattern_matches_nobody(pattern: str, matches: bool) -> None:
    assert Pattern(pattern).matches("ann") is matches


def test_a_pattern_of_many_stars_is_in_nfc() -> None:
    assert Pattern(normalize("e\u0301" + "*" * 1000)).matches("\u00e9va")


@pytest.mark.parametrize(
    "name",
    [
        "a", "alice", "Alice_1-2.3", "x" * 64, "-", "#room", "a/b", "a//", "!", "42", "~", "<b>", "{0}", "%s", "\\",
        "\u4f60\u597d", "\u3042", "\ud55c", "\u00e9", "\u00fc" * 64, "\u0645\u0631\u062d\u0628\u0627",
        "\u0915\u094d\u200d\u0937", "\u0646\u0645\u06cc\u200c\u062e", "\U0001f600", "\U0001f468\u200d\U0001f469",
        "\u4e2d" * 64, "\uff0f", "\uff20a", "\uff1aa",
    ],
)  # fmt: skip
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "", "x" * 65, "\u4e2d" * 65, "/", "/a", "a,b", "a:b", ":", "a@b", "@", "a|b", ",",
        " ", "a b", "a\tb", "a\nb", "a\rb", "a\x0bb", "a\x0cb", "a\x1cb", "a\x1fb",
        "\x00", "a\x00", "a\x1b[31m", "a\x07", "a\x7f", "a\x80", "a\x85b", "a\x9b",
        "a\u00a0b", "a\u1680b", "a\u2003b", "a\u200ab", "a\u2028b", "a\u2029b", "a\u202fb", "a\u205fb", "\u3000",
        "a\u200bb", "a\u2060b", "\ufeffa", "a\u00adb", "a\u180eb", "a\U000e0041", "\U0001d173",
        "a\u202eb", "a\u061cb", "a\u200eb", "a\u200fb", "a\u2066b", "a\u2069b",
        "e\u0301", "\u1112\u1161\u11ab", "\u212b", "a\ud800",
    ],
)  # fmt: skip
def test_no_names(name: str) -> None:
    assert not is_name(name)


def test_a_shorter_name_may_be_asked_for() -> None:
    assert is_name("abc", 3)
    assert not is_name("abcd", 3)
    assert not is_name("\u4f60\u597d\u5417\u5440", 3)


@EXAMPLES
@given(st.text(min_size=1, max_size=5))
def test_no_name_has_white_space_or_control_characters(word: str) -> None:
    if is_name(word):
        assert not any(character.isspace() or character in ",:@|" for character in word)
        assert word.split() == [word]
        assert len(word.splitlines()) == 1
