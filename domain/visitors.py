"""Guests who may be members of channels, as those of `irc` are (domain.state.Visitor).

A visitor's name is its own while it is logged in, as that of any guest. Its memberships are not durable and end with
the connection. They are decided and published in the journal's order (changes.InOrder), as those of users of other
servers. What a dialect calls:

- `enter` logs a session in under a free name; `Users.logout` ends it, as for every user.
- `Chat.join`, `Chat.leave`, `Chat.say`, `DirectMessages.send_direct` take a visitor where they take an account.
- `rename` changes the name.
- `Accounts.register_visitor` makes an account of a visitor, whose memberships last from then on.
"""

from __future__ import annotations

from domain.changes import Done, InOrder, Undo, ignore
from domain.channels import Channels
from domain.errors import AlreadyLoggedIn, NameTaken, NoSuchChannel, NotAName
from domain.journal import Journal
from domain.reading import Reading
from domain.sessions import ClientSession
from domain.state import Channel, Visitor
from domain.subscriptions import Subscriptions
from domain.users import Users


class Visitors:
    """Requests that visitors alone can make, and their memberships.

    Args:
        users: all users.
        channels: all channels.
        subscriptions: the subscribers of channels.
        reading: the numbers of messages.
        journal: takes changes.
    """

    def __init__(
        self, users: Users, channels: Channels, subscriptions: Subscriptions, reading: Reading, journal: Journal
    ) -> None:
        self._users = users
        self._channels = channels
        self._subscriptions = subscriptions
        self._reading = reading
        self._journal = journal

    def enter(self, recipient: ClientSession, name: str) -> Visitor:
        """Log a session in under a name that it holds until it logs out. Visitors are not counted in max-users.

        Raises:
            AlreadyLoggedIn, NotAName, NameTaken: the first that applies.
        """
        if recipient.principal is not None:
            raise AlreadyLoggedIn
        self._check_name(name)
        visitor = Visitor(name, recipient, self)
        self._users.add_guest(visitor)
        return visitor

    def join(self, visitor: Visitor, channel: str, done: Done) -> None:
        """Make a visitor a member of a channel here, which it may enter.

        Fails with NoSuchChannel, AlreadyMember, LimitReached, ChannelFull.
        """
        joined: list[Channel] = []  # it may have another name, or be gone, when that is published

        def decide() -> Undo:
            if channel not in self._channels.local:  # a remote one has accounts alone
                raise NoSuchChannel
            joined[:] = [self._channels.local[channel]]
            undo = self._channels.add(visitor, channel)
            visitor.since[channel] = self._reading.last_number
            return undo

        self._journal.submit(InOrder(decide, lambda: self._subscriptions.add(visitor, joined[0])), done)

    def leaving(self, visitor: Visitor, channel: str) -> InOrder:
        """Return the change that ends a membership. Fails as `Channels.remove`."""
        left: list[Channel] = []

        def decide() -> Undo:
            left[:] = filter(None, [visitor.channels.get(channel)])
            return self._channels.remove(visitor, channel)

        return InOrder(decide, lambda: self._subscriptions.remove(visitor, left[0]))

    def departed(self, visitor: Visitor) -> None:
        """End all memberships of a visitor that has logged out."""
        left = dict.fromkeys(visitor.channels.values())  # also those that are an account's by then: see `Channels.add`

        def decide() -> Undo:
            left.update(dict.fromkeys(visitor.channels.values()))
            undos = [self._channels.remove(visitor, channel) for channel in list(visitor.channels)]
            return lambda: [undo() for undo in undos]

        def tell() -> None:
            self._subscriptions.remove_gone(visitor, left)

        self._journal.submit(InOrder(decide, tell), ignore)

    # ---- another name ----

    def rename(self, visitor: Visitor, name: str, done: Done) -> None:
        """Give a visitor another name: that is free, and those who are told of presence see it go and come.

        Fails with NotAName, NameTaken.
        """
        old = visitor.name
        self._journal.submit(
            InOrder(lambda: self._rename(visitor, name), lambda: self._tell_renamed(visitor, old)), done
        )

    def _rename(self, visitor: Visitor, name: str) -> Undo:
        self._check_name(name)
        old = visitor.name
        self._take_name(visitor, name)
        return lambda: self._take_name(visitor, old)

    def _take_name(self, visitor: Visitor, name: str) -> None:
        for channel in visitor.channels.values():
            channel.rename_member(visitor, name)
        self._users.rename_guest(visitor, name)

    def _tell_renamed(self, visitor: Visitor, old: str) -> None:
        self._subscriptions.tell_renamed(visitor, old)

    def _check_name(self, name: str) -> None:
        """Check a new name.

        Raises:
            NotAName, NameTaken: it cannot be had.
        """
        if not self._users.may_name(name):
            raise NotAName
        if self._users.is_taken(name):
            raise NameTaken
