"""How each change is written to the database and read from it. All is SQL of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import channel_records
from domain.changes import (
    AccountDeleted,
    AccountRegistered,
    AccountRemoved,
    Change,
    ChannelCreated,
    ChannelDeleted,
    ChannelFounded,
    ChannelPruned,
    ChannelRemoved,
    ChannelRenamed,
    InvitationMade,
    InvitedRegistered,
    Joined,
    Left,
    LoggedInFrom,
    MailboxOpened,
    MailDelivered,
    Mailed,
    Marked,
    MembershipsDated,
    PasswordChanged,
    PeerNamed,
    Seen,
    TokenDropped,
    TokenMade,
)

RECORD: dict[type, str] = {
    AccountRegistered: "INSERT INTO accounts (name, password_hash, registered) VALUES (?1, ?2, ?3)",
    MailboxOpened: "INSERT INTO accounts (name, id, registered) VALUES (?1, ?2, ?3)",
    AccountDeleted: "DELETE FROM accounts WHERE id = ?2",
    **channel_records.RECORDS,
    Joined: """INSERT INTO memberships VALUES (?1, ?2, ?3, ?4, ?5, ?6,
        coalesce((SELECT sent FROM messages WHERE id <= ?5 ORDER BY id DESC LIMIT 1), 0.0))""",
    Seen: (
        "UPDATE memberships SET seen = max(seen, ?3), seen_place = max(seen_place, ?5), seen_at = max(seen_at, ?4)"
        " WHERE account = ?1 AND channel = ?2 AND (seen_at, seen) < (iif(?4, ?4, seen_at), ?3)"
    ),
    Marked: "INSERT INTO marks VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET at = max(at, excluded.at)",
    TokenDropped: "DELETE FROM tokens WHERE account = ?1 AND (?2 = '' OR digest = ?2)",
    Left: "DELETE FROM memberships WHERE account = ?1 AND channel = ?2",
    Mailed: "INSERT INTO mail (sender, recipient, text, sent, message_id, kind) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    MailDelivered: "DELETE FROM mail WHERE id IN (SELECT id FROM mail WHERE recipient = ?1 AND id <= ?2 LIMIT ?3)",
    PeerNamed: "INSERT OR REPLACE INTO hosts VALUES (?1, ?2)",
    LoggedInFrom: "INSERT INTO networks VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET at = excluded.at",
    MembershipsDated: (
        "UPDATE memberships SET server = ?2"
        " WHERE server = '' AND substr(channel, instr(channel, ':') + 1) = ?1 AND instr(channel, ':')"
    ),
}
"""How each change but Said is written, if one statement does that. Its fields are the parameters; those of MARKING have
one more."""

STEPS: dict[type, tuple[tuple[str, int], ...]] = {
    PasswordChanged: (
        ("UPDATE accounts SET password_hash = ?2 WHERE name = ?1", 2),
        ("DELETE FROM tokens WHERE account = ?1", 1),
    ),
    TokenMade: (
        ("DELETE FROM tokens WHERE account = ?1 AND (ends <= ?5 OR digest = ?6)", 6),
        ("INSERT INTO tokens (account, digest, lasts, ends, made) VALUES (?1, ?2, ?3, ?4, ?5)", 5),
    ),
    AccountRemoved: (
        ("DELETE FROM accounts WHERE name = ?1", 1),
        ("DELETE FROM memberships WHERE account = ?1", 1),
        ("DELETE FROM mail WHERE recipient = ?1", 1),
    ),
    InvitationMade: (
        ("DELETE FROM invitations WHERE ends <= ?3", 3),
        ("INSERT INTO invitations VALUES (?1, ?2, ?3)", 3),
    ),
    ChannelDeleted: (
        ("DELETE FROM channels WHERE name = ?1", 1),
        ("DELETE FROM memberships WHERE channel = ?1", 1),
    ),
    ChannelRenamed: (
        ("UPDATE channels SET name = ?2 WHERE name = ?1", 2),
        ("UPDATE memberships SET channel = ?2 WHERE channel = ?1", 2),
    ),
    ChannelPruned: (),
    InvitedRegistered: (
        (RECORD[AccountRegistered], 3),
        ("DELETE FROM invitations WHERE code = ?4", 4),
    ),
}
"""How a change is written that takes no statement or several: each, and how many of the fields are its parameters."""

OF_MESSAGES: dict[type, Callable[[Any, Any, Any], None]] = {
    ChannelCreated: lambda history, write, change: history.created(write, change.name),
    ChannelFounded: lambda history, write, change: history.created(write, change.name),
    ChannelRemoved: lambda history, write, change: history.removed(write, change.name),
    ChannelDeleted: lambda history, write, change: history.removed(write, change.name),
    ChannelRenamed: lambda history, write, change: history.renamed(write, change.name, change.new),
    ChannelPruned: lambda history, write, change: history.prune(write, change.channel, change.number),
}
"""What a change does to the messages of its channel: called with a MessageHistory, a cursor and the change."""

MARKING = (Joined, Seen)
"""The changes that set a read marker, with its number. The place of that message is written, too."""

LOADED: tuple[tuple[Callable[..., Change], str], ...] = (
    (Joined, "SELECT account, channel, joined, server, seen FROM memberships"),
    (Mailed, "SELECT sender, recipient, text, sent, message_id, kind FROM mail ORDER BY id"),
    (PeerNamed, "SELECT name, server FROM hosts"),
    (LoggedInFrom, "SELECT account, network, at FROM networks ORDER BY at"),
    (InvitationMade, "SELECT code, ends, made FROM invitations ORDER BY made"),
    *channel_records.LOADED,  # with the bans, which end tokens that there were before
    (TokenMade, "SELECT account, digest, lasts, ends, made FROM tokens ORDER BY number"),
)
"""How the changes that lead to the state are read, after accounts and channels."""


def loaded_changes(db: sqlite3.Connection, length: Callable[[str], int]) -> Iterator[Change]:
    """Yield the state as the changes that lead to it; channel messages stay on disk.

    Args:
        db: the open database.
        length: returns how many messages a channel has.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    for name, password_hash, account_id, at in db.execute(
        "SELECT name, password_hash, id, registered FROM accounts ORDER BY number"
    ):
        if account_id is None:
            yield AccountRegistered(name, password_hash, at)
        else:
            yield MailboxOpened(name, account_id, at)
    for *columns, founded in db.execute(channel_records.CHANNELS):
        is_unused = founded and not length(columns[0])
        yield (ChannelFounded if is_unused else ChannelCreated)(*columns)
    for kind, query in LOADED:
        for row in db.execute(query):
            yield kind(*row)
