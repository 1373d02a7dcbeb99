"""PRIVMSG and NOTICE, to channels and to users (I23 to I27)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Answers, Client
from dialects.irc.core import Irc
from dialects.irc.in_flight import Sent
from dialects.irc.live import MAX_TARGETS, audience_of, client_tags, is_status, tell_rank, tell_tags
from dialects.irc.names import BAR, CHANNEL
from dialects.irc.profiles import profile_of
from dialects.irc.wire import ACTION, CTCP, MAX_BODY, action, ctcp_of, message, plain, size_of, word
from domain.changes import ACT, NOTICE, SAY, in_words
from domain.errors import (
    CannotLeaveMail,
    ChatError,
    KeptOut,
    LimitReached,
    NoSuchChannel,
    NoSuchUser,
    NotAMember,
    NotVoiced,
    StillMuted,
    StoreUnavailable,
    TooLong,
)
from domain.names import HOST_OF_CHANNEL, SERVICES

_NOT_PLAIN = frozenset((",", HOST_OF_CHANNEL, BAR))

ROOM_FOR_REST = 100
"""Bytes that are surely enough for the rest of a message's line: user, host, verb, and what stands for an act."""

HOW_TO_LOG_IN = "There are no services here: log in with SASL, or with PASS <account>:<password>."


def is_channel_here(target: str) -> bool:
    """Tell whether the target of a message is one channel, of this server, in the plain form of its name."""
    return target.startswith(CHANNEL) and not _NOT_PLAIN.intersection(target)


def privmsg(irc: Irc, client: Client, request: Request) -> None:
    """PRIVMSG <target>[,<target>...] <text>."""
    text = request.args[1]
    ctcp = ctcp_of(text) if text.startswith(CTCP) else None
    if ctcp is None:
        Submission(irc, client, request, SAY, text).send()
    elif ctcp[0] == ACTION:  # other CTCP, and DCC, reach nobody (I25)
        Submission(irc, client, request, ACT, ctcp[1]).send()


def notice(irc: Irc, client: Client, request: Request) -> None:
    """NOTICE <target>[,<target>...] <text>: it is never answered."""
    if len(request.args) == 2 and ctcp_of(request.args[1]) is None:
        Submission(irc, client, request, NOTICE, request.args[1]).send()


def tagmsg(irc: Irc, client: Client, request: Request) -> None:
    """TAGMSG <target>[,<target>...]: client tags alone."""
    tags, refuse = client_tags(request), Refusals(client, is_quiet=False)
    for target in _targets(request.args[0], refuse, "TAGMSG") if tags else ():
        try:
            tell_tags(irc, client, audience_of(irc, client, target), tags)
        except NoSuchUser as error:
            refuse.user(target, error)
        except ChatError as error:
            refuse.channel(target, error)


def _targets(words: str, refuse: Refusals, verb: str) -> Sequence[str]:
    """Return the targets of a message; none where there are too many, or none, which is answered."""
    targets = [target for target in words.split(",") if target]
    if len(targets) > MAX_TARGETS:
        refuse.reply(numerics.TOOMANYTARGETS, word(words))
        return ()
    if not targets:
        refuse.reply(numerics.NEEDMOREPARAMS, verb)
    return targets


class Refusals:
    """Answers messages that were refused, except notices, which are never answered.

    Args:
        client: the sender.
        is_quiet: nothing is answered.
    """

    def __init__(self, client: Client, *, is_quiet: bool) -> None:
        self._client = client
        self._is_quiet = is_quiet

    def reply(self, numeric: numerics.Numeric, *words: str, text: str | None = None) -> None:
        """Answer with a numeric, whose text is the last word unless another is given."""
        if not self._is_quiet:
            self._client.reply(numeric, *words, text=text)

    def channel(self, shown: str, error: Exception) -> None:
        """Answer a message to a channel."""
        if isinstance(error, NoSuchChannel):
            self.reply(numerics.NOSUCHCHANNEL, word(shown))
        else:
            self.not_sent(shown, _why(error))

    def not_sent(self, shown: str, why: str) -> None:
        """Answer a message that did not reach its channel."""
        self.reply(numerics.CANNOTSENDTOCHAN, word(shown), text=f"Cannot send to channel: {why}")

    def user(self, shown: str, error: Exception) -> None:
        """Answer a message to a user."""
        if isinstance(error, NoSuchUser):
            self.reply(numerics.NOSUCHNICK, word(shown))
        else:
            self.reply(numerics.CANNOTSENDTOUSER, word(shown), text=f"Cannot send to user: {_why(error)}")


