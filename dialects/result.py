"""The dialect `result`: `RESULT <type> <outcome>`, `RECV <user> <channel> <message>`.

Start with COMMANDS, the table at the end of this file. A handler calls the domain, and its outcome gives the answer;
most answers are in the rows of the table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from commands import Command, Refusal, Request, match_arguments
from dialects.result_words import WORDS, with_topic
from dialects.tags import TAGS, add_tags, in_order
from domain.changes import Mailed, Said
from domain.chat import Chat
from domain.errors import BeingCollected, ChatError
from domain.events import ChannelMessages, DirectMessage, MailWaiting
from domain.invitations import Registration
from domain.state import Account
from protocol import Dialect, Session
from settings import Settings
from text import MAX_LINE, clean, join_message, normalize, parse_number, split_words

DEFAULT_HISTORY = 20
MAX_HISTORY = 1000
"""Default and maximum number of messages in an answer to HISTORY (R35)."""

MAX_NUMBER = 2**63 - 1
"""The greatest number that a message can have."""

NO_TOPIC = "-"
"""The text with which TOPIC clears a topic (R44)."""

_TOO_MANY = Refusal.TOO_MANY  # compared for every line; looking it up in the enum costs time

REFUSALS: Mapping[Refusal, str] = {
    Refusal.UNKNOWN: "RESULT ERROR unknown type",
    Refusal.TOO_FEW: "RESULT ERROR not enough arguments",
    Refusal.TOO_MANY: "RESULT ERROR too many arguments",
    Refusal.TOO_LONG: "RESULT ERROR line too long",
    Refusal.NOT_UTF8: "RESULT ERROR not utf-8",
}


class Result(Dialect):
    """The dialect `result`.

    Args:
        chat: the domain.
        settings: `channels-reply`, `history-on-join` (R37), and `federation-seconds`: how long a half-closed client
            stays for the echo of a message to a remote channel (C12).

    Attributes:
        tags: what a RECV begins with (R39): nothing, but in a `TaggedResult`.
    """

    name = "result"
    words = WORDS
    tags: tuple[str, ...] = ()

    def __init__(self, chat: Chat, settings: Settings) -> None:
        super().__init__()
        self.chat = chat
        self.settings = settings
        self._by_tags: dict[tuple[str, ...], Result] = {(): self}

    # ---- the dialect ----

    def parse(self, line: str) -> Request | Refusal | None:
        """Find the row of the first word. Blanks in a message become one space (C27).

        SAY and SEND to an @name or a channel:host have rows of their own (R17, R18).
        """
        is_clean = line.isprintable()
        words = line.split() if is_clean else split_words(line)
        if not words:
            return None
        verb = words.pop(0)
        command = COMMANDS.get(verb)
        if words:
            if words[0][0] == "@":
                command = COMMANDS.get(f"{verb} @", command)
            elif ":" in words[0]:
                command = COMMANDS.get(f"{verb} :", command)
        if command is None:
            return Refusal.UNKNOWN
        if command.text:
            join_message(words, command.max_args - 1, is_clean=is_clean)
            return match_arguments(command, words)
        request = match_arguments(command, words)
        return self._longer_form(verb, words) if request is _TOO_MANY else request

    def _longer_form(self, verb: str, words: list[str]) -> Request | Refusal:
        """Find the row of a command with one word more than usual.

        It is CREATE for a private channel (R54), or REGISTER where the settings ask for an invitation code (R53).
        """
        if verb == "CREATE" and words[1:] == ["private"]:
            return match_arguments(COMMANDS["CREATE private"], words)
        if verb == "REGISTER" and self.chat.accounts.invitations.registration is Registration.INVITE:
            return match_arguments(COMMANDS["REGISTER code"], words)
        return Refusal.TOO_MANY

    def refuse(self, session: Session, refusal: Refusal) -> None:
        """Answer a line that is no request (R2, R3, C4, C5)."""
        session.send(REFUSALS[refusal])

    def succeed(self, session: Session, request: Request) -> None:
        """Send the row's answer to success. SAY has none: its sender sees what the others see (R1, C36)."""
        session.send(request.command.success.format(*map(clean, request.args)))

    def fail(self, session: Session, request: Request, error: Exception | None) -> None:
        """Send the row's answer to failure; the protocol has no words for the reason (R1, R4, C36)."""
        session.send(request.command.failure.format(*map(clean, request.args)))

    def delivers_itself(self, session: Session, event: Any) -> bool:
        """Stream waiting mail page by page. A message to oneself is only echoed (R31, R34)."""
        if isinstance(event, DirectMessage):
            is_own: bool = event.sender == session.principal.name
            return is_own
        if isinstance(event, MailWaiting):
            session.stream(self._render_mail(self.chat.messages.mail(session, session.principal)))
            return True
        return False

    def leave(self, session: Session) -> None:
        """Log the session out, and drop its password that waits to be hashed."""
        self.chat.logins.session_over(session)

    # ---- handlers: accounts ----

    def register(self, session: Session, request: Request) -> None:
        name, password, *codes = request.args
        self.chat.accounts.register(session, name, password, session.expect_outcome(request), *codes)

    def login(self, session: Session, request: Request) -> None:
        name, password = request.args
        self.chat.logins.login(session, name, password, session.expect_outcome(request))

    def logout(self, session: Session, request: Request) -> None:
        self.chat.users.logout(session)
        self.succeed(session, request)

    def password(self, session: Session, request: Request) -> None:
        old, new = request.args
        self.chat.accounts.change_password(session, old, new, session.expect_outcome(request))

    # ---- handlers: channels ----

    def create(self, session: Session, request: Request) -> None:
        channel, *private = request.args
        self.chat.create(session.principal, channel, session.expect_outcome(request), is_private=bool(private))

    def invite(self, session: Session, request: Request) -> None:
        channel, user = request.args
        self.chat.moderation.invite(session.principal, channel, normalize(user), session.expect_outcome(request))

    def join(self, session: Session, request: Request) -> None:
        then = (lambda: self._send_context(session, request)) if self.settings.history_on_join else None
        self.chat.join(session.principal, request.args[0], session.expect_outcome(request, then))

    def leave_channel(self, session: Session, request: Request) -> None:
        self.chat.leave(session.principal, request.args[0], session.expect_outcome(request))

    def channels(self, session: Session, request: Request) -> None:
        account = session.principal
        if self.settings.channels_reply == "all":
            names = self.chat.channels.listing.shown_to(account)
        else:
            names = sorted(account.channels) if account else []
        session.send_list("RESULT CHANNELS", names, ", ")

    def users(self, session: Session, request: Request) -> None:
        names = self.chat.members(session.principal, request.args[0])
        session.send_list(f"RESULT USERS {request.args[0]}", names, ", ")

    def say(self, session: Session, request: Request) -> None:
        channel, text = request.args
        self.chat.say(session.principal, channel, text, session.expect_outcome(request))

    def say_to_remote_channel(self, session: Session, request: Request) -> None:
        self._say_remotely(session, request, f"RESULT SAY {request.args[0]} 0")

    def send_remotely(self, session: Session, request: Request) -> None:
        self._say_remotely(session, request, request.command.failure)

    def _say_remotely(self, session: Session, request: Request, failed_later: str) -> None:
        channel, text = request.args

        def on_echo(said: bool) -> None:
            if not said:
                session.send(failed_later)
            session.late_answer_given()

        on_sent = partial(session.expect_late_answer, self.settings.federation_seconds)
        self.chat.say_to_remote_channel(session, channel, text, session.expect_outcome(request, on_sent), on_echo)

    def tell(self, session: Session, request: Request) -> None:
        address, text = request.args
        self.chat.messages.send_direct(session.principal, address[1:], text, session.expect_outcome(request), session)

    def history(self, session: Session, request: Request) -> None:
        channel, *words = request.args
        found, pages = self.chat.reading.history(session.principal, channel, **_page_of(words))
        session.stream(self._render_history(session, channel, found, pages))

    def seen(self, session: Session, request: Request) -> None:
        channel, number = request.args
        self.chat.reading.mark(session, channel, _number(number), session.expect_outcome(request))

    def unread(self, session: Session, request: Request) -> None:
        counts = self.chat.reading.unread(session.principal)
        session.send_list("RESULT UNREAD", [f"{channel} {count}" for channel, count in counts], ", ")

    def topic(self, session: Session, request: Request) -> None:
        channel, *texts = request.args
        if not texts:
            session.send(f"RESULT TOPIC {with_topic(channel, self.chat.topics.of(session.principal, channel))}")
            return
        text = "" if texts[0] == NO_TOPIC else texts[0]
        self.chat.topics.set(session.principal, channel, text, session.expect_outcome(request))

    # ---- handlers: who is there ----

    def joined(self, session: Session, request: Request) -> None:
        session.send_list("RESULT JOINED", sorted(session.principal.channels), ", ")

    def who(self, session: Session, request: Request) -> None:
        head = " ".join(("RESULT WHO", *map(clean, request.args)))
        try:
            session.send_list(head, self._present(session.principal, *request.args), ", ")
        except ChatError:
            session.send(f"{head} 0")

    def _present(self, account: Account | None, channel: str = "") -> Sequence[str]:
        if account is None:
            raise ChatError
        return self.chat.present(account, channel) if channel else self.chat.users.sorted_online_names()

    def presence(self, session: Session, request: Request) -> None:
        presence = self.chat.users.presence
        switch = {"on": presence.watch, "off": presence.unwatch}.get(request.args[0])
        if switch is None:
            raise ChatError
        switch(session)
        self.succeed(session, request)

    # ---- handlers: the rest ----

    def set_tags(self, session: Session, request: Request) -> None:
        tags = in_order(request.args)
        if tags is None:
            raise ChatError
        session.dialect = self.with_tags(tags)
        self.chat.users.words_changed(session)
        self.succeed(session, request)

    def help(self, session: Session, request: Request) -> None:
        if not request.args:
            session.send_list("RESULT HELP", [verb for verb in COMMANDS if " " not in verb], ", ")
            return
        rows = [command for key, command in COMMANDS.items() if key.split()[0] == request.args[0]]
        if rows:
            session.send("RESULT HELP " + "; ".join(f"{row.usage}: {row.help}" for row in rows))
        else:
            self.fail(session, request, None)

    def ping(self, session: Session, request: Request) -> None:
        self.succeed(session, request)

    def quit(self, session: Session, request: Request) -> None:
        session.end()

    # ---- pieces ----

    def _send_context(self, session: Session, request: Request) -> None:
        """Send the last messages from before the user joined (setting history-on-join, R37)."""
        with contextlib.suppress(ChatError):  # the JOIN stands all the same
            _found, pages = self.chat.reading.history(session.principal, request.args[0], self.settings.history_on_join)
            session.stream(map(self._render_page, pages))

    def _render_history(
        self, session: Session, channel: str, found: int, pages: Iterator[list[Said]]
    ) -> Iterator[bytes]:
        """Render the answer to HISTORY. It is a failure if the messages cannot be read.

        If messages are removed meanwhile, the connection ends: no client waits for lines that never come (R57).
        """
        try:
            first = next(pages, [])
        except ChatError:
            found, first = 0, []
        yield f"RESULT HISTORY {channel} {found}\n".encode() + self._render_page(first)
        left = found - len(first)
        for page in pages if left else ():
            left -= len(page)
            yield self._render_page(page)
        if left:
            session.end()

    def _render_page(self, page: list[Said]) -> bytes:
        return self.render(ChannelMessages(tuple(page)))

    def _render_mail(self, pages: Iterator[list[Mailed]]) -> Iterator[bytes]:
        with contextlib.suppress(BeingCollected):  # an older session gets it; MailWaiting comes again for the rest
            yield from map(self._render_mail_page, pages)

    def _render_mail_page(self, page: list[Mailed]) -> bytes:
        return b"".join([self.render(DirectMessage(mail.sender, *mail[2:])) for mail in page])

    def with_tags(self, tags: tuple[str, ...]) -> Result:
        """Return this dialect with these tags: one for all sessions that have them, which share what is rendered."""
        if tags not in self._by_tags:
            self._by_tags[tags] = TaggedResult(self, tags)
        return self._by_tags[tags]


