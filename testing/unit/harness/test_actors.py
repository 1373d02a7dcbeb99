"""Playing the steps of clients: lines, addresses and listeners."""

from __future__ import annotations

import dataclasses
import socket
import time
from pathlib import Path

import pytest

from harness import actors
from harness.language import parse
from harness.player import perform
from harness.processes import (
    Ports,
    Settings,
)
from harness.text import Failed
from support.runner import check_fails, check_passes, connected, script, staged


def test_a_case_that_passes(runner_settings: Settings) -> None:
    record = check_passes(connected("c > hello  you\nc < hello you # as it was\nc !"), runner_settings)
    assert [(entry.line, entry.name, entry.action, entry.text) for entry in record.transcript] == [
        (1, "server", "@", "server @ 5050"),
        (2, "c", "~", "c ~ server"),
        (3, "c", ">", "c > hello  you"),
        (4, "c", "<", "c < hello you"),
        (5, "c", "!", "c !"),
    ]
    assert record.transcript[3].received == "hello you"
    times = [entry.seconds for entry in record.transcript]
    assert times == sorted(times)
    assert 0 < times[0] <= times[-1] <= record.seconds


@pytest.mark.parametrize(
    "lines",
    [
        # A line in several pieces, several lines in one.
        "c > !send('two')\nc > !say(' parts')\nc < two parts",
        "c > !send('one\\ntwo\\nthr')\nc < one\nc > !say('ee')\nc < two\nc < three",
        "c >> one\\ntw\nc >> o\\n\nc < one\nc < two",
        # The ways to expect a line.
        "c >> a  b\\r\\n\nc << a  b\\r",
        "c > !send(b'\\xff \\x1b\\n')\nc << \\xff \\x1b",
        "c > !say('[12:30:00] hi')\nc <* [??:??:??] h*",
        "c > !say('[12:30:00] hi')\nc </ \\[[\\d:]+\\] hi",
        "c > !send(b'\\xff\\n')\nc </ \\\\xff",
        "c >> \\{a*100000}\\n\nc << \\{a*100000}",
        "c >\nc > 你好\nc > x\nc <<\nc < 你好\nc < x",
        "c <-\nc > x\nc < x\nc <-",
        # The ends of a connection, and connections side by side.
        "c > last\nc >!\nc < last\nc < end\nc <!",
        "c > !bye()\nc <!\nc ~ server\nc > back\nc < back",
        "c > !reset()\nc <!\nc !\nc ~ server\nc > back\nc < back",
        "d ~ server\nd > d\nc > c\nc < c\nd < d\nc !\nd > still\nd < still",
    ],
)
def test_lines_of_a_client(lines: str, runner_settings: Settings) -> None:
    check_passes(connected(lines), runner_settings)