def _why(error: Exception) -> str:
    if isinstance(error, StillMuted):
        return f"you are muted for {error.seconds} seconds"
    return REASONS.get(type(error), "refused")


REASONS: dict[type[Exception], str] = {
    NotAMember: "you are not in it",
    KeptOut: "you are banned (+b)",
    NotVoiced: "only voiced users may speak (+m)",
    CannotLeaveMail: "not here, and guests cannot leave messages",
    LimitReached: "the mailbox is full",
    TooLong: "too long for another server",
    StoreUnavailable: "it could not be kept; try again later",
}

AWAY = "its server cannot be reached"
NOT_TAKEN = "its server has not taken it"


class Submission:
    """A message that a client has submitted. It is sent to each of its targets, or refused there.

    Args:
        irc: the dialect of its client.
        client: the sender.
        request: with the targets and the tags.
        kind: SAY, ACT or NOTICE.
        text: as it was sent.
    """

    __slots__ = ("_client", "_irc", "_kind", "_request", "_text")

    def __init__(self, irc: Irc, client: Client, request: Request, kind: str, text: str) -> None:
        self._irc = irc
        self._client = client
        self._request = request
        self._kind = kind
        self._text = plain(text)

    @property
    def _refuse(self) -> Refusals:
        return Refusals(self._client, is_quiet=self._kind == NOTICE)

    def send(self) -> None:
        """Send it to the targets of the request."""
        self._client.active = self._irc.chat.time_of_turn()
        target = self._request.args[0]
        if self._request.command.pipelined:  # nearly always: to one channel of this server
            if self._has_text() and self._fits(target):
                self._send_to_channel(target)
            return
        each = _targets(target, self._refuse, "PRIVMSG")
        if each and self._has_text():
            for target in each:
                if self._fits(target):
                    self._send_to(target)

    def _has_text(self) -> bool:
        """Tell whether there is a text; answer if there is none."""
        if self._text and not self._text.isspace():
            return True
        self._refuse_part(numerics.NOTEXTTOSEND)
        return False

    def _fits(self, target: str) -> bool:
        """Tell whether it fits into one line at its receivers (I2); answer if it does not."""
        size = size_of(f"{self._text}{target}{self._client.shown}")
        if size + ROOM_FOR_REST <= MAX_BODY or size_of(self._line(target)) <= MAX_BODY:
            return True
        self._refuse_part(numerics.INPUTTOOLONG)
        return False

    def _line(self, target: str) -> str:
        text = action(self._text) if self._kind == ACT else self._text
        return message(self._irc.people.prefix(self._client.nick), "PRIVMSG", target, text=text)

    def _refuse_part(self, numeric: numerics.Numeric) -> None:
        self._irc.refuse_part(self._client, self._request, lambda: self._refuse.reply(numeric))

    def _send_to(self, target: str) -> None:
        if is_status(target):
            self._send_to_rank(target)
        elif target.startswith(CHANNEL):
            self._send_to_channel(target)
        elif target.lower() in SERVICES:
            self._refuse.reply(numerics.NOSUCHNICK, word(target))
            if self._kind != NOTICE:
                self._client.notice(HOW_TO_LOG_IN)
        else:
            self._send_to_user(target)

    def _send_to_rank(self, target: str) -> None:
        irc, client = self._irc, self._client
        try:
            tell_rank(irc, client, audience_of(irc, client, target), self._kind, self._text, client_tags(self._request))
        except ChatError as error:
            self._refuse.channel(target, error)

    def _send_to_channel(self, shown: str) -> None:
        irc = self._irc
        name = irc.people.channel_name(shown)
        if name is None:
            irc.refuse_part(self._client, self._request, lambda: self._refuse.channel(shown, NoSuchChannel()))
        elif HOST_OF_CHANNEL in name:
            self._send_to_remote_channel(name)
        else:
            self._send_to_channel_here(name, shown)

    def _send_to_channel_here(self, name: str, shown: str) -> None:
        irc, client = self._irc, self._client
        answers = client.answers
        echoed = answers if answers is not None and client.has("echo-message") else None

        def refused(error: Exception) -> None:
            self._refuse.channel(shown, error)
            if echoed is not None:
                echoed.outstanding -= 1  # there is no echo

        if echoed is not None:
            echoed.outstanding += 1
        done = irc.outcome_if_refused(client, self._request, refused)
        number = irc.chat.say(client.session.principal, name, self._text, done, self._kind)
        if name not in irc.channels_of(client) and (channel := irc.chat.channels.local.get(name)) is not None:
            irc.chat.channels.admission.expect_outsider(channel, number)
        tags = client_tags(self._request)
        if tags or echoed is not None:
            irc.in_flight.add(number, Sent(client, tags, echoed), irc.chat.reading.last_published)

    def _send_to_remote_channel(self, name: str) -> None:
        """Say something in a channel of another server. The answers to a label wait for its echo or refusal."""
        irc, client = self._irc, self._client
        answers, shown = client.answers, irc.people.channel(name)
        if answers is not None:
            answers.outstanding += 1

        def decided(error: Exception | None) -> None:
            if error is None:
                client.session.expect_late_answer(irc.settings.federation_seconds)
                return
            if answers is not None:
                answers.outstanding -= 1
            if not irc.exists(name):
                self._refuse.channel(shown, NoSuchChannel())
            else:
                self._refuse.not_sent(shown, AWAY if isinstance(error, NoSuchChannel) else _why(error))

        def settled(said: bool) -> None:
            if not said:
                _in_answer(irc, client, answers, lambda: self._refuse.not_sent(shown, NOT_TAKEN))
            elif answers is not None:
                _await_echo(irc, client, answers)
            client.session.late_answer_given()

        done = irc.outcome(client, self._request, decided)
        irc.chat.say_to_remote_channel(client.session, name, in_words(self._text, self._kind), done, settled)

    def _send_to_user(self, shown: str) -> None:
        irc, client = self._irc, self._client
        name = irc.people.find(shown)
        if name is None:
            self._refuse.user(shown, NoSuchUser())
            return

        def decided(error: Exception | None) -> None:
            echo, client.echo = client.echo, ""
            if error is not None:
                self._refuse.user(shown, error)
                return
            if echo:
                client.send(echo)
            if irc.people.is_online(name) and (away := profile_of(irc, name).away):
                self._refuse.reply(numerics.AWAY, irc.people.nick(name), text=away)

        done = irc.outcome(client, self._request, decided)
        me, room = client.session.principal, irc.people.room_of(shown)
        with irc.passing_tags(client_tags(self._request)):
            irc.chat.messages.send_direct(me, name, self._text, done, client.session, self._kind, room)


def _in_answer(irc: Irc, client: Client, answers: Answers | None, run: Callable[[], object]) -> None:
    """Answer later, with the label of the request if it had one."""
    if answers is None:
        run()
    else:
        irc.gather(client, answers, run)


def _await_echo(irc: Irc, client: Client, answers: Answers) -> None:
    """Let the echo of this turn be the answer to a label, if the client wants echoes; else nothing is the answer."""
    if not client.has("echo-message"):
        irc.gather(client, answers, lambda: None)
        return
    sent = Sent(client, answers=answers)
    irc.in_flight.expect_echo(sent)

    def over() -> None:
        if irc.in_flight.echo_over(sent):
            irc.gather(client, answers, lambda: None)

    client.session.transport.call_soon(over)
