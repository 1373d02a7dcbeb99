"""Why a request is refused. The class says it; each dialect has its own words."""

from __future__ import annotations


class ChatError(Exception):
    """A request that the rules refuse. The class says why; each dialect has its own words for it."""


class NotAName(ChatError):
    """The word cannot be a name."""


class NameTaken(ChatError):
    """An account or a channel of this name exists, or a guest holds it."""


class AlreadyLoggedIn(ChatError):
    """This client, or this user elsewhere, is logged in."""


class WrongPassword(ChatError):
    """There is no such user, or the password is wrong."""


class NotAPassword(ChatError):
    """The word cannot be a password: it has the form of a token."""


class RegistrationClosed(ChatError):
    """No account can be made by its user."""


class NotInvited(ChatError):
    """There is no such invitation, or it has been used or has lapsed."""


class HasNoPassword(ChatError):
    """The account is opened by its ID."""


class NoSuchChannel(ChatError):
    """There is no channel of this name."""


class NoSuchUser(ChatError):
    """No user has this name, or none that could get this message."""


class CannotLeaveMail(ChatError):
    """The recipient is away, and this does not wait: the sender is a guest, or it is a notice."""


class HasMail(ChatError):
    """Direct messages wait for the account, so it cannot be deleted."""


class BeingCollected(ChatError):
    """The account's mail is on its way to another client."""


class IsOnline(ChatError):
    """The recipient has logged in meanwhile, so the message need not wait."""


class ChannelFull(ChatError):
    """As many are in the channel as its capacity allows."""


class KeptOut(ChatError):
    """A mask of the channel, or the server's operator, keeps the user out, and from speaking."""


class InviteOnly(ChatError):
    """The channel takes invited users alone."""


class WrongKey(ChatError):
    """The channel has a key, and this is not it."""


class NotVoiced(ChatError):
    """Only users with a rank may speak in the channel."""


class NotOperator(ChatError):
    """Only operators of the channel may do this."""


class HasPort(ChatError):
    """A channel with a port of its own cannot have this mode, another name, or an end."""


class NotAMode(ChatError):
    """There is no such mode, or its value is invalid."""


class Unchanged(ChatError):
    """It is so already."""


class InUse(ChatError):
    """Somebody is in the channel, or something was said there, so it stays."""


class StillMuted(ChatError):
    """The user may not speak in the channel for so many seconds more, a whole number."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class AlreadyMember(ChatError):
    """The user is in the channel."""


class NotAMember(ChatError):
    """The user is not in the channel."""


class LimitReached(ChatError):
    """A limit forbids one more.

    Args:
        setting: the name of the limit's setting, or another reason of docs/limits.md.
    """

    def __init__(self, setting: str = "") -> None:
        super().__init__(setting)
        self.setting = setting


class Overloaded(ChatError):
    """Too much hashing waits."""


class TooLong(ChatError):
    """The message is too long for a link to another server."""


class NotATopic(ChatError):
    """The text cannot be a channel's topic."""


class MessagesRemoved(ChatError):
    """Messages have been removed while they were read."""


class StoreUnavailable(ChatError):
    """The store cannot be written or read."""


class CannotEnter(ChatError):
    """The name is invalid, or in use in the channel."""


class NotHere(ChatError):
    """Nobody of this name is in the channel."""


class NotMuted(ChatError):
    """The user may speak in the channel anyway."""


class Waiting(ChatError):
    """The guest is not in the channel yet."""


class FileMissing(ChatError):
    """The sender has no such file."""


class CannotReceive(ChatError):
    """The receiver's client takes no files."""


class FileTooLarge(ChatError):
    """The file has more bytes than the setting allows."""


class TooManyFiles(ChatError):
    """The sender has offered too many already."""