@pytest.mark.parametrize(
    ("lines", "message", "expected", "received"),
    [
        ("c > a\nc < b", "another line", "b", "a"),
        ("c > a b\nc << a  b", "another line", "a  b", "a b"),
        ("c > abc\nc </ b", "does not match", "b", "abc"),
        ("c > abc\nc <* ?b", "does not match", "?b", "abc"),
        ("d ~ server as hello", "does not match", "HELLO d", "HELLO-FROM d"),
        ("d ~ server as irc", "ends otherwise", ":* 001 d *\\r", "NICK d"),
        ("c > !reset()\nc < x", "closed the connection", "x", None),
        ("c > !send('par') or bye()\nc < x", "closed the connection", "x", "par"),
        ("c > !send('x' * 17_000_000)\nc < x", "bytes came without a newline", "x", None),
        ("c > a\nc > !send('b')\nc < a\nc <-", "something came", "nothing", "b"),
        ("c > !bye()\nc <-", "closed the connection", "nothing", None),
        ("c > !say('last') or bye()\nc <!", "before the close", "closed", "last\\n"),
        ("server > hi\nserver < typed you", "another line", "typed you", "typed hi"),
        ("server > hi\nserver </ typed", "does not match", "typed", "typed hi"),
        ("c > !os._exit(0)\nserver < x", "no line came on standard output", "x", None),
        ("c > !os._exit(0)\nserver ? x", "no new line on standard error", "x", None),
        ("c > !os._exit(3)\nserver <!", "ended otherwise", "exit status 0", "exit status 3"),
        ("c > !os._exit(0)\nserver <! 1", "ended otherwise", "exit status 1", "exit status 0"),
    ],
)
def test_what_fails(
    lines: str, message: str, expected: str | None, received: str | None, runner_settings: Settings
) -> None:
    case = connected(lines)
    # Whatever breaks the quiet comes at some time: a long one ends with it.
    failure = check_fails(case, dataclasses.replace(runner_settings, quiet=10))
    assert message in failure.message
    assert (failure.expected, failure.received) == (expected, received)
    assert (failure.line, failure.text) == (case.steps[-1].line, case.steps[-1].text)
    assert "INFO ready" in failure.stderr["server"][0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("c > !send('par')\nc < part", "no line came in time"),
        ("c <!", "still open"),
        ("c > !wait()\nc >> \\{a*16000000}", "cannot send"),
        ("server < x", "no line came on standard output"),
        ("server ? x", "no new line on standard error"),
        ("server <!", "still runs"),
    ],
)
def test_deadlines(lines: str, message: str, runner_settings: Settings, tmp_path: Path) -> None:
    case = connected(lines)
    with staged(case, runner_settings, tmp_path) as stage:
        stage.settings = dataclasses.replace(runner_settings, deadline=0.05)
        with pytest.raises(Failed, match=message):
            perform(stage, case.steps[-1])
        stage.settings = runner_settings


def test_sending_fails_when_the_connection_is_broken(runner_settings: Settings, tmp_path: Path) -> None:
    case = connected("c > !reset()\nc <!")
    # The first bytes may leave before the reset is here; it is here at the latest when all buffers are full.
    with staged(case, runner_settings, tmp_path) as stage:
        client = stage.clients["c"]
        with pytest.raises(Failed, match="cannot send"):
            client.send(bytes(16_000_000))
        with pytest.raises(Failed, match="cannot end the sending side"):
            client.end_sending(None)


# --- addresses and listeners ---


def test_addresses(runner_settings: Settings) -> None:
    check_passes(
        script("""
            server = !address = "127.0.0.2"
            server @ 5050
            c ~ server 127.0.0.2:5050
            d ~ server 127.0.0.2:5050 from 127.0.0.3
            c > !say(client.getpeername()[0])
            c < 127.0.0.1
            d > !say(client.getpeername()[0])
            d < 127.0.0.3
            """),
        runner_settings,
    )


@pytest.mark.parametrize(
    ("way", "where"),
    [
        ("server 127.0.0.2:5050", "cannot connect to 127.0.0.2 port"),
        ("server 5051", "cannot connect to 127.0.0.1 port"),
    ],
)
def test_connecting_where_nobody_listens_fails(way: str, where: str, runner_settings: Settings) -> None:
    failure = check_fails(script(f"server = $5051\nserver @ 5050\nc ~ {way}"), runner_settings)
    assert (failure.line, failure.message.startswith(where)) == (3, True)


# The server connects to `p` at its start, and again, to this address, when a client says `!dial(there)`.
DIALLED = """\
server = !there = $5052
server = !dial(there)
p ~@ 5052
server @ 5050
c ~ server
"""


