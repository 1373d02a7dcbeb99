"""Changes, decided in one order: plain values, most of them durable. `domain.rules` has the rule of each."""

# No postponed annotations: NamedTuple would compile each of them when the server starts.
from collections.abc import Callable
from typing import NamedTuple

Undo = Callable[[], object]

SAY, ACT, NOTICE = "say", "act", "notice"
"""Kinds of messages: said, an action of the sender (`/me waves`), and one that no program may answer."""


def in_words(text: str, kind: str) -> str:
    """Return a message's text for a protocol that knows no kinds: an action begins with an asterisk."""
    return f"* {text}" if kind == ACT else text


class AccountRegistered(NamedTuple):
    """An account with a password has been made."""

    name: str
    password_hash: bytes
    at: float


class MailboxOpened(NamedTuple):
    """An account without a password; its ID gives access to it (B3)."""

    name: str
    id: str
    at: float


class AccountDeleted(NamedTuple):
    """The account with this ID is deleted. A later account of the same name has another ID."""

    name: str
    id: str


class AccountRemoved(NamedTuple):
    """The operator has deleted an account, with its memberships and its mail."""

    name: str


class InvitationMade(NamedTuple):
    """The operator has made a code with which one account can be made.

    Attributes:
        code: its digest.
        ends: when it lapses, in seconds since the epoch.
        at: when it was made; those that have lapsed by then are dropped.
    """

    code: str
    ends: float
    at: float


class InvitedRegistered(NamedTuple):
    """An account has been made with a code, which is used up; `invitation` is its digest."""

    name: str
    password_hash: bytes
    at: float
    invitation: str


class PasswordChanged(NamedTuple):
    """An account has a new password; all its tokens end."""

    name: str
    password_hash: bytes


class TokenMade(NamedTuple):
    """An account has a new token.

    Attributes:
        digest: of the token.
        lasts: whether it is a lasting one, not one for a tab of a browser.
        ends: when it lapses, in seconds since the epoch.
        at: when it was made; those of the account that have lapsed by then are dropped.
        replaced: the digest of the token whose place it takes; "" for none.
    """

    account: str
    digest: str
    lasts: bool
    ends: float
    at: float
    replaced: str = ""


class TokenDropped(NamedTuple):
    """A token has ended; with the digest "" all of the account have."""

    account: str
    digest: str


class ChannelCreated(NamedTuple):
    """A channel; a new one has no topic.

    Attributes:
        modes: the flags that it begins with besides `n`; `o` has its maker operate it.
        topic_by: who has set the topic; "" if nobody has, or if it is older than this record.
        topic_at: when, in seconds since the epoch.
    """

    name: str
    creator: str
    at: float
    topic: str = ""
    modes: str = ""
    topic_by: str = ""
    topic_at: float = 0.0


class ChannelFounded(ChannelCreated):
    """A channel that a JOIN of IRC has made; it is removed when it is empty and nothing was said in it (C70)."""

    __slots__ = ()


class ChannelRemoved(NamedTuple):
    """A channel that a JOIN has made is removed: nobody is in it, nothing was said, and it has no topic."""

    name: str


class ChannelDeleted(NamedTuple):
    """The operator has deleted a channel, and with it its messages. Nobody is in it."""

    name: str


class ChannelRenamed(NamedTuple):
    """The operator has given a channel another name. Its members, messages, markers and mutes stay."""

    name: str
    new: str


class ChannelPruned(NamedTuple):
    """The messages of a channel with numbers up to this one are removed; others keep numbers and places."""

    channel: str
    number: int


class TopicSet(NamedTuple):
    """A member has set a channel's topic; "" clears it. `at` is in seconds since the epoch."""

    account: str
    channel: str
    topic: str
    at: float = 0.0


class ModeSet(NamedTuple):
    """A mode of a channel has been switched; `value` is that of a key or a limit (domain/modes.py)."""

    channel: str
    mode: str
    is_on: bool
    value: str
    by: str
    at: float


class RankGiven(NamedTuple):
    """An account has been given a rank in a channel, or has lost it."""

    channel: str
    account: str
    rank: str
    is_given: bool
    by: str
    at: float


class MaskSet(NamedTuple):
    """A mask has been added to one of a channel's lists."""

    channel: str
    kind: str
    mask: str
    by: str
    at: float


class MaskRemoved(NamedTuple):
    """A mask has been removed from one of a channel's lists."""

    channel: str
    kind: str
    mask: str


class Banned(NamedTuple):
    """The operator keeps a user or server out of a channel, or of the server (domain/bans.py).

    Attributes:
        kind: of the target: an account, an address, or another server.
        target: in its one form.
        channel: "" for the server.
        reason: as those concerned may read it; "" for none.
        at: when, in seconds since the epoch; bans that have lapsed by then are dropped.
        ends: when it lapses; 0 for never.
    """

    kind: str
    target: str
    channel: str
    reason: str
    at: float
    ends: float


