"""The rules of `result` and `hello` once more, in short: what the server is held against.

It is written from PROTOCOL.md and knows nothing of the server's code, of sockets, or of disks. A `Turn` is what clients
do at the same moment. Where its steps meet, the order in which they are decided is the server's choice, and may change
what everybody hears: `Model.after` gives every outcome that is right.
"""

from __future__ import annotations

import pickle
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

CLOSED = "\n"
"""Heard at the end of a connection; no line is like it."""

UNSHOWN = {0x1B: None, 0x202E: None}
"""Those of the characters that no message may bring to a screen (C28) that the tests use."""

RESULT_WORDS = {
    "REGISTER": (2, 2), "LOGIN": (2, 2), "LOGOUT": (0, 0), "CHANNELS": (0, 0), "CREATE": (1, 1), "JOIN": (1, 1),
    "LEAVE": (1, 1), "USERS": (1, 1), "SAY": (2, 2), "SEND": (2, 2), "HISTORY": (1, 1), "PING": (0, 0), "QUIT": (0, 0),
}  # fmt: skip
"""How many words stand behind a verb at least and at most. A message is one, and HISTORY is used without a count."""


# ---- steps ----


class Send(NamedTuple):
    """These bytes leave; who is not connected connects first."""

    client: str
    data: bytes


class End(NamedTuple):
    """The client ends its sending side."""

    client: str


class Leave(NamedTuple):
    """The client is gone."""

    client: str


class Stick(NamedTuple):
    """The client takes no more of what is sent with a receipt. It does nothing else until `Unstick`, or leaves."""

    client: str


class Unstick(NamedTuple):
    """The client takes what waits for it."""

    client: str


Step = Send | End | Leave | Stick | Unstick
Turn = tuple[Step, ...]
"""Steps of different clients at the same moment."""

Heard = dict[str, list[str]]
"""The lines that came to each client, and CLOSED."""


class Moment(NamedTuple):
    """A turn and what comes of it."""

    turn: Turn
    heard: Heard


# ---- words ----


def split(text: str, most: int = 0) -> list[str]:
    """Split at runs of blanks, the last one of `most` words with all that follows it (C3)."""
    return re.split("[ \t]+", text.strip(" \t"), maxsplit=most - 1 if most else 0)


def clean(text: str) -> str:
    """C28."""
    return text.translate(UNSHOWN)


def composed(name: str) -> str:
    """C32."""
    return unicodedata.normalize("NFC", name)


def is_name(name: str) -> bool:
    """C30, C31."""
    return bool(re.fullmatch(r"[^\s,:@|/][^\s,:@|]{0,63}", name))


# ---- the model ----


@dataclass
class Session:
    """A connection. `answer` is what its SEND comes to, "" while that is open; then the next line waits."""

    dialect: str
    fresh: bool = True
    user: str = ""
    since: int = 0  # how many had logged in before
    piece: bytes = b""
    lines: list[bytes] = field(default_factory=list)
    answer: str | None = None
    held: list[tuple[str, str]] = field(default_factory=list)  # (the sender's client, the line)
    stuck: bool = False
    ended: bool = False
    leaving: bool = False


