"""MODE: the modes of channels, with ranks and masks, and those of the client itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from commands import Request
from dialects.irc import numerics
from dialects.irc.client import Client
from dialects.irc.core import Irc
from dialects.irc.mode_words import NO_KEY, mode_line, mode_words
from dialects.irc.names import CHANNEL
from dialects.irc.numerics import Numeric
from dialects.irc.status import user_mode
from dialects.irc.wire import word
from domain.errors import (
    HasPort,
    LimitReached,
    NoSuchChannel,
    NotAMember,
    NotAMode,
    NotOperator,
    StoreUnavailable,
    Unchanged,
)
from domain.events import ModesChanged
from domain.masks import completed
from domain.modes import (
    BANNED,
    EXCEPTED,
    FLAGS,
    INVITED,
    KEY,
    LIMIT,
    MASK_LISTS,
    OPERATOR,
    VOICE,
    WITH_VALUE,
    Switch,
)
from domain.state import Channel

MAX_SWITCHES = 12
"""Modes that one MODE can switch; the rest is dropped (005 says so)."""

KNOWN = FLAGS | WITH_VALUE | {OPERATOR, VOICE, *MASK_LISTS}


class Listing(NamedTuple):
    """The numerics with which a list of masks is shown."""

    entry: Numeric
    end: Numeric


LISTINGS: Mapping[str, Listing] = {
    BANNED: Listing(numerics.BANLIST, numerics.ENDOFBANLIST),
    EXCEPTED: Listing(numerics.EXCEPTLIST, numerics.ENDOFEXCEPTLIST),
    INVITED: Listing(numerics.INVEXLIST, numerics.ENDOFINVEXLIST),
}


def mode(irc: Irc, client: Client, request: Request) -> None:
    """MODE <target> [<modes> [<word>...]]."""
    if request.args[0].startswith(CHANNEL):
        _channel_mode(irc, client, request)
    else:
        user_mode(irc, client, request)


def _channel_mode(irc: Irc, client: Client, request: Request) -> None:
    shown, *words = request.args
    channel = irc.local_channel(client, shown)
    if channel is None:
        return
    if not words:
        _show(irc, client, channel)
    else:
        _change(irc, client, request, channel, words)


def _show(irc: Irc, client: Client, channel: Channel) -> None:
    shown = irc.people.channel(channel.name)
    client.reply(numerics.CHANNELMODEIS, shown, *mode_words(channel, shows_key=client.nick in channel.members))
    client.reply(numerics.CREATIONTIME, shown, str(int(channel.created)))


# ---- changes ----


class ModeRequest(NamedTuple):
    """The parsed words of a MODE about a channel.

    Attributes:
        switches: the modes to be switched, with names of the domain.
        lists: the lists of masks that are to be shown.
        unknown_modes: letters that are no modes.
        unknown_nicks: words that name no user.
    """

    switches: list[Switch]
    lists: list[str]
    unknown_modes: list[str]
    unknown_nicks: list[str]


def parse_switches(words: Sequence[str], find: Callable[[str], str | None]) -> ModeRequest:
    """Parse the words of a MODE about a channel.

    Args:
        words: the modes, then their words.
        find: returns the name of the user whom a nick means.
    """
    letters, values = words[0], iter(words[1:])
    asked, is_on = ModeRequest([], [], [], []), True
    for letter in letters:
        if letter in "+-":
            is_on = letter == "+"
        elif letter not in KNOWN:
            asked.unknown_modes.append(letter)
        elif len(asked.switches) < MAX_SWITCHES:
            _add_switch(asked, letter, values, find, is_on=is_on)
    return asked


def _add_switch(
    asked: ModeRequest, letter: str, values: Iterator[str], find: Callable[[str], str | None], *, is_on: bool
) -> None:
    takes_word = letter not in FLAGS and not (letter == LIMIT and not is_on)
    value = next(values, "") if takes_word else ""
    if letter in MASK_LISTS and not value:
        asked.lists.append(letter)
    elif letter in (OPERATOR, VOICE):
        name = find(value) if value else None
        if name is not None:
            asked.switches.append(Switch(letter, is_on, name))
        elif value:
            asked.unknown_nicks.append(value)
    elif letter in MASK_LISTS:
        asked.switches.append(Switch(letter, is_on, completed(value)))
    elif letter == LIMIT and value.isascii() and value.isdigit():
        asked.switches.append(Switch(letter, is_on, value.lstrip("0") or "0"))
    elif value or not takes_word or (letter == KEY and not is_on):
        asked.switches.append(Switch(letter, is_on, "" if letter == KEY and not is_on else value))


def _change(irc: Irc, client: Client, request: Request, channel: Channel, words: Sequence[str]) -> None:
    asked = parse_switches(words, lambda nick: irc.people.find_in(nick, channel.name))
    for letter in asked.unknown_modes:
        client.reply(numerics.UNKNOWNMODE, word(letter))
    for nick in asked.unknown_nicks:
        client.reply(numerics.NOSUCHNICK, word(nick))
    for kind in dict.fromkeys(asked.lists):
        _show_masks(irc, client, channel, kind)
    if not asked.switches:
        return

    answers: list[str] = []

    def decided(outcomes: Sequence[Exception | None]) -> None:
        answers.extend(_answers(irc, client, channel, list(zip(asked.switches, outcomes, strict=True))))
        finish(None)

    def answer(_error: Exception | None) -> None:
        client.pending.discard(("MODE", channel.name))
        for line in answers:
            client.send(line)

    client.pending.add(("MODE", channel.name))
    finish = irc.outcome(client, request, answer)
    irc.chat.moderation.switch(client.nick, channel.name, asked.switches, decided)


def _answers(
    irc: Irc, client: Client, channel: Channel, outcomes: Sequence[tuple[Switch, Exception | None]]
) -> Iterator[str]:
    """Return the answer to the switches of a request: one line for all that were made, one for each kind of refusal."""
    made = tuple(switch for switch, error in outcomes if error is None)
    if made:
        yield mode_line(irc, ModesChanged(channel.name, client.nick, made))
    refused = {_refusal(irc, client, channel, switch, error) for switch, error in outcomes if error is not None}
    yield from sorted(refused - {""})


def _refusal(irc: Irc, client: Client, channel: Channel, switch: Switch, error: Exception) -> str:
    """Return the answer to a switch that was refused; "" for none."""
    shown = irc.people.channel(channel.name)
    if isinstance(error, Unchanged):
        return ""
    if isinstance(error, NotOperator):
        return client.line(numerics.CHANOPRIVSNEEDED, shown)
    if isinstance(error, NotAMember) and switch.mode in (OPERATOR, VOICE) and irc.may_operate(client, channel):
        return client.line(numerics.USERNOTINCHANNEL, irc.people.nick(switch.value), shown)
    if isinstance(error, NotAMember | NoSuchChannel):
        return client.line(numerics.NOTONCHANNEL, shown)
    text = REASONS.get(type(error), "This mode cannot be set")
    value = NO_KEY if switch.mode == KEY else word(switch.value)
    return client.line(numerics.INVALIDMODEPARAM, shown, switch.mode, value, text=text)


REASONS: Mapping[type[Exception], str] = {
    HasPort: "A channel with a port of its own cannot have this mode",
    LimitReached: "The list is full",
    NotAMode: "Invalid value",
    StoreUnavailable: "It could not be kept; try again later",
}


def _show_masks(irc: Irc, client: Client, channel: Channel, kind: str) -> None:
    shown, listing = irc.people.channel(channel.name), LISTINGS[kind]
    for mask in channel.modes.list_of(kind).values() if channel.modes is not None else ():
        client.reply(listing.entry, shown, mask.mask, irc.people.nick(mask.by) or irc.server.name, str(int(mask.at)))
    client.reply(listing.end, shown)
