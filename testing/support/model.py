"""An executable specification of `result` and `hello`, with which the server is compared.

It is written from PROTOCOL.md and knows nothing of the server's code, of sockets, or of disks. A `Turn` is what clients
do at the same moment. The server chooses the order in which its steps are decided, which may change the lines that
clients receive. `Model.after` gives every correct outcome.
"""

from __future__ import annotations

import pickle
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

CLOSED = "\n"
"""Stands for the end of a connection; no line is equal to it."""

UNSHOWN = {0x1B: None, 0x202E: None}
"""The characters used here that the server takes out of messages (C28)."""

RESULT_WORDS = {
    "REGISTER": (2, 2), "LOGIN": (2, 2), "LOGOUT": (0, 0), "CHANNELS": (0, 0), "CREATE": (1, 1), "JOIN": (1, 1),
    "LEAVE": (1, 1), "USERS": (1, 1), "SAY": (2, 2), "SEND": (2, 2), "HISTORY": (1, 1), "PING": (0, 0), "QUIT": (0, 0),
    "JOINED": (0, 0), "TOPIC": (1, 2), "PRESENCE": (1, 1), "SEEN": (2, 2), "UNREAD": (0, 0),
}  # fmt: skip
"""Minimum and maximum number of arguments. A message is one, and HISTORY is used without a count."""


# ---- steps ----


class Send(NamedTuple):
    """The client sends these bytes. It connects first if it is not connected."""

    client: str
    data: bytes


class End(NamedTuple):
    """The client half-closes."""

    client: str


class Leave(NamedTuple):
    """The client disconnects."""

    client: str


class Stick(NamedTuple):
    """The client reads no more of what is sent with a receipt. Its next step is `Unstick` or `Leave`."""

    client: str


class Unstick(NamedTuple):
    """The client reads what waits for it."""

    client: str


Step = Send | End | Leave | Stick | Unstick
Turn = tuple[Step, ...]
"""Steps of different clients at the same moment."""

Heard = dict[str, list[str]]
"""The lines that each client has received, and CLOSED."""


class Moment(NamedTuple):
    """A turn and the lines that it causes."""

    turn: Turn
    heard: Heard


# ---- words ----


def split(text: str, limit: int = 0) -> list[str]:
    """Split at runs of blanks. The last of at most `limit` words, if given, is the rest of the text (C3)."""
    return re.split("[ \t]+", text.strip(" \t"), maxsplit=limit - 1 if limit else 0)


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
    """A connection. `answer` is the answer to its SEND, "" while that is undecided; until it is sent, lines wait."""

    dialect: str
    fresh: bool = True
    user: str = ""
    since: int = 0  # number of logins before its own
    piece: bytes = b""
    lines: list[bytes] = field(default_factory=list)
    answer: str | None = None
    held: list[tuple[str, str]] = field(default_factory=list)  # (the sender's client, the line)
    stuck: bool = False
    ended: bool = False
    leaving: bool = False
    watching: bool = False


