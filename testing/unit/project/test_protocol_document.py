"""PROTOCOL.md against the code: commands, answers, contents, and the rules that code, tests and cases cite."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import federation
from commands import Command
from dialects import hello, mailbox, result, result_words, rooms
from dialects.irc import commands as irc
from dialects.irc.capabilities import CAPABILITIES
from dialects.operator import console, slash, table
from domain.changes import Said
from domain.events import ChannelMessages, DirectEcho
from harness.processes import ROOT
from settings import Settings
from support.world import TIME, Client, World, plain

TEXT = (ROOT / "PROTOCOL.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```$", "", TEXT, flags=re.MULTILINE | re.DOTALL)
"""The document without its examples."""

HEADINGS = re.findall(r"^##+ (.*)$", PROSE, re.MULTILINE)
RULES = re.findall(r"^\*\*([A-Z]\d+)\b", PROSE, re.MULTILINE)

COMMANDS: Mapping[str, Mapping[str, Any]] = {
    "The dialect `result`": result.COMMANDS,
    "The dialect `hello`": hello.COMMANDS,
    "The dialect `rooms`": rooms.COMMANDS,
    "Files between room guests": {
        verb: command
        for verb, command in rooms.FILE_COMMANDS.items()
        if rooms.COMMANDS.get(verb) is not command
    },
    "The operator's console": slash.COMMANDS,
    "The operator's commands": table.COMMANDS,
    "The dialect `mailbox`": mailbox.COMMANDS,
    "The dialect `federation`": federation.COMMANDS,
}  # fmt: skip
"""The tables of commands, by the section that has them."""


def section(title: str, text: str = PROSE) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def quoted(text: str) -> list[str]:
    """Return what stands between backquotes."""
    return [span.replace("\\|", "|") for span in re.findall(r"`([^`]+)`", text)]


# ---- its form ----


def test_the_contents_are_the_headings() -> None:
    listed = re.findall(r"^ *- \[(.+)\]\(#(.+)\)$", section("Contents"), re.MULTILINE)
    headings = [heading for heading in HEADINGS if heading != "Contents"]
    assert [heading for heading, _anchor in listed] == headings
    seen: Counter[str] = Counter()
    for heading, anchor in listed:
        plain = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        assert anchor == (f"{plain}-{seen[plain]}" if seen[plain] else plain)
        seen[plain] += 1


def test_no_cell_of_a_table_is_long() -> None:
    cells = [cell for line in TEXT.splitlines() if line.startswith("|") for cell in line.split("|")]
    assert max(map(len, cells)) < 300


# ---- its rules ----

CITED = re.compile(r"(?<![\w\\+.-])([CRHOFPBMLWI]\d{1,2})(?: to ([CRHOFPBMLWI]\d{1,2}))?(?![\w-])")


def cited_in(text: str) -> Iterator[str]:
    for first, last in CITED.findall(text):
        known = first in RULES and last in RULES
        yield from RULES[RULES.index(first) : RULES.index(last) + 1] if known else filter(None, (first, last))


def test_each_number_is_one_rule() -> None:
    for letter in "CRHOFPBLMWI":
        numbers = [int(rule[1:]) for rule in RULES if rule[0] == letter]
        assert sorted(numbers) == [*range(1, len(numbers) + 1)]


def rules_cited() -> dict[str, set[str]]:
    """Return the rules that each file cites. A case cites them in its comments."""
    files = [*ROOT.glob("*.py"), *ROOT.glob("*.md"), *ROOT.glob("[a-z]*/**/*.py"), *ROOT.glob("[a-z]*/**/*.md")]
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in files
        if path.name not in ("PROTOCOL.md", Path(__file__).name)
    }
    for path in ROOT.glob("testing/*/**/*.txt"):
        texts[path] = "".join(re.findall("#.*", path.read_text(encoding="utf-8")))
    return {str(path.relative_to(ROOT)): set(cited_in(text)) for path, text in texts.items()}


def test_every_rule_that_is_cited_exists() -> None:
    assert {name: rules - set(RULES) for name, rules in rules_cited().items() if rules - set(RULES)} == {}
    assert set(cited_in(TEXT)) == set(RULES)


def test_every_rule_is_shown_by_a_test() -> None:
    """All but those that promise nothing that a test can see."""
    shown = set().union(*(rules for name, rules in rules_cited().items() if name.startswith("testing/")))
    assert set(RULES) - shown == {"L25"}


# ---- commands and answers ----


def test_the_table_has_every_command_of_irc() -> None:
    rows = re.findall(r"^\| `(.+?)` \|", section("The dialect `irc`"), re.MULTILINE)
    documented = {row.replace("\\|", "|").split()[0] for row in rows if row.split()[0].isupper()}
    assert documented | {*irc.NOT_FOR_CLIENTS} == {*irc.COMMANDS}
    usages = {row.replace("\\|", "|") for row in rows}
    assert {command.usage for verb, command in irc.COMMANDS.items() if verb in documented - {"HELPOP"}} <= usages


def test_every_capability_of_irc_is_named() -> None:
    assert {*CAPABILITIES} <= set(quoted(section("The dialect `irc`")))


@pytest.mark.parametrize("title", COMMANDS)
def test_every_command_says_how_it_is_typed_and_what_it_does(title: str) -> None:
    for verb, command in COMMANDS[title].items():
        assert command.usage.startswith(verb.split()[0])
        assert command.help


@pytest.mark.parametrize("title", COMMANDS)
def test_each_command_has_a_section_and_no_other_has(title: str) -> None:
    headings = re.findall(r"^### (`.*)$", section(title), re.MULTILINE)
    assert sorted(usage for heading in headings for usage in quoted(heading)) == sorted(
        {command.usage for command in COMMANDS[title].values()}
    )


BLANK = "\N{CURRENCY SIGN}"
"""Stands for whatever value an answer has."""


def render(words: Mapping[type, Any], *lines: Any) -> Iterator[str | bytes]:
    """Say each event with BLANK in the place of every value."""
    for kind, render_event in words.items():
        fields: list[Any] = [BLANK] * len(getattr(kind, "_fields", ()))
        event = ChannelMessages((Said(BLANK, BLANK, BLANK, 0.0),)) if kind is ChannelMessages else kind(*fields)
        if said := render_event(*lines, event):  # some events are no news in a dialect
            yield said
        if isinstance(event, DirectEcho):
            yield render_event(*lines, event._replace(waits=False))


def answers(commands: Iterable[Command]) -> Iterator[str]:
    for command in commands:
        yield from filter(None, (command.success, command.failure))


def words_of(title: str) -> Iterator[str | bytes]:
    """Return all that the tables of a section's dialect have to say."""
    lines = rooms.MessageFormatter(lambda _at: BLANK)
    if title == "The dialect `result`":
        yield from answers(result.COMMANDS.values())
        yield from result.REFUSALS.values()
        yield from render(result_words.WORDS)
    elif title == "The dialect `hello`":
        yield from answers(hello.COMMANDS.values())
        yield from hello.FAILURES.values()
    elif title == "The dialect `mailbox`":
        yield from answers(mailbox.COMMANDS.values())
        yield from mailbox.FAILURES.values()
        yield from (mailbox.HINT, mailbox.NOT_KEPT)
        yield from render(mailbox.WORDS)
    elif title == "The dialect `federation`":
        yield from answers(federation.COMMANDS.values())
    elif title == "The operator's console":
        yield from render(console.OPERATOR_WORDS, lines)
    elif title == "The operator's commands":
        yield from table.FAILURES.values()
    else:
        yield from rooms.FAILURES.values()
        yield from render(rooms.GUEST_WORDS, lines)


