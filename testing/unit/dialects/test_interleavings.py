"""Sessions of both dialects at once, in any order and in any pieces: the server against the rules of `model`.

Hypothesis draws turns, plays them against a `World`, and shrinks those where somebody hears something else than the
model says; what is left is told as a script that `testing.py` can play. Some are played so in any case, against a real
server.
"""

from __future__ import annotations

import functools
import itertools
import re
import string
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from dialects.hello import FAILURES
from domain.errors import NoSuchUser
from domain.state import Limits
from domain.users import Users
from harness.language import parse
from harness.peer import PATIENCE
from harness.player import play
from harness.processes import Settings
from harness.report import Outcome, describe
from harness.servers import PROCESSES
from harness.text import escape
from protocol import Session
from support.examples import EXAMPLES
from support.model import CLOSED, End, Heard, Leave, Model, Moment, Send, Step, Stick, Turn, Unstick
from support.world import Client, World

PORTS = {"auto": 5050, "hello": 5051, "result": 5052}
DIALECTS = {"c1": "auto", "c2": "auto", "c3": "auto", "h": "hello", "r": "result"}
"""What is spoken where each client comes in."""

MAX_USERS = 2
MAX_MAIL = 2

new_model = partial(Model, DIALECTS, MAX_USERS, MAX_MAIL)


# ---- turns ----

WORDS = {
    "user": ["alice", "bob", "eve", "dan", "\u674e", "\u00e9", "e\u0301", "a,b"],
    "channel": ["tea", "tea", "tea", "\u00e9", "e\u0301", "a,b"],
    "text": ["1", "2", "a  b", " a\tb ", "\x1b[1m", "\x1b"],
}
RESULT = [
    "PING", "LOGIN {user} pw", "LOGIN {user} pw", "REGISTER {user} pw", "LOGOUT", "CREATE {channel}", "JOIN {channel}",
    "JOIN {channel}", "LEAVE {channel}", "SAY {channel} {text}", "SAY {channel} {text}", "SEND {channel} {text}",
    "SAY @{user} {text}", "SAY @eve {text}", "SEND @{user} {text}", "LOGIN eve pw", "CHANNELS", "USERS {channel}",
    "HISTORY {channel}", "LOGIN {user} pw\nJOIN {channel}", "PRESENCE on", "PRESENCE on", "PRESENCE off", "JOINED",
    "TOPIC {channel}", "TOPIC {channel} {text}", "TOPIC {channel} -", "SEEN {channel} 99999", "SEEN {channel} 0",
    "UNREAD",
    "REGISTER {user} pw\nLOGIN {user} pw\nCREATE {channel}\nJOIN {channel}",
]  # fmt: skip
HELLO = ["LIST", "HELLO-FROM {user}", "HELLO-FROM dan", "SEND {user} {text}", "SEND {user} {text}"]
WRONG = [
    "", " \t", "PING x", "LOGIN {user}", "LOGIN {user} no", "LOGIN {user} pw pw", "JOIN", "SAY {channel}",
    "SAY @{user}", "SAY @ 1", "JOIN @{user}", "login {user} pw", "HELLO-FROM", "HELLO-FROM {user} {user}",
    "HELLO-FROM\t {user} ", "hello-from {user}", "LIST x", "LIST\t", "SEND", "SEND {user}", "QUIT", "GET / HTTP/1.1",
    "PING \udcff", "HELLO-FROM \udcff",
]  # fmt: skip
OPENING = [
    Send("c1", b"REGISTER eve pw\n"),
    Send("c1", b"REGISTER alice pw\n"), Send("c1", b"LOGIN alice pw\n"),
    Send("c1", b"CREATE tea\n"), Send("c1", b"JOIN tea\n"),
    Send("r", b"REGISTER bob pw\n"), Send("r", b"LOGIN bob pw\n"), Send("r", b"JOIN tea\n"),
    Send("r", b"PRESENCE on\n"),
    Send("c2", "HELLO-FROM \u674e\n".encode()), Send("h", "HELLO-FROM \u00e9\n".encode()),
]  # fmt: skip
"""Most of this comes before, so that there is somebody to talk to."""


