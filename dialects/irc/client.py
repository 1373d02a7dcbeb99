"""What the server knows of one client of IRC, and how it is answered."""

from __future__ import annotations

from collections.abc import Iterator

from dialects.irc.numerics import Numeric
from dialects.irc.wire import END, message, render_tags
from domain.state import Account
from protocol import Session

NO_NICK = "*"
"""Stands for the nick of a client that has none yet."""

BATCH_REFERENCE = "label"
"""The reference of the batch with the answers to a labelled request: there is one at a time."""


class Answers:
    """The answers to a labelled request, which are gathered until its last outcome (labeled-response).

    No answer becomes an `ACK`, a single one bears the label, and several become a batch.

    Args:
        label: the value of the tag `label` of the request.

    Attributes:
        outstanding: outcomes that are still to come: one for the handler's return, one for each that it expects.
    """

    __slots__ = ("_is_batch", "_label", "_lines", "outstanding")

    def __init__(self, label: str) -> None:
        self._label = label
        self._lines: list[str] = []
        self._is_batch = False
        self.outstanding = 1

    def add(self, line: str) -> str:
        """Take an answer; return what can be sent now."""
        if self._is_batch:
            return in_batch(line)
        self._lines.append(line)
        return ""

    def begin_batch(self) -> str:
        """Return the beginning of a batch, with what is gathered, before a stream of answers."""
        if self._is_batch:
            return ""
        self._is_batch = True
        head = f"{self._tags()}BATCH +{BATCH_REFERENCE} labeled-response{END}"
        return "".join([head, *map(in_batch, self._lines)])

    def settle(self, server: str) -> str:
        """Count an outcome that has come; return what is to be sent if it was the last."""
        self.outstanding -= 1
        if self.outstanding:
            return ""
        if not self._lines and not self._is_batch:
            return f"{self._tags()}{message(server, 'ACK')}"
        if not self._is_batch and len(self._lines) == 1:
            return with_tag("label", self._label, self._lines[0])
        return f"{self.begin_batch()}BATCH -{BATCH_REFERENCE}{END}"

    def _tags(self) -> str:
        return render_tags((("label", self._label),))


def with_tag(key: str, value: str, line: str) -> str:
    """Put one more tag before a line."""
    tag = render_tags(((key, value),))
    return f"{tag[:-1]};{line[1:]}" if line.startswith("@") else tag + line


def in_batch(line: str) -> str:
    """Return a line as one of the open batch; one that belongs to a batch within it stays as it is."""
    head = line.partition(" ")[0]
    is_inner = head.startswith("@") and (head.startswith("@batch=") or ";batch=" in head)
    return line if is_inner else with_tag("batch", BATCH_REFERENCE, line)


class Login:
    """What a client that is not welcome yet has done to log in.

    Attributes:
        account: the one that it has proven to be.
        password_hash: of that account then.
        pieces: of a message of SASL that is under way; None between two.
        failures: how often it was refused.
    """

    __slots__ = ("account", "failures", "password_hash", "pieces")

    def __init__(self) -> None:
        self.account: Account | None = None
        self.password_hash: bytes | None = None
        self.pieces: str | None = None
        self.failures = 0

    def prove(self, account: Account | None) -> None:
        """Note the account that the client has proven to be."""
        self.account = account
        self.password_hash = None if account is None else account.password_hash


class Client:
    """One client of IRC: its registration, its capabilities, its modes, and the way to answer it.

    Args:
        session: its connection.
        server: the name of this server.

    Attributes:
        nick: the name that it has asked for, or has, in the domain's form; "" before that.
        password: what PASS gave, until the welcome.
        token: the digest of the token by which it has logged in, or which it was given last.
        user, realname: what USER gave.
        shown: the nick by which it is addressed.
        capabilities: those that it has switched on.
        is_negotiating: CAP has begun and not ended.
        is_welcome: the registration is over.
        login: see `Login`.
        away: why it is away; "" while it is here.
        monitored: the nicks that it monitors, by their folded form.
        markers: the read markers of a guest, in seconds since the epoch, by channel or user.
        echo: of the direct message whose outcome comes next.
        farewell: what others are told when it has gone.
        pending: verbs and channels of its requests, of which it is told in their answers.
        since, active: when it was welcome, and when it last said something, in seconds since the epoch.
        modes: its user modes.
        answers: where the answers to a labelled request are gathered; None for any other.
    """

    __slots__ = (
        "active",
        "answers",
        "away",
        "capabilities",
        "echo",
        "farewell",
        "is_negotiating",
        "is_welcome",
        "login",
        "markers",
        "modes",
        "monitored",
        "nick",
        "password",
        "pending",
        "realname",
        "server",
        "session",
        "shown",
        "since",
        "token",
        "user",
    )

    def __init__(self, session: Session, server: str) -> None:
        self.session = session
        self.server = server
        self.nick = self.user = self.realname = self.password = ""
        self.shown = NO_NICK
        self.capabilities: frozenset[str] = frozenset()
        self.is_negotiating = self.is_welcome = False
        self.login = Login()
        self.away = self.echo = self.token = ""
        self.farewell = "connection closed"
        self.markers: dict[str, float] = {}
        self.pending: set[tuple[str, ...]] = set()
        self.since = self.active = 0.0
        self.modes: frozenset[str] = frozenset()
        self.monitored: dict[str, str] = {}
        self.answers: Answers | None = None

    def has(self, capability: str) -> bool:
        """Tell whether a capability is switched on."""
        return capability in self.capabilities

    @property
    def account(self) -> Account | None:
        """The account to which it is logged in; None for a guest."""
        principal = self.session.principal
        return principal if isinstance(principal, Account) else None

    # ---- answers ----

    def send(self, line: str) -> None:
        """Send a line, or several, in answer to the request that is being run."""
        if self.answers is not None:
            line = "".join([self.answers.add(each + END) for each in line.split(END)[:-1]])
        if line:
            self.session.send_bytes(line.encode())

    def reply(self, numeric: Numeric, *words: str, text: str | None = None) -> None:
        """Answer with a numeric, whose text is the last word unless another is given."""
        self.send(self.line(numeric, *words, text=text))

    def line(self, numeric: Numeric, *words: str, text: str | None = None) -> str:
        """Return a numeric as a line."""
        last = numeric.text if text is None else text
        return message(self.server, numeric.code, self.shown, *words, text=last)

    def answer(self, verb: str, *words: str, text: str | None = None) -> None:
        """Answer with a line from the server that is no numeric."""
        self.send(message(self.server, verb, *words, text=text))

    def fail(self, verb: str, code: str, *words: str, text: str) -> None:
        """Answer with a standard reply: the request has failed."""
        self.send(message(self.server, "FAIL", verb, code, *words, text=text))

    def notice(self, text: str) -> None:
        """Tell the client something in words."""
        self.send(message(self.server, "NOTICE", self.shown, text=text))

    def stream(self, chunks: Iterator[str]) -> None:
        """Answer with lines that are made as the client reads them."""
        answers = self.answers
        if answers is None:
            self.session.stream(chunk.encode() for chunk in chunks)
            return
        self.session.send_bytes(answers.begin_batch().encode())
        self.session.stream(
            "".join([answers.add(line + END) for line in chunk.split(END)[:-1]]).encode() for chunk in chunks
        )

    def close(self, reason: str) -> None:
        """Close the connection, and say why (ERROR)."""
        self.farewell = reason
        self.session.send_bytes(f"ERROR :Closing Link: {self.shown} ({reason}){END}".encode())
        self.session.end()