@pytest.mark.parametrize("title", COMMANDS)
def test_every_answer_is_quoted(title: str) -> None:
    titles = {"Common rules", title}
    if "rooms" in title or "Files" in title:  # one table has the words of both
        titles |= {"The dialect `rooms`", "Files between room guests"}
    documented = quoted("".join(map(section, titles)))
    for words in words_of(title):
        line = words.decode() if isinstance(words, bytes) else words
        line = re.sub(r"\{\d\}", BLANK, line).removesuffix("\n").removeprefix(f"[Server message ({BLANK})] ")
        pattern = re.compile("<[^>]+>".join(map(re.escape, line.split(BLANK))))
        assert any(map(pattern.fullmatch, documented)), line


def texts(tree: ast.AST) -> Iterator[str]:
    """Return the strings of a file, with BLANK where something is filled in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else BLANK for part in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{\w*\}", BLANK, node.value)


def test_every_quoted_sentence_is_one_of_the_server() -> None:
    spans = [span for span in quoted(PROSE) if re.search(r" .*[^.]\.$", span) and not span.startswith("[Server")]
    sentences = {re.sub("<[^>]+>", BLANK, span) for span in spans}
    assert len(sentences) > 20
    files = [path for folder in ("dialects", "app") for path in (ROOT / folder).rglob("*.py")]
    assert sentences <= {text for path in files for text in texts(ast.parse(path.read_text(encoding="utf-8")))}


PLAYED = ("The operator's commands",)
"""Sections whose examples are all played, lists included."""


@pytest.mark.parametrize(
    "title", [title for title in COMMANDS if title not in PLAYED and "```" in section(title, TEXT)]
)
def test_examples_show_answers_of_the_document(title: str) -> None:
    """Lists stand as `a, b, c` in the answers, and what may be left out as `[hostname]`."""
    spans = quoted(section(title) + (section("The dialect `result`") if "federation" in title else ""))
    patterns = [
        re.compile(re.sub(r"<[^>]+>|a,(\\ )?b(,(\\ )?c)?$", ".+", re.sub(r"\\ \\\[.*\]$", ".*", re.escape(span))))
        for span in spans
        if not re.fullmatch(r"(<[^>]+>[@:]?)+", span)
    ]
    examples = re.findall(r"^< (?:\[Server message \([\d:]+\)\] )?(.+)$", section(title, TEXT), re.MULTILINE)
    assert examples
    for line in examples:
        assert any(pattern.fullmatch(line) for pattern in patterns), line


@pytest.mark.parametrize("title", ["The dialect `result`", "The dialect `hello`", "The dialect `mailbox`"])
def test_examples_have_commands(title: str) -> None:
    for verb in re.findall(r"^> ([\w-]+)", section(title, TEXT), re.MULTILINE):
        assert verb in COMMANDS[title]


# ---- its examples, played ----


def examples(title: str) -> dict[str, list[str]]:
    """Return the lines of the example of each subsection that has one."""
    found = re.findall(r"^### (.*)\n(?:(?!^#|^```).*\n)*```\n((?:[<>] .*\n)+)```", section(title, TEXT), re.MULTILINE)
    return {heading: lines.splitlines() for heading, lines in found}


def play(client: Client, lines: list[str]) -> list[str]:
    """Send the lines of an example that a client sends; return them with the answers, as the example should be."""
    played = []
    for line in lines:
        if line.startswith("> "):
            played += [line, *(f"< {answer}" for answer in client.ask(line.removeprefix("> ")))]
    return played


LOGIN = ("REGISTER alice wonderland", "LOGIN alice wonderland")
SAID = (*LOGIN, "JOIN tea", "SAY tea is anybody here?")

RESULT_EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "`REGISTER <user> <password>`": (),
    "`LOGIN <user> <password>`": ("REGISTER alice wonderland",),
    "`LOGOUT`": LOGIN,
    "`PASSWORD <old> <new>`": LOGIN,
    "`CHANNELS`": (),
    "`CREATE <channel>`": LOGIN,
    "`CREATE <channel> private`": LOGIN,
    "`INVITE <channel> <user>`": LOGIN,
    "`JOIN <channel>`": LOGIN,
    "`LEAVE <channel>`": SAID,
    "`USERS <channel>`": SAID,
    "`JOINED`": SAID,
    "`WHO [channel]`": SAID,
    "`PRESENCE on|off`": SAID,
    "`TOPIC <channel> [text]`": SAID,
    "`SAY <channel> <message>`": SAID,
    "`SEND <channel> <message>`": LOGIN,
    "`SAY @<user> <message>`, `SEND @<user> <message>`": LOGIN,
    "`HISTORY <channel> [count] [before|after <id>]`": SAID,
    "`SEEN <channel> <id>`": SAID,
    "`UNREAD`": SAID,
    "`TAGS [name...]`": SAID,
    "`HELP [command]`": (),
    "`PING`": (),
    "`QUIT`": (),
}
"""What alice has typed before."""


@pytest.mark.parametrize("heading", RESULT_EXAMPLES)
def test_examples_of_result(heading: str) -> None:
    with World() as world:
        bob = world.user("bob", *() if "CREATE" in heading else ("garden", "tea"))
        alice = world.client()
        alice.ask(*RESULT_EXAMPLES[heading])
        bob.ask("SAY tea so it seems")
        alice.heard()
        example = examples("The dialect `result`")[heading]
        assert play(alice, example) == example


@pytest.mark.parametrize("heading", examples("The dialect `hello`"))
def test_examples_of_hello(heading: str) -> None:
    with World() as world:
        world.guest("alice"), world.guest("bob")
        carol = world.client(world.hello) if "HELLO-FROM" in heading else world.guest("carol")
        example = examples("The dialect `hello`")[heading]
        assert play(carol, example) == example


@pytest.mark.parametrize("heading", examples("The dialect `mailbox`"))
def test_examples_of_mailbox(heading: str) -> None:
    with World() as world:
        world.mailbox_user("ada").ask("bye")
        nora = world.mailbox_client() if "1|" in heading else world.mailbox_user("nora")
        if "4|" in heading:
            nora.ask("3|ada|are you there?")
        example = examples("The dialect `mailbox`")[heading]
        assert play(nora, example) == example


def at_one_time(lines: list[str]) -> list[str]:
    return [re.sub(r"\d\d:\d\d:\d\d", TIME, line) for line in lines]


@pytest.mark.parametrize("heading", examples("The dialect `rooms`"))
def test_examples_of_rooms(heading: str) -> None:
    with World(channels={"lobby": 5, "attic": 5, "cellar": 9}) as world:
        ann, _bob = world.room("lobby", "ann", "bob")
        example = at_one_time(examples("The dialect `rooms`")[heading])
        assert play(ann, example) == example


def test_examples_of_files() -> None:
    """One after the other they send a file, but for the last one."""
    with World(channels={"lobby": 5}) as world:
        ann, bob = world.room("lobby", "ann files", "bob files")
        *sent, cancelled = examples("Files between room guests").values()
        for lines in sent:
            client = bob if lines[0].split()[1] in ("/ready", "/landed") else ann
            ann.heard(), bob.heard()
            assert play(client, lines) == lines
        assert ann.saw() == ["* You sent tea.txt to bob."]
        ann.ask("/send bob tea.txt 5")
        lines = [line.replace("1", "2") for line in cancelled]  # it is the second file
        assert play(ann, lines) == lines


@pytest.mark.parametrize("heading", examples("The operator's console"))
def test_examples_of_the_operator(heading: str) -> None:
    with World(channels={"lobby": 5, "attic": 5, "cellar": 9}) as world:
        world.room("lobby", "ann", "bob")
        if "/relink" in heading:
            world.type("/unlink server2.com")
        command, *answers = at_one_time(examples("The operator's console")[heading])
        assert world.type(command.removeprefix("> ")) == [plain(answer.removeprefix("< ")) for answer in answers]


@pytest.mark.parametrize("heading", examples("The operator's commands"))
def test_examples_of_the_control_socket(heading: str) -> None:
    """P17 to P30, and the form of their answers: P22, P25, P28, P29."""
    with World(channels={"lobby": 5, "attic": 5, "cellar": 9}) as world:
        ann, _bob = world.room("lobby", "ann", "bob")
        if "export" in heading:
            ann.does("hi")
        example = examples("The operator's commands")[heading]
        assert play(world.client(world.node.control), example) == example


@pytest.mark.parametrize("heading", [name for name in examples("The dialect `federation`") if name[0] == "`"])
def test_examples_of_federation(heading: str) -> None:
    with World(settings=Settings(hostname="server2.com")) as world:
        world.user("alice", "helloworld")
        peer = world.caller() if "FEDERATE" in heading else world.peer("server1.com")
        if "FEDLEAVE" in heading or "FEDSAY" in heading:
            peer.ask("FEDJOIN bob@server1.com helloworld")
        peer.heard()
        example = examples("The dialect `federation`")[heading]
        assert play(peer, example) == example


def test_every_example_is_played() -> None:
    """Those with a dialled server are played elsewhere: in testing/federation/example.txt, and in test_proof.py."""
    unplayed = examples("The dialect `result`").keys() - RESULT_EXAMPLES.keys()
    assert unplayed == {"`SAY <channel>:<host> <message>`, `SEND <channel>:<host> <message>`"}