@functools.cache
def lines_of(template: str) -> st.SearchStrategy[bytes]:
    """Draw one of the lines that can be made of a template."""
    fields = [field for _text, field, _spec, _conversion in string.Formatter().parse(template) if field]
    choices = [dict(zip(fields, words, strict=True)) for words in itertools.product(*map(WORDS.__getitem__, fields))]
    return st.sampled_from([template.format(**words).encode(errors="surrogateescape") for words in choices])


class Talk(NamedTuple):
    """What clients may do: send a line, or ("") what one of them has just sent, or something else."""

    what: str | Callable[[str], Step]
    clients: tuple[str, ...] = tuple(DIALECTS)


class Way(NamedTuple):
    """How a line ends, how many of its bytes come later, and whether it is in the same turn as the step before. An end
    or a leaving in that turn is of the same client, too."""

    end: bytes = b"\n"
    later: int = 0
    joins: bool = False


WAYS = st.sampled_from(
    [Way()] * 4 + [Way(b"\r\n")] + [Way(later=later) for later in (1, 2, 5, 12, 20)] + [Way(joins=True)] * 4
)
one_of = functools.cache(st.sampled_from)


@st.composite
def steps(draw: st.DrawFn, talks: st.SearchStrategy[Talk]) -> tuple[Step, Way]:
    what, clients = draw(talks)
    client = draw(one_of(clients))
    if callable(what):
        return what(client), Way(joins=draw(st.booleans()) and what in (End, Leave))
    if not what:
        return Send(client, b""), Way(joins=True)
    way = draw(WAYS)
    return Send(client, draw(lines_of(what)) + way.end), way


def turns_of(talks: Sequence[Talk], lists: int = 6) -> st.SearchStrategy[list[Turn]]:
    """Draw turns. A step takes few choices and is nested in nothing, so that Hypothesis can leave out any of them.

    Args:
        talks: what is done.
        lists: how many lists of steps, of about five each.
    """
    opening = st.tuples(*[one_of((False, *[True] * 9))] * len(OPENING))
    return st.builds(arranged, opening, *[st.lists(steps(st.sampled_from(talks)))] * lists)


def arranged(opening: Sequence[bool], *lists: Sequence[tuple[Step, Way]]) -> list[Turn]:
    """Share turns out. What is kept of a line comes with its client's next one, so others' lines come in between."""
    turns: list[Turn] = [(step,) for step in itertools.compress(OPENING, opening)]
    kept: dict[str, bytes] = {}
    line = b"PING\n"
    for step, way in itertools.chain(*lists):
        before = kept.pop(step.client, b"")
        if isinstance(step, Send):
            line = step.data or line
            data = before + line
            end = max(len(data) - way.later, 0)
            kept[step.client] = data[end:]
            step = Send(step.client, data[:end])
        elif way.joins and turns:
            step = step._replace(client=turns[-1][-1].client)
        if way.joins and turns and may_join(turns[-1], step):
            turns[-1] += (step,)
        else:
            turns.append((step,))
    return [*turns, *((Send(client, data),) for client, data in kept.items() if data)]


def may_join(turn: Turn, step: Step) -> bool:
    """Few lines, or there are too many orders; who ends or leaves does nothing after it; who sticks does so alone."""
    lines = sum(other.data.count(b"\n") for other in (*turn, step) if isinstance(other, Send))
    return lines <= 4 and all(
        isinstance(other, Send) or (isinstance(other, End | Leave) and other.client != step.client) for other in turn
    )


ANYTHING = [
    *[Talk(line, ("c1", "r")) for line in RESULT * 6], *[Talk(line, ("c2", "c3", "h")) for line in HELLO * 12],
    *[Talk(line) for line in WRONG + RESULT + HELLO], *[Talk("")] * 40, *[Talk(End), Talk(Leave)] * 5,
]  # fmt: skip
GUESTS = [
    *[Talk(line, ("c2", "c3", "h")) for line in HELLO * 2], *[Talk(line) for line in HELLO],
    *[Talk("SEND {user} {text}", ("c2", "c3", "h"))] * 5,
    *[Talk(what) for what in ("", Stick, Stick, Unstick, Leave, Leave, End)],
]  # fmt: skip
"""Those to whom a message can get stuck, and those who wait for the receipt."""