@pytest.mark.parametrize(
    "lines",
    [
        # It is a client as any other.
        "p ~<\np > hi\np < hi\np >> a  b\\n\np << a  b\np <-\np > x\np </ .\np >!\np < end\np <!",
        # The server connects again, after the end of a connection and before it.
        "p ~<\np !\nc > !dial(there)\np ~<\np > hi\np < hi",
        "p ~<\np > !bye()\np <!\nc > !dial(there)\np ~<\np > hi\np < hi",
        "c > !dial(there) or say('both')\nc < both\np ~<\np > !reset()\np <!\np ~<\np > hi\np < hi",
        # What the last connection brought is not there any more.
        "p ~<\np > !send('one\\ntwo\\n')\np < one\np !\nc > !dial(there)\np ~<\np > three\np < three",
        # Several connections from one listener; in the order in which they came.
        "p ~<\nc > !dial(there)\nq ~< p\np > p\nq > q\nq < q\np < p\nq !\nc > !dial(there)\nq ~< p",
        "q ~< p\nc > !dial(there)\np ~<\nq > hi\nq < hi\np > hi\np < hi",
        # The end of the listening, with a connection that goes on, and another one that is not taken.
        "p ~<\np ~!\np > hi\np < hi\nc > !say(is_found(there))\nc < False",
        "p ~!\nc > !say(is_found(there))\nc < False",
        "p ~<\np ~!\np ~@ 5052\nc > !dial(there)\np > hi\np < hi\np !\np ~<\np > hi\np < hi",
        "p ~!\nq ~@ 5052\nc > !dial(there)\nq ~<\nq > hi\nq < hi",
        # It may connect, too, and a client of a server may listen.
        "p ~ server\np > hi\np < hi\np !\np ~<\np > hi\np < hi",
        "c ~@ 5053\nc > hi\nc < hi\nc ~!\nc > hi\nc < hi",
        # Its place may be a server's in turn.
        "p ~<\np ~!\nother @ 5052\nd ~ other\nd > hi\nd < hi\nother !\np ~@ 5052\nc > !dial(there)\nq ~< p",
    ],
)
def test_a_client_that_listens(lines: str, runner_settings: Settings) -> None:
    check_passes(script(DIALLED + lines), runner_settings)


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("place", "address"),
    [
        ("127.0.0.2", "127.0.0.2"),
        pytest.param("[::1]", "::1", marks=pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")),
    ],
)
def test_listening_at_an_address(place: str, address: str, runner_settings: Settings) -> None:
    check_passes(
        script(f"p ~@ {place}:5052\nserver = !dial($5052, '{address}')\nserver @ 5050\np ~<\np > hi\np < hi"),
        runner_settings,
    )


def test_the_place_of_nobody(runner_settings: Settings) -> None:
    check_passes(
        script("server = !there = $5052\nserver @ 5050\nc ~ server\nc > !say(is_found(there))\nc < False"),
        runner_settings,
    )
    check_passes(script("p ~@ 5052"), runner_settings)


def test_one_port_at_two_addresses(runner_settings: Settings) -> None:
    check_passes(
        connected("""
            p ~@ 127.0.0.2:5050
            q ~@ 127.0.0.3:5050
            c > !dial(port, "127.0.0.3")
            q ~<
            c > !dial(port, "127.0.0.2")
            p ~<
            """),
        runner_settings,
    )


def test_listening_where_a_server_does_fails(runner_settings: Settings) -> None:
    failure = check_fails(connected("p ~@ 5050"), runner_settings)
    assert (failure.line, failure.message.startswith("cannot listen at 127.0.0.1 port")) == (3, True)


def test_nobody_connects(runner_settings: Settings, tmp_path: Path) -> None:
    case = script("p ~@ 5052\np ~<")
    with staged(case, runner_settings, tmp_path) as stage:
        stage.settings = dataclasses.replace(runner_settings, deadline=0.05)
        with pytest.raises(Failed, match="no connection came: timed out"):
            perform(stage, case.steps[-1])


def test_an_interrupted_run_waits_for_no_connection(
    runner_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actors, "MAX_WAIT", 0.01)
    case = script("p ~@ 5052\np ~<")
    with staged(case, runner_settings, tmp_path) as stage:
        runner_settings.processes.close()
        began = time.monotonic()
        with pytest.raises(Failed, match="no connection came"):
            perform(stage, case.steps[-1])
        assert time.monotonic() - began < runner_settings.deadline


def test_listening_at_an_exact_port(runner_settings: Settings) -> None:
    with Ports().take() as claim, Ports().take() as other:
        port, place = claim.getsockname()[1], other.getsockname()[1]
        case = parse(f"p ~@ {place}\nserver = !dial({place})\nserver @ {port}\np ~<\np > hi\np < hi")
        check_passes(case, dataclasses.replace(runner_settings, exact_ports=True))