class TaggedResult(Result):
    """The dialect `result` for sessions that have asked for tags (R38).

    Args:
        plain: the dialect without tags.
        tags: what each RECV begins with, in the order of TAGS.
    """

    def __init__(self, plain: Result, tags: tuple[str, ...]) -> None:
        super().__init__(plain.chat, plain.settings)
        self.tags = tags
        self.counts = plain.counts
        self._plain = plain

    def with_tags(self, tags: tuple[str, ...]) -> Result:
        """Return the dialect with other tags, or without tags."""
        return self._plain.with_tags(tags)

    def render(self, event: Any) -> bytes:
        """Return the words for an event, with the tags (R39)."""
        return add_tags(self.tags, event, super().render(event))


def _page_of(words: list[str]) -> dict[str, int]:
    """Return which messages HISTORY asks for, as arguments of `Chat.history`.

    Raises:
        ChatError: the words do not say.
    """
    page = {"count": DEFAULT_HISTORY}
    if len(words) > 1 and words[-2] in ("before", "after"):
        page[words[-2]] = _number(words[-1])
        words = words[:-2]
    if words:
        page["count"] = _number(words[0], MAX_HISTORY)
    if len(words) > 1 or not page["count"]:
        raise ChatError
    return page


def _number(word: str, maximum: int = MAX_NUMBER) -> int:
    number = parse_number(word, maximum)
    if number is None:
        raise ChatError
    return number