@dataclass
class Model:
    """The state of a server, and the lines that the last turn has caused.

    Args:
        dialects: for each client the dialect of its port; `auto`: its first word decides.
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
    topics: dict[str, str] = field(default_factory=dict)
    seen: dict[tuple[str, str], int] = field(default_factory=dict)  # (user, channel): how many messages
    logins: int = 0
    heard: Heard = field(default_factory=dict)

    def copy(self) -> Model:
        copied: Model = pickle.loads(pickle.dumps(self))  # ten times as quick as a deepcopy
        return copied

    def can(self, step: Step) -> bool:
        """Tell whether the client can do this in its state."""
        session = self.sessions.get(step.client)
        if session is None:
            return isinstance(step, Send)
        if isinstance(step, Leave):
            return True
        return session.stuck if isinstance(step, Unstick) else not (session.stuck or session.ended)

    def after(self, turn: Turn) -> list[Model]:
        """Return the outcomes, one for each order of decisions that makes a difference. Modifies this model."""
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
        """Return what may be next: a client's next line when the one before is answered (C10), or its end.

        A client that disconnects may do so before its lines have been run, or after.
        """
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
        """Messages held for the client are not delivered. Those that it has sent stay held, without a receipt."""
        gone = self.sessions.pop(client)
        for sender, _line in gone.held:
            self._decide(sender, "BAD-DEST-USER")
        for session in self.sessions.values():
            session.held = [("" if sender == client else sender, line) for sender, line in session.held]
        self._log_out(gone)

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
        self._present(name, "on", *self._joined(name))

    def _log_out(self, session: Session) -> None:
        name, session.user, session.watching = session.user, "", False
        self._present(name, "off", *self._joined(name))

    def _joined(self, name: str) -> list[str]:
        return sorted(channel for channel, members in self.members.items() if name in members)

    def _present(self, name: str, change: str, *channels: str) -> None:
        """Tell others in these channels, each once, that somebody has come or gone (R43)."""
        self._tell_watchers(name, f"PRESENCE {name} {change}", channels)

    def _tell_watchers(self, name: str, line: str, channels: Sequence[str]) -> None:
        for member, client in self._online().items():
            there = member != name and any(member in self.members[channel] for channel in channels)
            if there and self.sessions[client].watching:
                self._tell(client, line)

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
            text = ""  # an empty line does not come this far
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
        if verb in ("SAY", "SEND", "TOPIC"):
            message = " ".join(split(clean(" ".join(words[1:]))))
            words[1:] = [message] if message else []
        min_args, max_args = RESULT_WORDS.get(verb, (0, len(words)))
        if not text:
            self._tell(client, "RESULT ERROR not utf-8")
        elif verb not in RESULT_WORDS:
            self._tell(client, "RESULT ERROR unknown type")
        elif not min_args <= len(words) <= max_args:
            self._tell(client, f"RESULT ERROR {'not enough' if len(words) < min_args else 'too many'} arguments")
        else:
            self._command(client, session, verb, *map(composed, words[:1]), *words[1:])

    def _command(self, client: str, session: Session, verb: str, name: str = "", more: str = "") -> None:
        """Carry out a line with a valid number of arguments. `yes` is whether the answer is 1."""
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
                self._log_out(session)
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
                    self.seen[user, name] = len(self.said[name])
                    self._present(user, "on", name)
            case "LEAVE":
                tell(f"RESULT LEAVE {name} {joined:d}")
                if joined:
                    self.members[name].remove(user)
                    self._present(user, "off", name)
            case "JOINED":
                tell(f"RESULT JOINED {', '.join(self._joined(user)) if user else 0}".strip())
            case "TOPIC" if more:
                yes = joined and more not in ("0", "1")
                tell(f"RESULT TOPIC {name} {yes:d}")
                if yes:
                    self.topics[name] = "" if more == "-" else more
                    self._tell_watchers(user, f"TOPIC {user} {name} {self.topics[name]}".strip(), [name])
            case "TOPIC":
                known = bool(user) and name in self.members
                tell(f"RESULT TOPIC {name} {self.topics.get(name, '') if known else 0}".strip())
            case "PRESENCE":
                yes = bool(user) and name in ("on", "off")
                tell(f"RESULT PRESENCE {yes:d}")
                session.watching = name == "on" if yes else session.watching
            case "SEEN":  # is used with 0, which is no message, and with what is behind all
                yes = joined and more.isdigit()
                tell(f"RESULT SEEN {name} {yes:d}")
                if yes and int(more):
                    self.seen[user, name] = len(self.said[name])
            case "UNREAD":
                unread = {name: len(self.said[name]) - self.seen[user, name] for name in self._joined(user)}
                counts = sorted((-count, name) for name, count in unread.items() if count)
                tell(f"RESULT UNREAD {', '.join(f'{name} {-n}' for n, name in counts) if user else 0}".strip())
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
        """Send a message to a user who is online, or has room for mail (R32); the sender receives it too (R34)."""
        addressee = self._online().get(name)
        if not user or not self._is_taken(name) or (addressee is None and len(self.mail[name]) >= self.max_mail):
            return False
        if addressee is None:
            self.mail[name].append(f"RECV {user} @{user} {text}")
        elif addressee != client:
            self._tell(addressee, self._direct(user, text, addressee))
        self._tell(client, f"RECV {user} @{name} {text}")
        return True
