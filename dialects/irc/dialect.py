"""The dialect `irc`: `Irc` with its table of commands and its words for events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from commands import Refusal, Request
from dialects.irc.client import Client
from dialects.irc.commands import COMMANDS, NOT_UTF8, TO_ONE_CHANNEL, TOO_FEW, TOO_FEW_BEFORE_WELCOME, UNKNOWN
from dialects.irc.core import Irc, IrcRequest
from dialects.irc.events import OF_USERS, TO_ALL, channel_lines, of_oneself, to_client
from dialects.irc.forms import Forms
from dialects.irc.messages import is_channel_here
from dialects.irc.people import client_of
from dialects.irc.profiles import clients_of
from dialects.irc.wire import END, parse
from domain.changes import GuestSaid, Mailed, Said
from domain.errors import BeingCollected
from domain.events import ChannelMessages, DirectEcho, DirectMessage, MailWaiting
from protocol import Session
from session_output import SessionOutput
from transport import Alone, Audience, Transport


class IrcDialect(Irc):
    """The dialect `irc`."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        Forms(self)

    def parse(self, line: str) -> Request | Refusal | None:
        """Find the row of a verb, in any case of its letters; words that it does not take are dropped (I3)."""
        parsed = parse(line)
        if parsed is None:
            return Refusal.TOO_LONG
        tags, verb, words = parsed
        command = COMMANDS.get(verb)
        if command is None:
            return IrcRequest(UNKNOWN, (verb,), tags) if verb else None
        if len(words) < command.min_args:
            return IrcRequest(TOO_FEW if command.needs_login else TOO_FEW_BEFORE_WELCOME, (verb,), tags)
        if len(words) > 1 and verb in TO_ONE_CHANNEL and is_channel_here(words[0]):
            command = TO_ONE_CHANNEL[verb]
        return IrcRequest(command, tuple(words[: command.max_args]), tags)

    def parse_undecodable(self, line: bytes) -> Request:
        """Answer a line that is not UTF-8 (I2)."""
        parsed = parse(line.decode(errors="replace"))
        return IrcRequest(NOT_UTF8, (parsed.verb if parsed is not None else "",))

    def render(self, event: Any) -> bytes:
        """Return the words for an event that is the same for all clients with these capabilities."""
        words = TO_ALL.get(type(event))
        return words(self, event).encode() if words is not None else b""

    def tell_all(self, event: Any, audience: Audience) -> None:
        """Tell an event to many clients; those who have sent one of the messages get an echo, or nothing (I26)."""
        if not isinstance(event, ChannelMessages):
            super().tell_all(event, audience)
            return
        lines = channel_lines(self, event.messages)
        own = [found for found in self._with_own_words(event.messages).items() if found[0].output in audience]
        others = len(audience) - len(own)
        if others:
            self.counts.deliveries += others
            audience.send("".join(lines).encode(), [transport.output for transport, _places in own])
        for transport, places in own:
            words = lines.copy()
            for place in places:
                words[place] = self._echo(event.messages[place], lines[place])
            if told := "".join(words):
                transport.send(told.encode())

    def _with_own_words(self, messages: Sequence[Said]) -> dict[Transport, list[int]]:
        """Return the clients that get other words than all for some of these messages, and the indexes of these.

        Where clients want no echo, these are their own messages; else the ones that they have labelled.
        """
        found: dict[Transport, list[int]] = {}
        if "echo-message" in self.capabilities:
            for place, said in enumerate(messages):
                sent = self.in_flight.get(said.number)
                if sent is not None and sent.answers is not None:
                    found.setdefault(sent.client.session.transport, []).append(place)
            return found
        by_sender: dict[tuple[type, str], list[int]] = {}
        for place, said in enumerate(messages):
            by_sender.setdefault((type(said), said.sender), []).append(place)
        for places in by_sender.values():
            for client in self.clients_of(messages[places[0]]):
                found[client.session.transport] = places
        return found

    def _echo(self, said: Said, words: str) -> str:
        """Return what the sender of a message gets of it: nothing, or the answers to its label with its echo."""
        sent = self.in_flight.get(said.number) if "echo-message" in self.capabilities else None
        if sent is None or sent.answers is None:
            return ""
        for line in words.split(END)[:-1]:
            sent.answers.add(line + END)
        self.in_flight.echo_over(sent)
        return sent.answers.settle(sent.client.server)

    def clients_of(self, said: Said) -> tuple[Client, ...]:
        """Return the clients of a message's sender that speak IRC."""
        if isinstance(said, GuestSaid):
            return ()
        return clients_of(self.chat.users.accounts.get(said.sender) or self.chat.users.guests.get(said.sender))

    def render_for(self, session: SessionOutput, event: Any) -> bytes:
        """Return the words for an event that is for one client alone."""
        client = client_of(session)
        words = to_client(self, client, event) if client is not None else None
        return self.render(event) if words is None else words.encode()

    def deliver(self, session: Session, event: Any) -> None:
        """Tell the session's client what has happened; it need not be told what it has done itself."""
        if type(event) in OF_USERS and of_oneself(self, self.client(session), event):
            return
        if isinstance(event, ChannelMessages):  # of a channel of another server: for each member alone
            self.tell_all(event, Alone(session.transport))
        else:
            super().deliver(session, event)

    def delivers_itself(self, session: Session, event: Any) -> bool:
        """Deliver an event that is for one client alone; waiting mail is streamed page by page."""
        client = self.client(session)
        if isinstance(event, MailWaiting):
            session.stream(self._render_mail(client, self.chat.messages.mail(session, session.principal)))
            return True
        words = to_client(self, client, event)
        if isinstance(event, DirectEcho) and event.own:
            client.echo = words or ""  # the answer to its request
        elif words:
            session.send_bytes(words.encode())
        return words is not None

    def _render_mail(self, client: Client, pages: Iterator[list[Mailed]]) -> Iterator[bytes]:
        with contextlib.suppress(BeingCollected):  # another client gets it; what that does not take comes here
            for page in pages:
                messages = [DirectMessage(mail.sender, mail.text, mail.at, mail.id, mail.kind) for mail in page]
                yield "".join([to_client(self, client, each) or "" for each in messages]).encode()
