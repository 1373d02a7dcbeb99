"""Changes, decided in one order: plain values, most of them durable. `Chat.rules` in domain/chat.py applies them."""

# No postponed annotations: NamedTuple would compile each of them when the server starts.
from collections.abc import Callable
from typing import NamedTuple

Undo = Callable[[], object]


class AccountRegistered(NamedTuple):
    name: str
    password_hash: bytes
    at: float


class MailboxOpened(NamedTuple):
    """An account without a password: whoever knows its ID is its owner (B3)."""

    name: str
    id: str
    at: float


class AccountDeleted(NamedTuple):
    """The account with this ID, which alone tells it from a later one of the same name."""

    name: str
    id: str


class PasswordChanged(NamedTuple):
    name: str
    password_hash: bytes


class ChannelCreated(NamedTuple):
    name: str
    creator: str
    at: float


class Joined(NamedTuple):
    """A member has come into a channel. `server` is the identity of a remote channel's server (L21); "" for a channel
    here, and for a membership that is older than this was kept."""

    account: str
    channel: str
    at: float
    server: str = ""


class Left(NamedTuple):
    account: str
    channel: str


class Said(NamedTuple):
    """A message to a channel; `at` is in seconds since the epoch."""

    sender: str
    channel: str
    text: str
    at: float


class GuestSaid(Said):
    """What a guest of a channel has said."""

    __slots__ = ()


class Mailed(NamedTuple):
    """A direct message to an account that is away."""

    sender: str
    recipient: str
    text: str
    at: float


class MailDelivered(NamedTuple):
    """So many messages, the oldest, up to the one numbered `last`, have left for the account's client."""

    recipient: str
    last: int
    messages: int


class PeerNamed(NamedTuple):
    """A server that the config lists has borne this name under this identity (L21)."""

    name: str
    server: str


class MembershipsDated(NamedTuple):
    """Memberships in this server's channels of which nobody knows under which identity of it they began (L21) began
    under this one."""

    name: str
    server: str


class InOrder(NamedTuple):
    """An ephemeral change: it is not written, but keeps its place in the order. It ends with the process.

    Attributes:
        decide: called when its turn has come; gives what undoes that, or raises ChatError. Where it gives nothing it
            is not called again, whatever becomes of the changes that are decided with it.
        tell: called when it stands and all before it has been told.
    """

    decide: Callable[[], Undo | None]
    tell: Callable[[], object]


Change = (
    AccountRegistered
    | MailboxOpened
    | AccountDeleted
    | PasswordChanged
    | ChannelCreated
    | Joined
    | Left
    | Said
    | GuestSaid
    | Mailed
    | MailDelivered
    | PeerNamed
    | MembershipsDated
    | InOrder
)

Done = Callable[[Exception | None], None]

Outcome = tuple[Change, Exception | None, Done]
"""What became of a change: the error is None when it is applied and durable. `done` is to be told."""