class BanLifted(NamedTuple):
    """The operator has lifted a ban."""

    kind: str
    target: str
    channel: str


class InvitedToChannel(NamedTuple):
    """An account may join a channel once, whoever else may; its next join there uses this up."""

    account: str
    channel: str
    by: str
    at: float


class Joined(NamedTuple):
    """An account has become a member of a channel.

    Attributes:
        server: the identity of a remote channel's server (L21). It is "" for a channel here, and where the membership
            is older than the record of identities.
        seen: the number of the last message when the account joined (R49).
    """

    account: str
    channel: str
    at: float
    server: str = ""
    seen: int = 0


class Left(NamedTuple):
    """An account is no longer a member of a channel."""

    account: str
    channel: str


class Seen(NamedTuple):
    """An account has read a channel up to the message with this number; a marker is never moved back (R49).

    Attributes:
        at: up to which time, in seconds since the epoch: that of the message, or later. Markers are compared by their
            times, then by their numbers; 0 in a change of an older version, which had numbers alone.
    """

    account: str
    channel: str
    number: int
    at: float = 0.0


class Marked(NamedTuple):
    """An account has read its direct messages with a user up to this time; a marker is never moved back."""

    account: str
    user: str
    at: float


class Said(NamedTuple):
    """A message to a channel.

    Attributes:
        at: in seconds since the epoch.
        number: grows with each message of this server; 0 for a message of another server's channel.
        kind: SAY, ACT or NOTICE.
    """

    sender: str
    channel: str
    text: str
    at: float
    number: int = 0
    kind: str = SAY

    @property
    def words(self) -> str:
        """The text, for a protocol that knows no kinds."""
        return in_words(self.text, self.kind)


class GuestSaid(Said):
    """What a guest of a channel has said."""

    __slots__ = ()


class VisitorSaid(Said):
    """What a visitor has said: a guest who is a member of the channel."""

    __slots__ = ()


class Mailed(NamedTuple):
    """A direct message to an account that is not logged in.

    Attributes:
        at: in seconds since the epoch.
        id: unlike that of any other message; "" for one that is older than these IDs.
        kind: SAY, ACT or NOTICE.
    """

    sender: str
    recipient: str
    text: str
    at: float
    id: str = ""
    kind: str = SAY

    @property
    def words(self) -> str:
        """The text, for a protocol that knows no kinds."""
        return in_words(self.text, self.kind)


class MailDelivered(NamedTuple):
    """The oldest messages, up to the one numbered `last`, left for the account's client; `messages` is how many."""

    recipient: str
    last: int
    messages: int


class PeerNamed(NamedTuple):
    """A configured server has used this name under this identity (L21)."""

    name: str
    server: str


class HostKeyMade(NamedTuple):
    """The key under which guests of IRC get hosts that stand for their addresses (C67)."""

    key: bytes


class LoggedInFrom(NamedTuple):
    """An account has logged in from a network (C61)."""

    account: str
    network: str
    at: float


class MembershipsDated(NamedTuple):
    """Memberships in this server's channels without a recorded identity count as begun under this identity (L21)."""

    name: str
    server: str


def nothing() -> None:
    """Publish nothing, or undo a change that has changed nothing."""


class InOrder(NamedTuple):
    """An ephemeral change: it is not written, but keeps its place in the order. It ends with the process.

    Attributes:
        decide: carries it out, in its turn; returns its undo, or raises ChatError. It is called again if its batch
            fails, unless it returned None.
        tell: publishes it, after all changes before it.
    """

    decide: Callable[[], Undo | None]
    tell: Callable[[], object] = nothing


Change = (
    AccountRegistered
    | MailboxOpened
    | AccountDeleted
    | AccountRemoved
    | InvitationMade
    | InvitedRegistered
    | PasswordChanged
    | TokenMade
    | TokenDropped
    | ChannelCreated
    | ChannelFounded
    | ChannelRemoved
    | ChannelDeleted
    | ChannelRenamed
    | ChannelPruned
    | TopicSet
    | ModeSet
    | RankGiven
    | MaskSet
    | MaskRemoved
    | InvitedToChannel
    | Banned
    | BanLifted
    | Joined
    | Left
    | Seen
    | Marked
    | Said
    | GuestSaid
    | VisitorSaid
    | Mailed
    | MailDelivered
    | PeerNamed
    | MembershipsDated
    | HostKeyMade
    | LoggedInFrom
    | InOrder
)

Done = Callable[[Exception | None], None]
"""Takes the outcome of a request: None, or the error. It is called once, at once or later."""

Outcome = tuple[Change, Exception | None, Done]
"""A change, its error, and the callback for the outcome. The error is None when the change is applied and durable."""


def ignore(_error: Exception | None) -> None:
    """Take an outcome and do nothing."""


def refusal(error: Exception) -> InOrder:
    """Return a change that fails with this error, in its place in the order."""

    def decide() -> None:
        raise error

    return InOrder(decide)
