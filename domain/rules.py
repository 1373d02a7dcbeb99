"""The rule of each kind of change: which part of the domain decides it, and which one tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from domain.accounts import Accounts
from domain.administration import Administration
from domain.bans import Bans
from domain.changes import (
    AccountDeleted,
    AccountRegistered,
    AccountRemoved,
    BanLifted,
    Banned,
    ChannelCreated,
    ChannelDeleted,
    ChannelFounded,
    ChannelPruned,
    ChannelRemoved,
    ChannelRenamed,
    GuestSaid,
    HostKeyMade,
    InOrder,
    InvitationMade,
    InvitedRegistered,
    InvitedToChannel,
    Joined,
    Left,
    LoggedInFrom,
    MailboxOpened,
    MailDelivered,
    Mailed,
    Marked,
    MaskRemoved,
    MaskSet,
    MembershipsDated,
    ModeSet,
    PasswordChanged,
    PeerNamed,
    RankGiven,
    Said,
    Seen,
    TokenDropped,
    TokenMade,
    TopicSet,
    Undo,
    VisitorSaid,
)
from domain.channels import Channels
from domain.known_networks import KnownNetworks
from domain.messages import DirectMessages
from domain.moderation import Moderation
from domain.subscriptions import Subscriptions
from domain.tokens import Tokens
from domain.topics import Topics
from domain.upkeep import Upkeep
from domain.users import Users


class Rule(NamedTuple):
    """What a kind of change does.

    Attributes:
        apply: decides it, carries it out in memory, and returns its undo; None where nothing has changed. Raises
            ChatError when the change is refused: nothing has changed then.
        tell: publishes it to the sessions concerned; the session that has asked for it gets an answer instead.
    """

    apply: Callable[[Any], Undo | None]
    tell: Callable[[Any], None] | None = None


class Parts(Protocol):
    """The parts of the domain that decide and tell changes."""

    accounts: Accounts
    administration: Administration
    bans: Bans
    channels: Channels
    known_networks: KnownNetworks
    messages: DirectMessages
    moderation: Moderation
    subscriptions: Subscriptions
    tokens: Tokens
    topics: Topics
    upkeep: Upkeep
    users: Users


def make_rules(parts: Parts) -> dict[type, Rule]:
    """Return what each kind of change does, by its type."""
    users, channels, admin = parts.users, parts.channels, parts.administration
    return {
        AccountRegistered: Rule(users.apply_registered),
        MailboxOpened: Rule(users.apply_opened),
        AccountDeleted: Rule(users.apply_deleted),
        AccountRemoved: Rule(admin.apply_account_removed, admin.tell_account_removed),
        InvitationMade: Rule(parts.accounts.invitations.apply_made),
        InvitedRegistered: Rule(parts.accounts.invitations.apply_registered),
        PasswordChanged: Rule(users.apply_password),
        TokenMade: Rule(parts.tokens.apply_made),
        TokenDropped: Rule(parts.tokens.apply_dropped),
        ChannelCreated: Rule(channels.apply_created, channels.tell_created),
        ChannelFounded: Rule(channels.apply_created, channels.tell_created),
        ChannelDeleted: Rule(parts.upkeep.apply_deleted, channels.tell_gone),
        ChannelRenamed: Rule(parts.upkeep.apply_renamed, parts.upkeep.tell_renamed),
        ChannelPruned: Rule(parts.upkeep.apply_pruned),
        ChannelRemoved: Rule(channels.apply_removed, channels.tell_gone),
        ModeSet: Rule(parts.moderation.apply_mode, parts.moderation.tell_mode),
        RankGiven: Rule(parts.moderation.apply_rank),
        MaskSet: Rule(parts.moderation.apply_mask_set),
        MaskRemoved: Rule(parts.moderation.apply_mask_removed),
        Banned: Rule(parts.bans.apply_banned, parts.bans.tell_banned),
        BanLifted: Rule(parts.bans.apply_lifted),
        InvitedToChannel: Rule(parts.moderation.apply_invited),
        TopicSet: Rule(parts.topics.apply_set, parts.topics.tell_set),
        Joined: Rule(channels.apply_joined, parts.subscriptions.tell_joined),
        Left: Rule(channels.apply_left, parts.subscriptions.tell_left),
        Seen: Rule(channels.apply_seen),
        Marked: Rule(users.apply_marked),
        Said: Rule(channels.apply_said),
        GuestSaid: Rule(channels.apply_guest_said),
        VisitorSaid: Rule(channels.apply_said),
        InOrder: Rule(lambda change: change.decide(), lambda change: change.tell()),
        Mailed: Rule(parts.messages.apply_mailed),
        MailDelivered: Rule(parts.messages.apply_mail_delivered),
        PeerNamed: Rule(channels.identities.apply_named),
        HostKeyMade: Rule(users.apply_host_key),
        LoggedInFrom: Rule(parts.known_networks.apply),
        MembershipsDated: Rule(channels.identities.apply_dated),
    }
