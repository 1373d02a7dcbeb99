"""The language of the cases: a table with a row for each action of each kind of actor, and the parser.

`parse(text) -> Case` also finds every wrong use of a name. It is pure.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from harness.actors import Client, Server
from harness.text import (
    BLANKS,
    NAME,
    Endpoint,
    Start,
    Target,
    read_directive,
    read_endpoint,
    read_exact_line,
    read_glob,
    read_line,
    read_listener,
    read_nothing,
    read_pattern,
    read_raw,
    read_start,
    read_start_alone,
    read_status,
    read_target,
    referred_ports,
)


class InvalidCase(Exception):
    """The script itself is wrong, at this line. No server has been started."""

    def __init__(self, line: int, text: str, message: str) -> None:
        super().__init__(f"line {line}: {message}: {text}")
        self.line = line
        self.text = text
        self.message = message


class State(enum.Enum):
    """The state of a name at a line of a script. The value completes "alice is ..."."""

    NEW = "not known yet"
    CONFIGURED = "configured, but was never started"
    RUNNING = "running"
    STOPPED = "stopped"
    APART = "not connected"
    OPEN = "connected"
    HALF = "connected, but has ended its sending side"
    LEFT = "closed by the server"
    CLOSED = "closed"


NEW, CONFIGURED, RUNNING, STOPPED = State.NEW, State.CONFIGURED, State.RUNNING, State.STOPPED
APART, OPEN, HALF, LEFT, CLOSED = State.APART, State.OPEN, State.HALF, State.LEFT, State.CLOSED


@dataclass
class Scene:
    """What the parser knows at a line of a script."""

    roles: dict[str, type] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    ports: dict[str, set[int]] = field(default_factory=dict)  # server -> the script ports at which it may listen
    listeners: dict[str, Endpoint] = field(default_factory=dict)  # client -> where it listens now


Actor = TypeVar("Actor")
Argument = TypeVar("Argument")


@dataclass(frozen=True)
class Action(Generic[Actor, Argument]):
    """A row of the language.

    Attributes:
        symbol: as a script writes it.
        role: the kind of actor that has the action.
        read: reads the argument. Raises ValueError.
        play: plays the action; returns what was received. Raises Failed.
        moves: the states in which it is allowed, each with the state that follows.
        check: checks the argument against the scene, and updates the scene. Raises ValueError.
    """

    symbol: str
    role: type[Actor]
    read: Callable[[str], Argument]
    play: Callable[[Actor, Argument], str | None]
    moves: Mapping[State, State]
    check: Callable[[Scene, str, Argument], None] = lambda _scene, _name, _argument: None


def stay(*states: State) -> dict[State, State]:
    return {state: state for state in states}


def check_start(scene: Scene, name: str, start: Start) -> None:
    started_before = scene.states[name] is STOPPED
    if started_before and start.port is not None:
        raise ValueError(f"{name} has its port already: `{name} @` starts it again")
    if not started_before and start.port is None:
        raise ValueError("the first start needs a port")
    if start.port is not None:
        scene.ports.setdefault(name, set()).update({start.port}, *map(referred_ports, start.words))


def check_directive(scene: Scene, name: str, directive: str) -> None:
    scene.ports.setdefault(name, set()).update(referred_ports(directive))


def check_target(scene: Scene, _name: str, target: Target) -> None:
    if scene.states.get(target.server) is not RUNNING:
        raise ValueError(f"no server {target.server} runs here")
    port = target.endpoint.port
    if port is not None and port not in scene.ports[target.server]:
        raise ValueError(f"{target.server} has no port {port}: no ${port} stands above")


def check_listen(scene: Scene, name: str, endpoint: Endpoint) -> None:
    if name in scene.listeners:
        raise ValueError(f"{name} listens already")
    if endpoint in scene.listeners.values():
        raise ValueError(f"another client listens at {endpoint.address} port {endpoint.port}")
    scene.listeners[name] = endpoint


def check_accept(scene: Scene, name: str, listener: str | None) -> None:
    if (listener or name) not in scene.listeners:
        raise ValueError(f"{listener or name} does not listen")


def check_stop_listening(scene: Scene, name: str, _: None) -> None:
    check_accept(scene, name, None)
    del scene.listeners[name]


STARTING = {NEW: RUNNING, CONFIGURED: RUNNING, STOPPED: RUNNING}
CONFIGURING = {NEW: CONFIGURED, **stay(CONFIGURED, RUNNING, STOPPED)}
CONNECTING = {NEW: OPEN, APART: OPEN, LEFT: OPEN, CLOSED: OPEN}
LISTENING = {NEW: APART, **stay(APART, OPEN, HALF, LEFT, CLOSED)}
CLOSING = {OPEN: CLOSED, HALF: CLOSED, LEFT: CLOSED}

ACTIONS: tuple[Action[Any, Any], ...] = (
    Action("@", Server, read_start, Server.start, STARTING, check_start),
    Action("@@", Server, read_start_alone, Server.start, STARTING, check_start),
    Action("=", Server, read_directive, Server.configure, CONFIGURING, check_directive),
    Action(">", Server, read_line, Server.type_line, stay(RUNNING)),
    Action("<", Server, read_line, Server.expect_line, stay(RUNNING, STOPPED)),
    Action("<*", Server, read_glob, Server.expect_match, stay(RUNNING, STOPPED)),
    Action("</", Server, read_pattern, Server.expect_match, stay(RUNNING, STOPPED)),
    Action("?", Server, read_pattern, Server.expect_log, stay(RUNNING, STOPPED)),
    Action("<!", Server, read_status, Server.expect_end, {RUNNING: STOPPED}),
    Action("!", Server, read_nothing, Server.stop, {RUNNING: STOPPED}),
    Action("!!", Server, read_nothing, Server.kill, {RUNNING: STOPPED}),
    Action("~", Client, read_target, Client.connect, CONNECTING, check_target),
    Action("~@", Client, read_endpoint, Client.listen, LISTENING, check_listen),
    Action("~<", Client, read_listener, Client.accept, CONNECTING, check_accept),
    Action("~!", Client, read_nothing, Client.stop_listening, LISTENING, check_stop_listening),
    Action(">", Client, read_line, Client.send_line, stay(OPEN)),
    Action(">>", Client, read_raw, Client.send, stay(OPEN)),
    Action("<", Client, read_line, Client.expect_line, stay(OPEN, HALF)),
    Action("<<", Client, read_exact_line, Client.expect_line, stay(OPEN, HALF)),
    Action("<*", Client, read_glob, Client.expect_match, stay(OPEN, HALF)),
    Action("</", Client, read_pattern, Client.expect_match, stay(OPEN, HALF)),
    Action("<-", Client, read_nothing, Client.expect_nothing, stay(OPEN, HALF)),
    Action("<!", Client, read_nothing, Client.expect_end, {OPEN: LEFT, HALF: LEFT}),
    Action(">!", Client, read_nothing, Client.end_sending, {OPEN: HALF}),
    Action("!", Client, read_nothing, Client.close, CLOSING),
)


COMMENT = re.compile(rf"(?:^|[{BLANKS}])#.*")
STEP = re.compile(rf"(?P<name>[^{BLANKS}]+)[{BLANKS}]+(?P<symbol>[^{BLANKS}]+)(?:[{BLANKS}]+(?P<rest>.*))?")


@dataclass(frozen=True)
class Step:
    """A line of a script: its number, its text without the comment, and its parsed action."""

    line: int
    text: str
    name: str
    action: Action[Any, Any]
    argument: Any


@dataclass(frozen=True)
class Case:
    """A script that can be played."""

    name: str
    file: str
    steps: tuple[Step, ...]

    @property
    def roles(self) -> dict[str, type]:
        """The kind of actor of each name."""
        return {step.name: step.action.role for step in self.steps}


def parse(text: str, name: str = "script", file: str = "script") -> Case:
    """Read a script. Raises InvalidCase for the first line that is wrong in itself or in its use of a name."""
    scene = Scene()
    steps = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = COMMENT.sub("", line.rstrip("\r")).strip(BLANKS)
        if stripped:
            try:
                steps.append(_read_step(scene, number, stripped))
            except ValueError as error:
                raise InvalidCase(number, stripped, str(error)) from None
    return Case(name, file, tuple(steps))


def _read_step(scene: Scene, number: int, text: str) -> Step:
    """Read a line and update the scene. Raises ValueError."""
    match = STEP.fullmatch(text)
    if not match:
        raise ValueError("a name and an action are needed")
    name = match["name"]
    action = _find_action(scene, name, match["symbol"])
    state = scene.states.setdefault(name, NEW)
    if state not in action.moves:
        raise ValueError(f"{name} is {state.value}")
    argument = action.read(match["rest"] or "")
    action.check(scene, name, argument)
    scene.roles[name] = action.role
    scene.states[name] = action.moves[state]
    return Step(number, text, name, action, argument)


def _find_action(scene: Scene, name: str, symbol: str) -> Action[Any, Any]:
    """Return the row for a symbol. A new name becomes an actor that can begin with it. Raises ValueError."""
    rows = [action for action in ACTIONS if action.symbol == symbol]
    if not rows:
        raise ValueError(f"unknown action {symbol!r}")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name")
    role = scene.roles.get(name)
    for action in rows:
        if action.role is role or (role is None and NEW in action.moves):
            return action
    raise ValueError(f"a {role.__name__.lower()} has no {symbol!r}" if role else f"{name} is {NEW.value}")
