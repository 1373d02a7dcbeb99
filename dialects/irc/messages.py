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
from dialects.irc.wire import ACTION, MAX_BODY, action, ctcp_of, message, plain, size_of, word
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
    targets, text = request.args
    ctcp = ctcp_of(text)
    if ctcp is not None and ctcp[0] != ACTION:
        return  # other CTCP, and DCC, reach nobody (I25)
    kind, text = (ACT, ctcp[1]) if ctcp is not None else (SAY, text)
    _send(irc, client, request, targets, kind, text)


def notice(irc: Irc, client: Client, request: Request) -> None:
    """NOTICE <target>[,<target>...] <text>: it is never answered."""
    if len(request.args) == 2 and ctcp_of(request.args[1]) is None:
        _send(irc, client, request, request.args[0], NOTICE, request.args[1])


def tagmsg(irc: Irc, client: Client, request: Request) -> None:
    """TAGMSG <target>[,<target>...]: client tags alone."""
    tags, refuse = client_tags(request), _Refusals(irc, client, is_quiet=False)
    for target in _targets(request.args[0], refuse, "TAGMSG") if tags else ():
        try:
            tell_tags(irc, client, audience_of(irc, client, target), tags)
        except NoSuchUser as error:
            refuse.user(target, error)
        except ChatError as error:
            refuse.channel(target, error)


def _targets(words: str, refuse: _Refusals, verb: str) -> Sequence[str]:
    """Return the targets of a message; none where there are too many, or none, which is answered."""
    if words and "," not in words:
        return (words,)
    targets = [target for target in words.split(",") if target]
    if len(targets) > MAX_TARGETS:
        refuse.reply(numerics.TOOMANYTARGETS, word(words))
        return ()
    if not targets:
        refuse.reply(numerics.NEEDMOREPARAMS, verb)
    return targets


def _send(irc: Irc, client: Client, request: Request, targets: str, kind: str, text: str) -> None:
    client.active = irc.server.now()
    refuse = _Refusals(irc, client, is_quiet=kind == NOTICE)
    text = plain(text)
    each = _targets(targets, refuse, "PRIVMSG")
    if each and not text.strip():
        irc.refuse_part(client, request, lambda: refuse.reply(numerics.NOTEXTTOSEND))
        return
    for target in each:
        if _fits(irc, client, target, kind, text):
            _send_to(irc, client, request, target, kind, text, refuse)
        else:
            irc.refuse_part(client, request, lambda: refuse.reply(numerics.INPUTTOOLONG))


def _fits(irc: Irc, client: Client, target: str, kind: str, text: str) -> bool:
    """Tell whether a message fits into one line at its receivers (I2)."""
    if size_of(f"{text}{target}{client.shown}") + ROOM_FOR_REST <= MAX_BODY:  # nearly always
        return True
    line = message(irc.people.prefix(client.nick), "PRIVMSG", target, text=action(text) if kind == ACT else text)
    return len(line.encode()) <= MAX_BODY


class _Refusals:
    """Answers messages that were refused, except notices, which are never answered."""

    def __init__(self, irc: Irc, client: Client, *, is_quiet: bool) -> None:
        self._irc = irc
        self._client = client
        self._is_quiet = is_quiet

    def reply(self, numeric: numerics.Numeric, *words: str, text: str | None = None) -> None:
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


def _send_to(irc: Irc, client: Client, request: Request, target: str, kind: str, text: str, refuse: _Refusals) -> None:
    if is_status(target):
        try:
            tell_rank(irc, client, audience_of(irc, client, target), kind, text, client_tags(request))
        except ChatError as error:
            refuse.channel(target, error)
    elif target.startswith(CHANNEL):
        _send_to_channel(irc, client, request, target, kind, text, refuse)
    elif target.lower() in SERVICES:
        refuse.reply(numerics.NOSUCHNICK, word(target))
        if kind != NOTICE:
            client.notice(HOW_TO_LOG_IN)
    else:
        _send_to_user(irc, client, request, target, kind, text, refuse)


def _send_to_channel(
    irc: Irc, client: Client, request: Request, shown: str, kind: str, text: str, refuse: _Refusals
) -> None:
    def decided(error: Exception | None) -> None:
        if error is not None:
            refuse.channel(shown, error)
            if echoed is not None:
                echoed.outstanding -= 1  # there is no echo

    name = irc.people.channel_name(shown)
    echoed = client.answers if client.has("echo-message") else None
    if name is None:
        irc.refuse_part(client, request, lambda: refuse.channel(shown, NoSuchChannel()))
    elif HOST_OF_CHANNEL in name:
        _send_to_remote_channel(irc, client, request, name, in_words(text, kind), refuse)
    else:
        if echoed is not None:
            echoed.outstanding += 1
        number = irc.chat.say(client.session.principal, name, text, irc.outcome(client, request, decided), kind)
        channel = irc.chat.channels.local.get(name)
        if channel is not None and name not in irc.channels_of(client):
            irc.chat.channels.admission.expect_outsider(channel, number)
        irc.in_flight.add(number, Sent(client, client_tags(request), echoed), irc.chat.reading.last_published)


def _send_to_remote_channel(
    irc: Irc, client: Client, request: Request, name: str, text: str, refuse: _Refusals
) -> None:
    """Say something in a channel of another server. The answers to a label wait for its echo or refusal."""
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
            refuse.channel(shown, NoSuchChannel())
        else:
            refuse.not_sent(shown, AWAY if isinstance(error, NoSuchChannel) else _why(error))

    def settled(said: bool) -> None:
        if not said:
            _in_answer(irc, client, answers, lambda: refuse.not_sent(shown, NOT_TAKEN))
        elif answers is not None:
            _await_echo(irc, client, answers)
        client.session.late_answer_given()

    done = irc.outcome(client, request, decided)
    irc.chat.say_to_remote_channel(client.session, name, text, done, settled)


AWAY = "its server cannot be reached"
NOT_TAKEN = "its server has not taken it"


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


def _send_to_user(
    irc: Irc, client: Client, request: Request, shown: str, kind: str, text: str, refuse: _Refusals
) -> None:
    def decided(error: Exception | None) -> None:
        echo, client.echo = client.echo, ""
        if error is not None:
            refuse.user(shown, error)
            return
        if echo:
            client.send(echo)
        if name is not None and irc.people.is_online(name) and (away := profile_of(irc, name).away):
            refuse.reply(numerics.AWAY, irc.people.nick(name), text=away)

    name = irc.people.find(shown)
    if name is None:
        refuse.user(shown, NoSuchUser())
    else:
        done = irc.outcome(client, request, decided)
        me, room = client.session.principal, irc.people.room_of(shown)
        with irc.passing_tags(client_tags(request)):
            irc.chat.messages.send_direct(me, name, text, done, client.session, kind, room)
