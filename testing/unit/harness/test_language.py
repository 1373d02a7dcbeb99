"""Parsing scripts."""

from __future__ import annotations

import re

import pytest

from harness.language import ACTIONS, InvalidCase, parse
from harness.processes import (
    ROOT,
)
from harness.text import Endpoint, Start, Target, read_pattern
from support.runner import script


def arguments(text: str) -> list[object]:
    return [step.argument for step in parse(text).steps]


def test_every_action_is_parsed() -> None:
    case = script("""
        server = bcrypt-cost  5
        server @ 5050 --database $5051
        server ? ready .* port
        server > /kick  a:b
        server < one  two
        server </ a  b
        c ~ server
        d ~ server 127.0.0.2:5051 from [0::1] as hello
        e ~@ [::1]:5052
        e ~<
        f ~< e
        e ~!
        c > LOGIN  alice\tsecret
        c >> a\\s\\x00
        c < RESULT  1
        c << a  b
        c </ \\d  x
        c <* \\*?  x*
        c <-
        c >!
        c <!
        c !
        c ~ server
        server !
        server @
        server !!
        server @
        server <* tea
        server <! 3
        d !
        other @@ 5060 $5060 $config
        """)
    played = [step.action for step in case.steps]
    assert all(action in played for action in ACTIONS)
    words = {step.line: step.argument for step in case.steps}
    assert [words[line] for line in (2, 3, 5, 6, 8, 9)] == [
        "bcrypt-cost 5",
        Start(5050, ("--database", "$5051")),
        b"/kick a:b",
        b"one two",
        Target("server"),
        Target("server", Endpoint(5051, "127.0.0.2"), "::1", "hello"),
    ]
    assert [words[line] for line in (10, 11, 12, 13)] == [Endpoint(5052, "::1"), None, "e", None]
    assert [words[line] for line in (14, 15, 16, 17, 20)] == [
        b"LOGIN alice secret",
        b"a \0",
        b"RESULT 1",
        b"a  b",
        None,
    ]
    assert [words[line].text for line in (4, 7, 18, 19)] == ["ready .* port", "a  b", r"\d  x", r"\*? x*"]
    assert (words[26], words[30]) == (Start(None, ()), 3)


def test_lines_without_a_step_are_counted_and_ignored() -> None:
    case = parse("\n# comment\n  \t\r\nserver @ 5050 # 5051\r\n\t# x\nc ~ server")
    assert [(step.line, step.text, step.name) for step in case.steps] == [
        (4, "server @ 5050", "server"),
        (6, "c ~ server", "c"),
    ]


def test_comments_begin_at_the_start_of_a_word() -> None:
    head = "s @ 1\nc ~ s\n"
    assert arguments(head + "c > JOIN a#b \\#c #d")[2] == b"JOIN a#b #c"
    assert arguments(head + "c < #d")[2] == b""
    assert arguments(head + "c << a# \\#b\t#c")[2] == b"a# #b"
    assert arguments(head + "c </ \\#a b# # c")[2] == read_pattern(r"\#a b#")


