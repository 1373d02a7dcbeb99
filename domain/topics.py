"""The topics of channels here."""

from __future__ import annotations

from domain.changes import Done, TopicSet, Undo
from domain.channels import Channels
from domain.errors import NoSuchChannel, NotAMember, NotATopic
from domain.events import TopicChanged
from domain.interfaces import Outside
from domain.journal import Journal
from domain.sessions import sessions_of
from domain.state import Account, Channel
from domain.users import Users

MAX_TOPIC = 390
"""Bytes of a topic in UTF-8, which fit into a line of every protocol (R45)."""

NO_TOPICS = ("0", "1", "-")
"""Texts that are no topics: clients would take them for an answer, or for the request to clear one (R45)."""


class Topics:
    """Requests about topics. Channels of other servers have none.

    Args:
        users: all users, and the sessions that are told of topics.
        channels: all channels.
        journal: takes changes.
        outside: observers of channels.
    """

    def __init__(self, users: Users, channels: Channels, journal: Journal, outside: Outside) -> None:
        self._users = users
        self._channels = channels
        self._journal = journal
        self._outside = outside

    def of(self, channel: str) -> str:
        """Return a channel's topic; "" if it has none.

        Raises:
            NoSuchChannel: there is no such channel here.
        """
        return self._channel(channel).topic

    def set(self, account: Account, channel: str, topic: str, done: Done) -> None:
        """Set a channel's topic, or clear it with "". Fails with NotATopic, NoSuchChannel, NotAMember, StillMuted,
        StoreUnavailable."""
        if topic in NO_TOPICS or len(topic.encode()) > MAX_TOPIC:
            done(NotATopic())
        else:
            self._journal.submit(TopicSet(account.name, channel, topic), done)

    def apply_set(self, change: TopicSet) -> Undo:
        channel = self._channel(change.channel)
        if change.account not in channel.members:
            raise NotAMember
        self._outside.observer.check_mute(channel, change.account)
        before, channel.topic = channel.topic, change.topic
        return lambda: setattr(channel, "topic", before)

    def tell_set(self, change: TopicSet) -> None:
        """Tell the sessions that ask for it."""
        own = sessions_of(self._users.session(change.account))
        self._users.presence.topic_changed(TopicChanged(*change), self._channel(change.channel), own)

    def _channel(self, name: str) -> Channel:
        channel = self._channels.local.get(name)
        if channel is None:
            raise NoSuchChannel
        return channel
