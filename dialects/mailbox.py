"""The dialect `mailbox`: an opcode, a bar, its fields; the server speaks first.

Accounts have no password: an account belongs to everyone who knows its ID. A message to a user who is offline waits
until it is collected. The answers are fixed, word for word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from commands import Command, Refusal, Request, match_arguments
from domain.changes import Mailed
from domain.chat import Chat
from domain.errors import (
    BeingCollected,
    HasMail,
    KeptOut,
    LimitReached,
    NameTaken,
    NoSuchUser,
    RegistrationClosed,
    StoreUnavailable,
)
from domain.events import AccountGone, Announced, DirectEcho, DirectMessage, LoggedInElsewhere
from domain.names import MAX_NAME, SERVER
from protocol import Dialect, Session
from text import clean, is_too_long

GREETING = (
    "To get started on this chat room, please create or login your account first and type command as instructed in"
    " the documentation "
)
RESERVED_NAMES = frozenset({"Receiver"})
"""Names that no user can have: the messages of such a user would look like answers (C35)."""

HINT = "Please give a valid input as instructed in the documentation"
NAMES_AT_ONCE = 50
"""Names that a search compares before other sessions get their turn."""

DELETED = "Your account has been deleted"
NOT_KEPT = "The server cannot keep this at the moment; please try again later"


def render_echo(event: DirectEcho) -> bytes:
    """Tell the sender of a message whether it was delivered, or waits in a mailbox."""
    if event.waits:
        return f"message from {event.sender} has been delivered to {event.recipient}'s mailbox\n".encode()
    return f"Sender {event.sender} sends a new message {event.words} to {event.recipient}\n".encode()


# Mail is not announced but collected, so MailWaiting has no words.
WORDS: Mapping[type, Callable[[Any], bytes]] = {
    Announced: lambda event: f"{SERVER}: {event.text}\n".encode(),
    DirectMessage: lambda event: f"{event.sender}: {event.words}\n".encode(),
    DirectEcho: render_echo,
    AccountGone: lambda _event: f"{DELETED}\n".encode(),
    LoggedInElsewhere: lambda event: f"user : {event.user} is now logged in elsewhere\n".encode(),
}


class Pattern:
    """A search pattern: `.` stands for any one character, `*` and `.*` for any run; it matches a whole name (B19).

    The pieces between the runs are found one after the other, each as far left as possible, so there is no backtracking
    (B20). A pattern that needs more characters than a name has, or is too long (C34), matches nothing.

    Args:
        text: the pattern as it was typed.
    """

    def __init__(self, text: str) -> None:
        pieces = re.split(r"(?:\.?\*)+", text)
        self._length = sum(map(len, pieces))
        self._possible = self._length <= MAX_NAME and not is_too_long(text)
        if self._possible:
            first, *middle, last = map(_expression, pieces if len(pieces) > 1 else [*pieces, ""])
            self._whole = len(pieces) == 1
            self._first, self._middle, self._last = first, middle, last
            self._last_length = len(pieces[-1])

    def matches(self, name: str) -> bool:
        """Tell whether the pattern matches this whole name."""
        if not self._possible or len(name) < self._length:
            return False
        if self._whole:
            return self._first.fullmatch(name) is not None
        found = self._first.match(name)
        for piece in self._middle:
            if found is None:
                return False
            found = piece.search(name, found.end())
        end = len(name) - self._last_length
        return found is not None and found.end() <= end and self._last.match(name, end) is not None


def _expression(piece: str) -> re.Pattern[str]:
    return re.compile("".join("." if character == "." else re.escape(character) for character in piece), re.DOTALL)


class Mailbox(Dialect):
    """The dialect `mailbox`.

    Args:
        chat: the domain.
    """

    name = "mailbox"
    words = WORDS

    def __init__(self, chat: Chat) -> None:
        super().__init__()
        self.chat = chat

    # ---- the dialect ----

    def begin(self, session: Session) -> None:
        """Send the greeting: the server speaks first (B1)."""
        session.send(GREETING)

    def parse(self, line: str) -> Request | Refusal | None:
        """Find the row of the opcode and split its fields; a message may contain bars (B2)."""
        text = line.strip(" \t")
        if not text:
            return None
        opcode, _, rest = text.partition("|")
        command = COMMANDS.get(opcode.rstrip(" \t"))
        if command is None or (command is BYE and "|" in text):
            return Refusal.UNKNOWN
        fields = [field.strip(" \t") for field in rest.split("|", max(0, command.max_args - 1))]
        if command.text and len(fields) == command.max_args:
            fields[-1] = clean(fields[-1]).strip(" \t")
        while fields and not fields[-1]:
            fields.pop()
        return Refusal.TOO_FEW if "" in fields else match_arguments(command, fields)

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """Answer a line that is no request (B2)."""
        session.send(HINT)

    def succeed(self, session: Session, request: Request) -> None:
        """Send the row's answer to success."""
        session.send(request.command.success.format(*map(clean, request.args)))

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Send the answer to this error of this request, or to an error of the store (B2, B4)."""
        if isinstance(error, StoreUnavailable):
            session.send(NOT_KEPT)
        else:
            words = FAILURES.get((request.command, type(error)), HINT)
            session.send(words.format(*map(clean, request.args)))

    def leave(self, session: Session) -> None:
        """Log the session out."""
        self.chat.users.logout(session)

    # ---- handlers ----

    def login(self, session: Session, request: Request) -> None:
        name = self.chat.logins.login_by_id(session, request.args[0])
        session.send(f"user : {name} is now logged in")

    def create(self, session: Session, request: Request) -> None:
        done = session.expect_outcome(
            request, lambda: session.send(f"Success New Account Creation! Your new Account ID: {account_id}")
        )
        account_id = self.chat.accounts.open_mailbox(session, request.args[0], done)

    def list(self, session: Session, request: Request) -> None:
        if not request.args:
            session.send_list("Showing all accounts:", self.chat.users.account_names(), ",")
            return
        pattern = Pattern(request.args[0])
        no_match = f"Account matched to: {clean(request.args[0])} doesn't exist\n"
        session.stream(_render_matches(pattern, self.chat.users.account_names(), no_match))

    def send(self, session: Session, request: Request) -> None:
        name, text = request.args
        self.chat.messages.send_direct(session.principal, name, text, session.expect_outcome(request))

    def collect(self, session: Session, request: Request) -> None:
        account_id = request.args[0]
        account = self.chat.logins.owner(session, account_id)
        session.stream(_render_mail(clean(account_id), self.chat.messages.mail(session, account)))

    def delete(self, session: Session, request: Request) -> None:
        self.chat.accounts.delete(session, request.args[0], session.expect_outcome(request))

    def bye(self, session: Session, request: Request) -> None:
        session.end()


def _render_matches(pattern: Pattern, names: Sequence[str], no_match: str) -> Iterator[bytes]:
    """Search in NAMES_AT_ONCE names for each chunk, so that other sessions get their turns."""
    before = "Account matched: "
    for start in range(0, len(names), NAMES_AT_ONCE):
        found = ",".join(filter(pattern.matches, names[start : start + NAMES_AT_ONCE]))
        yield (before + found).encode() if found else b""
        before = "," if found else before
    yield b"\n" if before == "," else no_match.encode()


def _render_mail(account_id: str, pages: Iterator[list[Mailed]]) -> Iterator[bytes]:
    head = f"undelivered message for user ID {account_id}:\n"
    try:
        for page in pages:
            yield (head + "".join([f"{mail.sender} sends: {mail.words}\n" for mail in page])).encode()
            head = ""
    except StoreUnavailable:
        yield f"{NOT_KEPT}\n".encode()
    except BeingCollected:
        yield b"Your messages are on their way to another connection; please try again later\n"
    else:
        yield b"No new messages\n" if head else b""


LOGIN = Command(Mailbox.login, "0|<id>", "log in to an account", min_args=1, max_args=1, name=True)  # B5
CREATE = Command(  # B6
    Mailbox.create, "1|<name>", "make an account, and log in to it", min_args=1, max_args=1, name=True
)
LIST = Command(Mailbox.list, "2|<pattern>", "list the accounts, all or those that match", max_args=1, name=True)  # B7
SEND = Command(  # B8
    Mailbox.send, "3|<name>|<message>", "send a message to one user; it waits for one who is away",
    min_args=2, max_args=2, name=True, text=True, needs_login=True,
)  # fmt: skip
COLLECT = Command(  # B9
    Mailbox.collect, "4|<id>", "take the messages that wait for an account", min_args=1, max_args=1, name=True
)
DELETE = Command(  # B10
    Mailbox.delete, "5|<id>", "delete an account", min_args=1, max_args=1, name=True, success=DELETED
)
BYE = Command(Mailbox.bye, "bye", "log off, and close the connection")  # B11

COMMANDS: Mapping[str, Command] = {
    "0": LOGIN, "1": CREATE, "2": LIST, "3": SEND, "4": COLLECT, "5": DELETE, "bye": BYE,
}  # fmt: skip

UNKNOWN_ID = "user with ID : {0} is not recognized in the system, please try a different name or create a new one"

NO_OWNER = "User not Found"
NO_OWNER_TO_DELETE = "User Not Found! "

FAILURES: Mapping[tuple[Command, type], str] = {
    (LOGIN, NoSuchUser): UNKNOWN_ID,
    (LOGIN, KeptOut): UNKNOWN_ID,
    (CREATE, NameTaken): "Username {0} already exists. Please try a different username.",
    (CREATE, RegistrationClosed): "New accounts are not open to everybody here",
    (CREATE, LimitReached): "There is no room for more accounts",
    (SEND, NoSuchUser): "Receiver: {0} doesn't exist ",
    (SEND, LimitReached): "The mailbox of {0} is full",
    (COLLECT, NoSuchUser): NO_OWNER,
    (COLLECT, KeptOut): NO_OWNER,
    (DELETE, NoSuchUser): NO_OWNER_TO_DELETE,
    (DELETE, KeptOut): NO_OWNER_TO_DELETE,
    (DELETE, HasMail): "Please check your mailbox before deleting your account!",
}
"""The answers to a failed request by its command and error; any other failure gets the hint."""
