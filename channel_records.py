"""The rows of channels: what is not the default in them, and how it is written and loaded. All is SQL of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from domain.bans import closes_account
from domain.changes import (
    BanLifted,
    Banned,
    Change,
    ChannelCreated,
    ChannelFounded,
    ChannelRemoved,
    HostKeyMade,
    InvitedToChannel,
    Joined,
    MaskRemoved,
    MaskSet,
    ModeSet,
    RankGiven,
    TopicSet,
)
from domain.modes import OPERATOR

_CHANNEL = (
    "INSERT INTO channels (name, creator, created, topic, topic_by, topic_at, founded)"
    " VALUES (?1, ?2, ?3, ?4, ?6, ?7, {})"
)

CHANNELS = "SELECT name, creator, created, topic, '', topic_by, topic_at, founded FROM channels"

RECORDS: Mapping[type, str] = {
    ChannelCreated: _CHANNEL.format(0),
    ChannelFounded: _CHANNEL.format(1),
    ChannelRemoved: "DELETE FROM channels WHERE name = ?1",
    TopicSet: "UPDATE channels SET topic = ?3, topic_by = ?1, topic_at = ?4 WHERE name = ?2",
    ModeSet: "REPLACE INTO modes VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    RankGiven: "REPLACE INTO ranks VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    MaskSet: "INSERT INTO masks VALUES (?1, ?2, ?3, ?4, ?5)",
    MaskRemoved: "DELETE FROM masks WHERE channel = ?1 AND kind = ?2 AND mask = ?3",
    Banned: "REPLACE INTO bans VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    BanLifted: "DELETE FROM bans WHERE kind = ?1 AND target = ?2 AND channel = ?3",
    HostKeyMade: "INSERT INTO secrets VALUES ('host key', ?1)",
    InvitedToChannel: "INSERT OR IGNORE INTO channel_invitations VALUES (?1, ?2, ?3, ?4)",
}
"""How each change is written. A mode that is off is a row too, since a mode may be on by default."""


def _first_modes(change: ChannelCreated) -> Iterable[tuple[object, ...]]:
    flags = change.modes.replace(OPERATOR, "")
    return [(change.name, mode, 1, "", change.creator, change.at) for mode in flags]


def _first_rank(change: ChannelCreated) -> Iterable[tuple[object, ...]]:
    if OPERATOR not in change.modes:
        return []
    return [(change.name, change.creator, OPERATOR, 1, change.creator, change.at)]


def _lost_rank(change: RankGiven) -> Iterable[tuple[object, ...]]:
    return [] if change.is_given else [(change.channel, change.account, change.rank)]


def _used_invitation(change: Joined) -> Iterable[tuple[object, ...]]:
    return [(change.account, change.channel)]


def _lapsed_by_then(change: Banned) -> Iterable[tuple[object, ...]]:
    return [(change.at,)]


def _closed_account(change: Banned) -> Iterable[tuple[object, ...]]:
    return [(change.target,)] if closes_account(change) else []


_FIRST = ((RECORDS[ModeSet], _first_modes), (RECORDS[RankGiven], _first_rank))

Further = tuple[tuple[str, Callable[[Any], Iterable[tuple[object, ...]]]], ...]

FURTHER: Mapping[type, Further] = {
    ChannelCreated: _FIRST,
    ChannelFounded: _FIRST,
    Banned: (
        ("DELETE FROM bans WHERE ends <> 0 AND ends <= ?", _lapsed_by_then),
        ("DELETE FROM tokens WHERE account = ?", _closed_account),
    ),
    RankGiven: (("DELETE FROM ranks WHERE channel = ? AND account = ? AND rank = ?", _lost_rank),),
    Joined: (("DELETE FROM channel_invitations WHERE account = ? AND channel = ?", _used_invitation),),
}
"""What else is written for a change: statements, and what returns the rows of each."""

LOADED: tuple[tuple[Callable[..., Change], str], ...] = (
    (ModeSet, "SELECT * FROM modes WHERE is_on <> (mode = 'n')"),
    (RankGiven, "SELECT * FROM ranks"),
    (MaskSet, "SELECT * FROM masks ORDER BY at"),
    (Banned, "SELECT * FROM bans ORDER BY at"),
    (HostKeyMade, "SELECT value FROM secrets WHERE name = 'host key'"),
    (InvitedToChannel, "SELECT * FROM channel_invitations"),
)
"""How these rows are read, after accounts and channels."""
