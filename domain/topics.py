"""The topics of channels here."""

from __future__ import annotations

from collections.abc import Callable

from domain.changes import Done, TopicSet, Undo
from domain.channels import Channels
from domain.errors import NoSuchChannel, NotAMember, NotATopic, NotOperator
from domain.events import TopicChanged
from domain.interfaces import Outside
from domain.journal import Journal
from domain.modes import LOCKED_TOPIC
from domain.sessions import sessions_of
from domain.state import Account, Channel, Visitor
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
        now: the wall clock, in seconds since the epoch.
    """

    def __init__(
        self, users: Users, channels: Channels, journal: Journal, outside: Outside, now: Callable[[], float]
    ) -> None:
        self._now = now
        self._users = users
        self._channels = channels
        self._journal = journal
        self._outside = outside

    def of(self, account: Account, channel: str) -> str:
        """Return a channel's topic; "" if it has none.

        Raises:
            NoSuchChannel: there is no such channel here that the account may know of.
        """
        found = self._channels.local_channel(channel)
        if not self._channels.listing.is_shown(found, account.name):
            raise NoSuchChannel
        return found.topic

    def set(self, member: Account | Visitor, channel: str, topic: str, done: Done) -> None:
        """Set a channel's topic, or clear it with "".

        Fails with NotATopic, NoSuchChannel, NotAMember, NotOperator under mode `t`, StillMuted, StoreUnavailable.
        """
        if topic in NO_TOPICS or len(topic.encode()) > MAX_TOPIC:
            done(NotATopic())
        else:
            self._journal.submit(TopicSet(member.name, channel, topic, self._now()), done)

    def apply_set(self, change: TopicSet) -> Undo:
        channel = self._channels.local_channel(change.channel)
        operates = self._channels.admission.operates(change.account, channel)
        if change.account not in channel.members and not self._channels.admission.is_above(change.account):
            raise NotAMember
        if channel.modes is not None and LOCKED_TOPIC in channel.modes.flags and not operates:
            raise NotOperator
        self._outside.observer.check_mute(channel, change.account)
        before = channel.topic, channel.topic_set
        _put_topic(channel, change.topic, (change.account, change.at))
        return lambda: _put_topic(channel, *before)

    def tell_set(self, change: TopicSet) -> None:
        """Tell the watchers and followers of the channel."""
        own = sessions_of(self._users.session(change.account))
        event = TopicChanged(change.account, change.channel, change.topic)
        self._users.presence.topic_changed(event, self._channels.local_channel(change.channel), own)


def _put_topic(channel: Channel, topic: str, topic_set: tuple[str, float]) -> None:
    channel.topic, channel.topic_set = topic, topic_set
