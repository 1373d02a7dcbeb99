"""Events for sessions and the operator: plain values, which each dialect renders.

`at` is in seconds since the epoch.
"""

# No postponed annotations: NamedTuple would compile each of them when the server starts.
from typing import NamedTuple

from domain.changes import SAY, Said, in_words
from domain.modes import Switch


class ChannelMessages(NamedTuple):
    """Messages to one channel, in order, for all its subscribers, their senders too."""

    messages: tuple[Said, ...]


class DirectMessage(NamedTuple):
    """A direct message, for its recipient; `id` and `kind` are as in changes.Mailed.

    Attributes:
        room: the channel whose room guest has sent it; "" for any other sender.
    """

    sender: str
    text: str
    at: float
    id: str = ""
    kind: str = SAY
    room: str = ""

    @property
    def words(self) -> str:
        """The text, for a protocol that knows no kinds."""
        return in_words(self.text, self.kind)


class DirectEcho(NamedTuple):
    """A direct message, for each client of its sender: it has been delivered, or waits for the recipient's login.

    Attributes:
        id, kind: as in changes.Mailed.
        waits: it waits.
        own: whether this client has sent it.
        room: the channel whose room guest gets it; "" where no channel was named.
    """

    sender: str
    recipient: str
    text: str
    at: float
    id: str = ""
    kind: str = SAY
    waits: bool = False
    own: bool = True
    room: str = ""

    @property
    def words(self) -> str:
        """The text, for a protocol that knows no kinds."""
        return in_words(self.text, self.kind)


class AccountGone(NamedTuple):
    """The account has been deleted from another session, so this one ends."""

    user: str


class LoggedInElsewhere(NamedTuple):
    """The account has been logged in at another session, so this one ends."""

    user: str


class MailWaiting(NamedTuple):
    """Direct messages wait for the account; `DirectMessages.mail` gives them."""


class PresenceChanged(NamedTuple):
    """A user has come into the session's channels, or has left them (R43)."""

    user: str
    online: bool


class TopicChanged(NamedTuple):
    """A user has set the topic of one of the session's channels; "" means that it has none any more."""

    user: str
    channel: str
    topic: str


class MarkerMoved(NamedTuple):
    """Another client of the account has moved a read marker.

    Attributes:
        target: the channel, or the user with whom direct messages were exchanged.
        at: up to which time, in seconds since the epoch.
    """

    target: str
    at: float


class CameIn(NamedTuple):
    """A user has come into one of the session's channels, for sessions that follow their channels."""

    user: str
    channel: str


class WentOut(NamedTuple):
    """A user is no longer in one of the session's channels, for sessions that follow their channels.

    Attributes:
        reason: why; "" if nothing was said.
        by: who has removed it: a user's name, "" for the server's operator; None if it went by itself.
    """

    user: str
    channel: str
    reason: str = ""
    by: str | None = None


class GuestGone(NamedTuple):
    """A guest who was in channels of the session has logged out."""

    user: str
    reason: str


class GuestRenamed(NamedTuple):
    """A guest who is in channels of the session has another name."""

    old: str
    new: str


class ModesChanged(NamedTuple):
    """Modes of one of the session's channels have been switched, for sessions that follow their channels.

    Attributes:
        by: who has done it; "" for the server's operator.
        switches: what has changed, in order.
    """

    channel: str
    by: str
    switches: tuple[Switch, ...]


class InvitedIn(NamedTuple):
    """Somebody has invited the user to a channel."""

    by: str
    user: str
    channel: str


class Removed(NamedTuple):
    """The operator, or an operator of the channel, has removed the user from it.

    Attributes:
        by: the name of who has done it; "" for the server's operator.
        reason: why; "" if nothing was said.
    """

    channel: str
    by: str = ""
    reason: str = ""


class ChannelHasNewName(NamedTuple):
    """The operator has renamed a channel of the session's."""

    old: str
    new: str


class NotRestored(NamedTuple):
    """The user was in a channel of another server, which refuses the membership after its return (L46).

    Attributes:
        by, reason: as of `Removed`.
    """

    channel: str
    by: str = ""
    reason: str = ""


class Silenced(NamedTuple):
    """The user may say nothing in the channel for so many seconds."""

    channel: str
    user: str
    seconds: int
    at: float


class Unmuted(NamedTuple):
    """The user may speak in the channel again."""

    channel: str
    user: str
    at: float


class Announced(NamedTuple):
    """The operator tells everybody something, or one user.

    Attributes:
        text: the words.
        at: the time, in seconds since the epoch.
        is_last: the session is closed after it.
    """

    text: str
    at: float
    is_last: bool = False


class Welcomed(NamedTuple):
    """The guest has come to the channel's queue."""

    user: str
    channel: str
    at: float


class Queued(NamedTuple):
    """The guest waits behind so many others."""

    ahead: int
    at: float


class Entered(NamedTuple):
    """A user has come into a channel with a port, for its guests and the operator."""

    user: str
    channel: str
    at: float


class Departed(NamedTuple):
    """A user has left the channel, for its guests and the operator."""

    user: str
    at: float


class WentAway(NamedTuple):
    """The guest was silent for too long."""

    user: str
    at: float


class Whispered(NamedTuple):
    """A direct message within a channel, for its recipient and the operator."""

    sender: str
    recipient: str
    text: str
    at: float


class FileSent(NamedTuple):
    """A file has arrived under its name, for its sender and the operator."""

    sender: str
    recipient: str
    path: str
    at: float


class FileNotTaken(NamedTuple):
    """For the sender: the recipient has declined the file, or not answered in time."""

    recipient: str
    path: str
    at: float


class Kicked(NamedTuple):
    """The operator, or an operator of the channel, has removed the user from it; `by` and `reason` as in `Removed`."""

    user: str
    at: float
    by: str = ""
    reason: str = ""


class Emptied(NamedTuple):
    """The operator has removed everybody from a channel."""

    channel: str
    at: float


class Occupancy(NamedTuple):
    """How full a channel is."""

    channel: str
    present: int
    capacity: int
    queued: int


class FileOffered(NamedTuple):
    """For the receiver: a file will come."""

    number: int
    size: int
    sender: str
    path: str


class SendFile(NamedTuple):
    """For the sender: the file's number, and the most bytes of a piece."""

    number: int
    piece: int
    recipient: str
    path: str


class FileWanted(NamedTuple):
    """For the sender: so many more pieces may come."""

    number: int
    pieces: int


class FilePiece(NamedTuple):
    """For the receiver: a piece, in base64."""

    number: int
    data: str


class FileEnded(NamedTuple):
    """For the receiver: that was all."""

    number: int


class FileCancelled(NamedTuple):
    """For either: no more of this file."""

    number: int