# ---- in one process ----


class Differs(AssertionError):
    """The server has said something else than the script does."""

    def __init__(self, moments: Sequence[Moment], heard: Heard) -> None:
        self.script = render(moments)
        told = [_hears(client, line) for client, lines in heard.items() for line in lines]
        super().__init__("\n".join(["this comes in the last turn of the script below:", *told, "", self.script]))


def perform(world: World, clients: dict[str, Client], turn: Turn) -> Heard:
    """Play a turn, of which nothing is settled before all of it has come."""
    for step in turn:
        if step.client not in clients:
            dialects = {"auto": None, "hello": world.hello, "result": world.dialect}
            clients[step.client] = world.client(dialects[DIALECTS[step.client]])
        client = clients[step.client]
        match step:
            case Send(data=data):
                client.send(data)
            case End():
                client.session.ended()
            case Leave():
                clients.pop(step.client).leave()
            case Stick():
                client.transport.stuck = True
            case Unstick():
                client.transport.unstick()
    world.settle()
    while world.passwords.answer():
        world.settle()
    heard = {}
    for name, client in list(clients.items()):
        lines = client.transport.take().decode().splitlines()
        if client.transport.finished or client.transport.refused:
            lines.append(CLOSED)
            del clients[name]
        if lines:
            heard[name] = lines
    return heard


def check(turns: Sequence[Turn], later: bool) -> None:
    """Play turns; each outcome must be one that the rules allow.

    Args:
        later: passwords are hashed when all other lines of the turn have been run.
    """
    with World(Limits(guests=MAX_USERS, mail=MAX_MAIL)) as world:
        world.passwords.later = later
        clients: dict[str, Client] = {}
        models = [new_model()]
        moments: list[Moment] = []
        for drawn in turns:
            turn = tuple(filter(models[0].can, drawn))
            outcomes = [outcome for model in models for outcome in model.after(turn)]
            try:
                heard = perform(world, clients, turn)
            except Exception as error:
                raise Differs([*moments, Moment(turn, outcomes[0].heard)], {"server": [repr(error)]}) from error
            models = []
            for outcome in outcomes:
                if outcome.heard == heard and outcome not in models:
                    models.append(outcome)
            if not models:
                raise Differs([*moments, Moment(turn, outcomes[0].heard)], heard)
            moments.append(Moment(turn, heard))


@EXAMPLES
@given(turns_of(ANYTHING), st.booleans())
def test_whatever_sessions_do_the_rules_hold(turns: list[Turn], later: bool) -> None:
    check(turns, later)


@EXAMPLES
@given(turns_of(GUESTS))
def test_a_send_has_one_answer_when_its_message_has_left_or_cannot(turns: list[Turn]) -> None:
    check(turns, later=False)


# ---- scripts ----

PLAIN = re.compile(rb"""[!"$-\[\]-~]+( [!"$-\[\]-~]+)*""")
"""What can stand in a script as it is."""


def render(moments: Sequence[Moment]) -> str:
    """Tell moments, of which every one must come as it is told, in the test language."""
    return "\n".join([*_head(moments), *_body(moments), ""])


def _head(moments: Sequence[Moment]) -> Iterator[str]:
    yield f"server = max-users {MAX_USERS}"
    yield f"server = max-mail {MAX_MAIL}"
    used = {DIALECTS[step.client] for moment in moments for step in moment.turn}
    for dialect in sorted(used - {"auto"}):
        yield f"server = listen 127.0.0.1:${PORTS[dialect]} {dialect}"
    yield f"server @ {PORTS['auto']}"


def _body(moments: Sequence[Moment]) -> Iterator[str]:
    sending: dict[str, bool] = {}
    witness = "witness ~ server"
    for turn, heard in moments:
        for step in turn:
            if step.client not in sending:
                port = PORTS[DIALECTS[step.client]]
                yield f"{step.client} ~ server{'' if port == PORTS['auto'] else f' {port}'}"
            sending[step.client] = not isinstance(step, End)
            yield from _act(step)
            if isinstance(step, Leave):
                del sending[step.client]
        if any(isinstance(step, Leave) for step in turn):
            # When a later line has been answered, the server has seen the client go.
            yield from filter(None, [witness, "witness > PING", "witness < RESULT PING 1"])
            witness = ""
        for client, lines in heard.items():
            for line in lines:
                yield _hears(client, line)
            if lines[-1] == CLOSED:
                del sending[client]
    for client, still in sending.items():
        yield from [f"{client} >!"] * still
        yield f"{client} <!"


