"""What is new for a user of `result`. Pure.

- unread messages after a login
- what a channel shows when it is opened
- who is online
- the read marker

An older server may lack `WHO`; it is then asked once only (`State.lacking`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ui.dialects.base import mentions
from ui.dialects.result_answers import render_message, render_new, render_topic
from ui.dialects.result_channels import Channel, HistoryRun, Message
from ui.dialects.result_commands import HOST_OF_CHANNEL, MESSAGE_VERBS
from ui.dialects.result_state import State
from ui.rendering import Fragments, Line, bad, highlighted, lines_of, render_note

NO_CHANNELS_YET = "You are in no channel yet: /channels lists them, /join <channel> enters one."


class News:
    """Asks what is new, and shows it.

    Args:
        state: of the conversation.
        wanted: channels to enter after the login.
    """

    def __init__(self, state: State, wanted: Sequence[str]) -> None:
        self._state = state
        self._wanted = wanted
        self._run: HistoryRun | None = None
        self._counting = False
        """Who is online is being asked for."""
        self._count_again = False

    def lost(self) -> None:
        """The connection is lost, with every answer that was due."""
        self._run, self._counting, self._count_again = None, False, False

    # ---- after a login ----

    def logged_in(self) -> None:
        """Ask what is new."""
        self._state.joined.log_in()
        self._state.ask("PRESENCE on")
        for name in self._wanted:
            self._state.ask(f"JOIN {name}", partial(self._wanted_entered, name))
        self._state.ask("JOINED", self._joined_listed)
        self._state.ask("UNREAD", self._unread_listed)

    def _wanted_entered(self, name: str, words: str | None) -> list[Line]:
        if words and words.endswith(" 1"):
            self._state.entered(name)
        return []

    def _joined_listed(self, words: str | None) -> list[Line]:
        if words is None:
            return []
        self._state.joined.listed(words.split(", ") if words else [])
        self._state.channels.add(*(channel.name for channel in self._state.joined))
        missing = [name for name in self._wanted if name not in self._state.joined]
        return [line for name in missing for line in lines_of(bad("Cannot enter {0}; /join {0} tells why.")(name))]

    def _unread_listed(self, words: str | None) -> list[Line]:
        """The answer to UNREAD ends the questions after a login: list the channels, and show the current one."""
        state = self._state
        for entry in (words or "").split(", "):
            name, _, count = entry.rpartition(" ")
            channel = state.joined.get(name)
            if channel and count.isdecimal():
                channel.unread = channel.missed = int(count)
        if not state.joined.known:
            return []
        if not (state.here or state.current.startswith("@")):
            state.current = self._first_channel()
        shown = lines_of(self._render_channels())
        if state.here:
            self.open(state.here)
        return shown

    def _first_channel(self) -> str:
        """Choose the channel to begin with: one that is wanted, or else one with something new."""
        names = [channel.name for channel in self._state.joined]
        wanted = [name for name in self._wanted if name in names]
        new = [channel.name for channel in self._state.joined if channel.unread]
        return next(iter((*wanted, *new, *names)), "")

    def _render_channels(self) -> Fragments:
        channels = [
            f"{number} {channel.name}" + (f" ({channel.unread} new)" if channel.unread else "")
            for number, channel in enumerate(self._state.joined, 1)
        ]
        return render_note(f"Your channels: {', '.join(channels)}" if channels else NO_CHANNELS_YET)

    # ---- a channel is opened ----

    def open(self, channel: Channel) -> None:
        """Ask for what was said in a channel that has become current, as far as it is not on the screen."""
        channel.unread = 0
        self.count_online()
        if channel.opened or not self._state.joined.known or HOST_OF_CHANNEL in channel.name:
            return
        channel.opened, channel.held = True, []
        if not channel.gap:
            self._state.ask(f"TOPIC {channel.name}", _topic_told)
        self._state.ask(channel.history_request(), partial(self._history_begins, channel))

    def repeat(self, channel: str, count: int) -> None:
        """The user has asked for a history, and so many messages of it follow."""
        self._run = HistoryRun(channel, count) if count else None

    def _history_begins(self, channel: Channel, words: str | None) -> list[Line]:
        count = (words or "").rpartition(" ")[2]
        number = int(count) if count.isdecimal() else 0
        if not number:
            return _history_ended(channel)
        self._run = HistoryRun(channel.name, number, channel.missed, automatic=True)
        return []

    def count_online(self) -> None:
        """Ask who is online in the current channel; one question at a time."""
        if not (self._state.here and self._state.user) or "WHO" in self._state.lacking:
            return
        if self._counting:
            self._count_again = True
            return
        self._counting = True
        self._state.ask(f"WHO {self._state.current}", self._online_counted)

    def _online_counted(self, words: str | None) -> list[Line]:
        self._counting = False
        name, _, names = (words or "").partition(" ")
        channel = self._state.joined.get(name)
        if channel and names != "0":
            channel.online = names.split(", ") if names else []
            self._state.users.add(*channel.online)
        if self._count_again:
            self._count_again = False
            self.count_online()
        return []

    # ---- messages ----

    def message(self, message: Message) -> list[Line]:
        """Take a message; return what is shown of it now."""
        state = self._state
        state.users.add(message.sender)
        if self._run and message.target == self._run.channel:
            return self._repeated(self._run, message)
        own = message.sender == state.user
        if own:
            state.requests.answered(MESSAGE_VERBS, message.target)
        state.speakers.add(message.sender)
        if message.target.startswith("@"):
            state.users.add(message.target[1:])
            return _render(message, alert=bool(state.user) and not own)
        channel = state.entered(message.target)
        shown = _render(message, alert=not own and mentions(message.text, state.user))
        return self._said(message, channel, shown, own) if channel else shown

    def _said(self, message: Message, channel: Channel, shown: list[Line], own: bool) -> list[Line]:
        channel.speakers.add(message.sender)
        if channel.held is not None:
            channel.held.append((message.number, shown))
            return []
        channel.shown(message.number)
        if channel.name != self._state.current and not own:
            channel.unread += 1
        return shown

    def _repeated(self, run: HistoryRun, message: Message) -> list[Line]:
        """Take a message of a history. What is on the screen already is not shown again."""
        channel = self._state.joined.get(run.channel)
        again = bool(run.automatic and channel and channel.has_shown(message.number))
        new = run.take(shown=again)
        if run.is_over:
            self._run = None
        if not (run.automatic and channel):
            return self._render_repeated(message)
        shown = [] if again else [*(lines_of(render_new()) if new else []), *self._render_repeated(message)]
        channel.speakers.add(message.sender)
        channel.last = max(channel.last, message.number)
        return [*shown, *(_history_ended(channel) if run.is_over else [])]

    def _render_repeated(self, message: Message) -> list[Line]:
        """Render a message of a history: a mention stands out, but calls nobody."""
        text = render_message(*message[:3])
        mentioned = message.sender != self._state.user and mentions(message.text, self._state.user)
        return lines_of(highlighted(text) if mentioned else text, at=message.at)

    def been_shown(self) -> None:
        """Move the read marker of the current channel to the last message that was on the screen."""
        channel = self._state.here
        if channel and channel.last > channel.marked and channel.held is None:
            channel.marked = channel.last
            self._state.ask(f"SEEN {channel.name} {channel.last}")


def _render(message: Message, *, alert: bool = False) -> list[Line]:
    return lines_of(render_message(*message[:3]), at=message.at, alert=alert)


def _topic_told(words: str | None) -> list[Line]:
    name, _, text = (words or "").partition(" ")
    return lines_of(render_topic(name, text)) if text not in ("", "0") else []


def _history_ended(channel: Channel) -> list[Line]:
    """All of a history is shown: now what has come meanwhile, unless it was part of that."""
    held, channel.held = channel.held or [], None
    channel.missed = 0
    last = channel.last
    for number, _lines in held:
        channel.shown(number)
    return [line for number, lines in held if number > last or not number for line in lines]