@dataclass
class Model:
    """A server, what it knows, and what has been heard in the last turn.

    Args:
        dialects: what is spoken at the port where each client comes in; `auto`: its first word decides.
        max_users, max_mail: the settings.
    """

    dialects: Mapping[str, str]
    max_users: int
    max_mail: int
    sessions: dict[str, Session] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    mail: dict[str, list[str]] = field(default_factory=dict)
    members: dict[str, set[str]] = field(default_factory=dict)
    said: dict[str, list[str]] = field(default_factory=dict)
    logins: int = 0
    heard: Heard = field(default_factory=dict)

    def copy(self) -> Model:
        copied: Model = pickle.loads(pickle.dumps(self))  # ten times as quick as a deepcopy
        return copied

    def can(self, step: Step) -> bool:
        """Whether the client is in a state to do this."""
        session = self.sessions.get(step.client)
        if session is None:
            return isinstance(step, Send)
        if isinstance(step, Leave):
            return True
        return session.stuck if isinstance(step, Unstick) else not (session.stuck or session.ended)

    def after(self, turn: Turn) -> list[Model]:
        """Give the outcomes: one for each order of decisions that makes a difference. This model is used up."""
        self.heard = {}
        for step in turn:
            self._begin(step)
        outcomes: list[Model] = []
        models = [self]
        while models:
            behind: list[Model] = []
            for model in models:
                moves = model._moves()
                if not moves and model not in outcomes:
                    outcomes.append(model)
                for move, client in moves:
                    moved = model.copy() if len(moves) > 1 else model
                    move(moved, client)
                    if moved not in behind:
                        behind.append(moved)
            models = behind
        return outcomes

    def _begin(self, step: Step) -> None:
        session = self.sessions.setdefault(step.client, Session(self.dialects[step.client]))
        match step:
            case Send(data=data):
                *lines, session.piece = (session.piece + data).split(b"\n")
                session.lines += lines
            case End():
                session.ended = True
            case Leave():
                session.leaving = True
            case Stick():
                session.stuck = True
            case Unstick():
                session.stuck = False
                for sender, line in session.held:
                    self._tell(step.client, line)
                    self._decide(sender, "SEND-OK")
                session.held.clear()

    def _moves(self) -> list[tuple[Callable[[Model, str], None], str]]:
        """Say what may be next: a client's next line when the one before is answered (C10). Who leaves may do so before
        its lines have been run, and after."""
        moves: list[tuple[Callable[[Model, str], None], str]] = []
        for client, session in self.sessions.items():
            if session.answer:
                moves.append((Model._answer, client))
            elif session.lines and session.answer is None:
                moves.append((Model._run, client))
            elif session.ended and session.answer is None:
                moves.append((Model._close, client))
            if session.leaving:
                moves.append((Model._gone, client))
        return moves

    def _answer(self, client: str) -> None:
        session = self.sessions[client]
        self._tell(client, session.answer or "")
        session.answer = None

    def _close(self, client: str) -> None:
        self._tell(client, CLOSED)
        self._gone(client)

    def _tell(self, client: str, *lines: str) -> None:
        if lines and not self.sessions[client].leaving:
            self.heard.setdefault(client, []).extend(lines)

    def _gone(self, client: str) -> None:
        """What was to leave for it has not; what it has sent goes its way, but nobody waits for the receipt."""
        for sender, _line in self.sessions.pop(client).held:
            self._decide(sender, "BAD-DEST-USER")
        for session in self.sessions.values():
            session.held = [("" if sender == client else sender, line) for sender, line in session.held]

    def _decide(self, sender: str, answer: str) -> None:
        if sender:
            self.sessions[sender].answer = answer

    # ---- who is there ----

    def _online(self) -> dict[str, str]:
        there = sorted(self.sessions.items(), key=lambda item: item[1].since)
        return {session.user: client for client, session in there if session.user}

    def _log_in(self, session: Session, name: str) -> None:
        self.logins += 1
        session.user, session.since = name, self.logins

    def _is_taken(self, name: str) -> bool:
        return name in self.passwords or name in self._online()

    def _direct(self, sender: str, text: str, client: str) -> str:
        """A direct message as this client hears it."""
        is_guest = self.sessions[client].dialect == "hello"
        return f"DELIVERY {sender} {text}" if is_guest else f"RECV {sender} @{sender} {text}"

    # ---- lines ----

    def _run(self, client: str) -> None:
        session = self.sessions[client]
        line = session.lines.pop(0).removesuffix(b"\r")
        if not line.strip(b" \t"):
            return
        first, session.fresh = session.fresh, False
        if first and re.match(rb"[A-Z]+ \S+ HTTP/", line):  # C13
            self._close(client)
            return
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text = ""  # which no line is that comes this far
        if session.dialect == "auto":
            session.dialect = "hello" if split(text)[0] == "HELLO-FROM" else "result"
        (self._hello if session.dialect == "hello" else self._result)(client, session, text)

    def _hello(self, client: str, session: Session, text: str) -> None:
        verb, body = (*split(text, 2), "")[:2]
        if not session.user:
            self._tell(client, self._enter(session, composed(body)) if verb == "HELLO-FROM" else "BAD-RQST-HDR")
            if not session.user:
                self._close(client)
        elif verb == "SEND":
            self._send(client, session, body)
        elif verb == "LIST" and not body:
            self._tell(client, f"LIST-OK {','.join(self._online())}")
        else:
            self._tell(client, "BAD-RQST-BODY" if verb in ("LIST", "") else "BAD-RQST-HDR")

    def _enter(self, session: Session, name: str) -> str:
        if not is_name(name):
            return "BAD-RQST-BODY"
        if self._is_taken(name):
            return "IN-USE"
        if len(self._online().keys() - self.passwords.keys()) >= self.max_users:
            return "BUSY"
        self._log_in(session, name)
        return f"HELLO {name}"

    def _send(self, client: str, session: Session, body: str) -> None:
        name, text = (*split(body, 2), "")[:2]
        name, text = composed(name), clean(text).strip(" \t")
        addressee = self._online().get(name)
        if not text or not is_name(name):
            self._tell(client, "BAD-RQST-BODY")
        elif addressee is None:
            self._tell(client, "BAD-DEST-USER")
        elif self.sessions[addressee].stuck:
            self.sessions[addressee].held.append((client, self._direct(session.user, text, addressee)))
            session.answer = ""
        else:
            self._tell(addressee, self._direct(session.user, text, addressee))
            session.answer = "SEND-OK"

    def _result(self, client: str, session: Session, text: str) -> None:
        verb, *words = split(text)
        if verb in ("SAY", "SEND"):
            message = " ".join(split(clean(" ".join(words[1:]))))
            words[1:] = [message] if message else []
        least, most = RESULT_WORDS.get(verb, (0, len(words)))
        if not text:
            self._tell(client, "RESULT ERROR not utf-8")
        elif verb not in RESULT_WORDS:
            self._tell(client, "RESULT ERROR unknown type")
        elif not least <= len(words) <= most:
            self._tell(client, f"RESULT ERROR {'not enough' if len(words) < least else 'too many'} arguments")
        else:
            self._command(client, session, verb, *map(composed, words[:1]), *words[1:])

    def _command(self, client: str, session: Session, verb: str, name: str = "", more: str = "") -> None:
        """Carry out a line that has its words. `yes` is for an answer that is 1 or 0."""
        user, tell = session.user, partial(self._tell, client)
        joined = bool(user) and user in self.members.get(name, ())
        match verb:
            case "PING":
                tell("RESULT PING 1")
            case "QUIT":
                self._close(client)
            case "REGISTER":
                yes = is_name(name) and not self._is_taken(name)
                tell(f"RESULT REGISTER {yes:d}")
                if yes:
                    self.passwords[name], self.mail[name] = more, []
            case "LOGIN":
                yes = not user and self.passwords.get(name) == more and name not in self._online()
                tell(f"RESULT LOGIN {yes:d}")
                if yes:
                    self._log_in(session, name)
                    tell(*self.mail[name])
                    self.mail[name] = []
            case "LOGOUT":
                tell(f"RESULT LOGOUT {bool(user):d}")
                session.user = ""
            case "CHANNELS":
                tell(f"RESULT CHANNELS {', '.join(sorted(self.members))}".strip())
            case "CREATE":
                yes = bool(user) and is_name(name) and name not in self.members
                tell(f"RESULT CREATE {name} {yes:d}")
                if yes:
                    self.members[name], self.said[name] = set(), []
            case "JOIN":
                yes = bool(user) and name in self.members and not joined
                tell(f"RESULT JOIN {name} {yes:d}")
                if yes:
                    self.members[name].add(user)
            case "LEAVE":
                tell(f"RESULT LEAVE {name} {joined:d}")
                if joined:
                    self.members[name].remove(user)
            case "USERS":
                tell(f"RESULT USERS {name} {', '.join(sorted(self.members[name])) if joined else 0}")
            case "HISTORY":
                said = self.said[name][-20:] if joined else []
                tell(f"RESULT HISTORY {name} {len(said)}", *said)
            case "SAY" | "SEND":
                done = self._say_to_one(client, user, name[1:], more) if name[0] == "@" else joined
                if not done:
                    tell("RESULT SAY 0" if verb == "SAY" else "RESULT SEND ERROR")
                elif joined:
                    self._say(user, name, more)

    def _say(self, user: str, channel: str, text: str) -> None:
        line = f"RECV {user} {channel} {text}"
        self.said[channel].append(line)
        for member, client in self._online().items():
            if member in self.members[channel]:
                self._tell(client, line)

    def _say_to_one(self, client: str, user: str, name: str, text: str) -> bool:
        """Say something to somebody who is there, or for whom it can wait (R32); the sender hears it too (R34)."""
        addressee = self._online().get(name)
        if not user or not self._is_taken(name) or (addressee is None and len(self.mail[name]) >= self.max_mail):
            return False
        if addressee is None:
            self.mail[name].append(f"RECV {user} @{user} {text}")
        elif addressee != client:
            self._tell(addressee, self._direct(user, text, addressee))
        self._tell(client, f"RECV {user} @{name} {text}")
        return True