def _act(step: Step) -> Iterator[str]:
    match step:
        case Send(client, data):
            if data.endswith(b"\n") and PLAIN.fullmatch(data[:-1]):
                yield f"{client} > {data[:-1].decode()}"
            elif data:
                yield f"{client} >> {_escaped(data)}"
        case End(client):
            yield f"{client} >!"
        case Leave(client):
            yield f"{client} !"
        case Stick(client):
            yield f"# {client} takes no message that needs a receipt, which no script can say"
        case Unstick(client):
            yield f"# {client} takes them"


def _hears(client: str, line: str) -> str:
    if line == CLOSED:
        return f"{client} <!"
    data = line.encode()
    return f"{client} < {line}" if PLAIN.fullmatch(data) else f"{client} << {_escaped(data)}"


def _escaped(data: bytes) -> str:
    """An escaped text in which the two normal forms of a name look different, too."""
    return re.sub("\u0301", r"\\u0301", escape(data))


def foretell(turns: Sequence[Turn]) -> list[Moment]:
    """Say what comes of turns, and of the end of each client. Where the order in a turn matters, its steps follow each
    other."""
    model = new_model()
    moments = []
    for drawn in [*turns, *((End(client),) for client in DIALECTS)]:
        turn = tuple(filter(model.can, drawn))
        together = len(model.copy().after(turn)) == 1
        for part in [turn] if together else [(step,) for step in turn]:
            (model,) = model.after(part)
            moments.append(Moment(part, model.heard))
    return moments


@pytest.fixture(scope="module")
def runner() -> Settings:
    return Settings(deadline=PATIENCE, processes=PROCESSES)


def check_passes(script: str, runner: Settings) -> None:
    record = play(parse(script), runner)
    assert record.outcome is Outcome.PASSED, f"{describe(record)}\n\n{script}"


@settings(EXAMPLES, max_examples=24, phases=[Phase.generate])  # not shrunk: each attempt would be a server's whole life
@given(turns=turns_of(ANYTHING))
def test_the_rules_hold_on_real_sockets(turns: list[Turn], runner: Settings) -> None:
    check_passes(render(foretell(turns)), runner)


# ---- the tests of these tests ----


def forget_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Users, "is_taken", lambda users, name: name in users.accounts)


def praise_what_went_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dialects.hello.FAILURES", {**FAILURES, NoSuchUser: "SEND-OK"})


def praise_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    def deliver(session: Session, event: Any, done: Callable[[bool], None]) -> None:
        session.deliver(event)
        done(True)

    monkeypatch.setattr(Session, "deliver_with_receipt", deliver)


def shrunk(talks: Sequence[Talk]) -> str:
    """Return the script for the least turns in which the server, with a mistake in it, differs from the rules."""
    script = differing(talks, Phase.generate, Phase.shrink)
    assert len(re.findall(r" >>? ", script)) <= 8
    return script


def differing(talks: Sequence[Talk], *phases: Phase) -> str:
    """Return the script for some turns in which the server, with a mistake in it, differs from the rules."""

    @settings(EXAMPLES, max_examples=1000, report_multiple_bugs=False, phases=phases)
    @given(turns_of(talks, lists=2))
    def search(turns: list[Turn]) -> None:
        check(turns, later=False)

    with pytest.raises(Differs) as caught:
        search()
    script = caught.value.script
    assert script in str(caught.value)
    return script


@pytest.mark.parametrize("mistake", [forget_guests, praise_what_went_nowhere])
def test_a_mistake_is_told_as_a_short_script(
    mistake: Callable[[pytest.MonkeyPatch], None], runner: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells the rules: a server without the mistake passes."""
    mistake(monkeypatch)
    check_passes(shrunk(ANYTHING), runner)


def test_an_early_receipt_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    praise_too_early(monkeypatch)
    script = differing(GUESTS, Phase.generate)
    parse(script)
    assert "no script can say" in script