COMMANDS: Mapping[str, Command] = {
    "REGISTER": Command(  # R6
        Result.register, "REGISTER <user> <password>", "make an account",
        min_args=2, max_args=2, name=True, success="RESULT REGISTER 1", failure="RESULT REGISTER 0",
    ),
    "REGISTER code": Command(  # R53
        Result.register, "REGISTER <user> <password> <code>",
        "make an account with an invitation, where the server asks for one",
        min_args=3, max_args=3, name=True, success="RESULT REGISTER 1", failure="RESULT REGISTER 0",
    ),
    "LOGIN": Command(  # R7
        Result.login, "LOGIN <user> <password>", "log in to an account",
        min_args=2, max_args=2, name=True, success="RESULT LOGIN 1", failure="RESULT LOGIN 0",
    ),
    "LOGOUT": Command(  # R8
        Result.logout, "LOGOUT", "log out; you stay in your channels",
        needs_login=True, success="RESULT LOGOUT 1", failure="RESULT LOGOUT 0",
    ),
    "PASSWORD": Command(  # R9
        Result.password, "PASSWORD <old> <new>", "set a new password",
        min_args=2, max_args=2, needs_login=True, success="RESULT PASSWORD 1", failure="RESULT PASSWORD 0",
    ),
    "CHANNELS": Command(Result.channels, "CHANNELS", "list the channels"),  # R10
    "CREATE": Command(  # R11
        Result.create, "CREATE <channel>", "make a channel; JOIN it to be in it",
        min_args=1, max_args=1, name=True, needs_login=True,
        success="RESULT CREATE {0} 1", failure="RESULT CREATE {0} 0",
    ),
    "CREATE private": Command(  # R54
        Result.create, "CREATE <channel> private", "make a channel for invited users, which only its members see",
        min_args=2, max_args=2, name=True, needs_login=True,
        success="RESULT CREATE {0} 1", failure="RESULT CREATE {0} 0",
    ),
    "INVITE": Command(  # R55
        Result.invite, "INVITE <channel> <user>", "let a user join a channel once, though it takes invited users alone",
        min_args=2, max_args=2, name=True, needs_login=True,
        success="RESULT INVITE {0} 1", failure="RESULT INVITE {0} 0",
    ),
    "JOIN": Command(  # R12
        Result.join, "JOIN <channel>", "enter a channel; you stay in it until you LEAVE",
        min_args=1, max_args=1, name=True, needs_login=True, success="RESULT JOIN {0} 1", failure="RESULT JOIN {0} 0",
    ),
    "LEAVE": Command(  # R13
        Result.leave_channel, "LEAVE <channel>", "leave a channel",
        min_args=1, max_args=1, name=True, needs_login=True, success="RESULT LEAVE {0} 1", failure="RESULT LEAVE {0} 0",
    ),
    "USERS": Command(  # R14
        Result.users, "USERS <channel>", "list who is in a channel that you are in",
        min_args=1, max_args=1, name=True, needs_login=True, failure="RESULT USERS {0} 0",
    ),
    "JOINED": Command(  # R40
        Result.joined, "JOINED", "list the channels that you are in", needs_login=True, failure="RESULT JOINED 0"
    ),
    "WHO": Command(  # R41
        Result.who, "WHO [channel]", "list who is logged in, here or in a channel that you are in",
        max_args=1, name=True,
    ),
    "PRESENCE": Command(  # R42
        Result.presence, "PRESENCE on|off", "be told, or not, who comes into your channels and who leaves",
        min_args=1, max_args=1, needs_login=True, success="RESULT PRESENCE 1", failure="RESULT PRESENCE 0",
    ),
    "TOPIC": Command(  # R44
        Result.topic, "TOPIC <channel> [text]", f"show a channel's topic, or set it; {NO_TOPIC} clears it",
        min_args=1, max_args=2, name=True, text=True, needs_login=True,
        success="RESULT TOPIC {0} 1", failure="RESULT TOPIC {0} 0",
    ),
    "SAY": Command(  # R15
        Result.say, "SAY <channel> <message>", "say something to everyone in a channel that you are in",
        min_args=2, max_args=2, name=True, text=True, needs_login=True, pipelined=True, failure="RESULT SAY 0",
    ),
    "SAY @": Command(  # R17
        Result.tell, "SAY @<user> <message>", "say something to one user; it waits for one who is away",
        min_args=2, max_args=2, name=True, text=True, needs_login=True, failure="RESULT SAY 0",
    ),
    "SAY :": Command(  # R18; its outcome comes at once, not from the journal, so it is not pipelined
        Result.say_to_remote_channel, "SAY <channel>:<host> <message>", "say something in a channel of another server",
        min_args=2, max_args=2, name=True, text=True, needs_login=True, failure="RESULT SAY 0",
    ),
    "SEND": Command(  # R16
        Result.say, "SEND <channel> <message>", "the same as SAY",
        min_args=2, max_args=2, name=True, text=True, needs_login=True, pipelined=True, failure="RESULT SEND ERROR",
    ),
    "SEND @": Command(  # R17
        Result.tell, "SEND @<user> <message>", "the same as SAY",
        min_args=2, max_args=2, name=True, text=True, needs_login=True, failure="RESULT SEND ERROR",
    ),
    "SEND :": Command(  # R18
        Result.send_remotely, "SEND <channel>:<host> <message>", "the same as SAY",
        min_args=2, max_args=2, name=True, text=True, needs_login=True, failure="RESULT SEND ERROR",
    ),
    "HISTORY": Command(  # R19, R46
        Result.history, "HISTORY <channel> [count] [before|after <id>]",
        f"repeat the last {DEFAULT_HISTORY} (or count) messages, or those next to one",
        min_args=1, max_args=4, name=True, needs_login=True, failure="RESULT HISTORY {0} 0",
    ),
    "SEEN": Command(  # R47
        Result.seen, "SEEN <channel> <id>", "note that you have read a channel up to this message",
        min_args=2, max_args=2, name=True, needs_login=True,
        success="RESULT SEEN {0} 1", failure="RESULT SEEN {0} 0",
    ),
    "UNREAD": Command(  # R48
        Result.unread, "UNREAD", "count the messages that you have not read",
        needs_login=True, failure="RESULT UNREAD 0",
    ),
    "TAGS": Command(  # R38
        Result.set_tags, "TAGS [name...]", f"have RECV begin with these tags ({', '.join(TAGS)}), or none",
        max_args=MAX_LINE, success="RESULT TAGS 1", failure="RESULT TAGS 0",
    ),
    "HELP": Command(  # R20
        Result.help, "HELP [command]", "name the commands, or explain one",
        max_args=1, failure="RESULT HELP 0",
    ),
    "PING": Command(Result.ping, "PING", "ask whether the server is there", success="RESULT PING 1"),  # R21
    "QUIT": Command(Result.quit, "QUIT", "close the connection"),  # R22
}  # fmt: skip