def test_only_ascii_blanks_part_words() -> None:
    assert arguments("s @ 1\nc ~ s\nc > a\u00a0\u3000b\u2028c d")[2] == "a\u00a0\u3000b\u2028c d".encode()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("server", 1, "needed"),
        ("\n\nserver % 5050", 3, "unknown action '%'"),
        ("a/b @ 5050", 1, "not a name"),
        ("c > hi", 1, "c is not known yet"),
        ("server !", 1, "not known yet"),
        ("server @", 1, "first start needs a port"),
        ("server @@", 1, "first start needs a port"),
        ("server @ 0", 1, "not a port"),
        ("server @ 65536", 1, "not a port"),
        ("server @ x", 1, "not a port"),
        ("server @ 5050 $70000", 1, "not a port"),
        ("server @ 5050\nserver @", 2, "server is running"),
        ("server @ 5050\nserver !\nserver @ 5050", 3, "has its port already"),
        ("server @ 5050\nserver !\nserver !", 3, "server is stopped"),
        ("server @ 5050\nserver !\nserver > hi", 3, "server is stopped"),
        ("server @ 5050\nserver ! now", 2, "unexpected argument 'now'"),
        ("server @ 5050\nserver <! 256", 2, "not an exit status"),
        ("server @ 5050\nserver <! -1", 2, "not an exit status"),
        ("server @ 5050\nserver ?", 2, "missing"),
        ("server @ 5050\nserver ? (", 2, "not a regular expression"),
        ("server @ 5050\nserver >> x", 2, "a server has no '>>'"),
        ("server @ 5050\nserver ~ server", 2, "a server has no '~'"),
        ("server =", 1, "missing"),
        ("server = listen $0", 1, "not a port"),
        ("server = a\nserver !", 2, "was never started"),
        ("c ~ server", 1, "no server server runs"),
        ("server = a\nc ~ server", 2, "no server server runs"),
        ("server @ 5050\nserver !\nc ~ server", 3, "no server server runs"),
        ("server @ 5050\nc ~", 2, "name is needed"),
        ("server @ 5050\nc ~ server 5051", 2, "has no port 5051"),
        ("server @ 5050\nc ~ server 5050 x", 2, "name is needed"),
        ("server @ 5050\nc ~ server from", 2, "'from' is not a port"),
        ("server @ 5050\nc ~ server as tea", 2, "'tea' is none of result, hello, guest, files, irc"),
        ("server @ 5050\nc ~ server as", 2, "'as' is not a port"),
        ("server @ 5050\nc ~ server as hello from 127.0.0.1", 2, "server's name"),
        ("server @ 5050\nc ~ server from 127.0.0", 2, "'127.0.0' is not an IP address"),
        ("server @ 5050\nc ~ server from 192.0.2.1", 2, "not a loopback address"),
        ("server @ 5050\nc ~ server 127.0.0.2:5051", 2, "has no port 5051"),
        ("server @ 5050\nc ~ server :5050", 2, "'' is not an IP address"),
        ("server @ 5050\nc ~ server\nd ~ c", 3, "no server c runs"),
        ("server @ 5050\nc ~ server\nc ~ server", 3, "c is connected"),
        ("server @ 5050\nc ~ server\nc @ 5051", 3, "a client has no '@'"),
        ("server @ 5050\nc ~ server\nc !\nc < hi", 4, "c is closed"),
        ("server @ 5050\nc ~ server\nc <!\nc <!", 4, "closed by the server"),
        ("server @ 5050\nc ~ server\nc >!\nc > hi", 4, "ended its sending side"),
        ("server @ 5050\nc ~ server\nc <- x", 3, "unexpected"),
        ("server @ 5050\nc ~ server\nc >>", 3, "nothing to send"),
        ("server @ 5050\nc ~ server\nc >> \\q", 3, "unknown escape"),
        ("server @ 5050\nc ~ server\nc << a\\nb", 3, "no newline"),
        ("server @ 5050\nc ~ server\nc </", 3, "missing"),
        ("c ~@", 1, "not a port"),
        ("c ~@ 127.0.0.1", 1, "not a port"),
        ("c ~@ 0.0.0.0:5052", 1, "not a loopback address"),
        ("c ~@ [127.0.0.1]:5052", 1, "not an IP address"),
        ("server @ 5050\nserver ~@ 5052", 2, "a server has no '~@'"),
        ("c ~@ 5052\nc ~@ 5053", 2, "c listens already"),
        ("c ~@ 5052\nd ~@ 127.0.0.1:5052", 2, "another client listens at 127.0.0.1 port 5052"),
        ("c ~@ 5052\nc > hi", 2, "c is not connected"),
        ("c ~@ 5052\nc !", 2, "c is not connected"),
        ("c ~@ 5052\nc ~<\nc ~<", 3, "c is connected"),
        ("c ~@ 5052\nd ~< c\nd ~< c", 3, "d is connected"),
        ("c ~<", 1, "c does not listen"),
        ("c ~@ 5052\nd ~<", 2, "d does not listen"),
        ("d ~< c", 1, "c does not listen"),
        ("c ~@ 5052\nc ~!\nc ~<", 3, "c does not listen"),
        ("c ~@ 5052\nc ~!\nd ~< c", 3, "c does not listen"),
        ("c ~!", 1, "c does not listen"),
        ("c ~@ 5052\nc ~!\nc ~!", 3, "c does not listen"),
        ("c ~@ 5052\nc ~! 5052", 2, "unexpected"),
    ],
)
def test_invalid_scripts(text: str, line: int, message: str) -> None:
    with pytest.raises(InvalidCase, match=re.escape(message)) as caught:
        parse(text)
    assert caught.value.line == line
    assert caught.value.text == text.split("\n")[line - 1]


def test_every_action_is_documented() -> None:
    document = (ROOT / "TESTING.md").read_text(encoding="utf-8")
    for action in ACTIONS:
        assert re.search(rf"^\| `{action.role.__name__.lower()} {re.escape(action.symbol)}[ `]", document, re.M)
