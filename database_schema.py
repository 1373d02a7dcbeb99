"""The tables of the database, and the migrations that lift an older file to them.

The schema grows by appending to MIGRATIONS; `PRAGMA user_version` is the number of migrations that a file has had.
"""

from __future__ import annotations

import sqlite3

from database_files import StoreError

APPLICATION_ID = 0x43524F53
"""Marks the file as Crosstalk's ("CROS"), so that another program's database is refused."""

STAMP_TABLE = """
    CREATE TABLE stamp (id INTEGER PRIMARY KEY, stamp BLOB NOT NULL);
    """

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE accounts (name TEXT PRIMARY KEY, password_hash BLOB NOT NULL, registered REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE channels (
        name TEXT PRIMARY KEY, creator TEXT NOT NULL, created REAL NOT NULL, last_message INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE memberships (
        account TEXT NOT NULL, channel TEXT NOT NULL, joined REAL NOT NULL, PRIMARY KEY (account, channel)
    ) WITHOUT ROWID;
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY, previous INTEGER,
        sender TEXT NOT NULL, channel TEXT NOT NULL, text TEXT NOT NULL, sent REAL NOT NULL
    );
    CREATE TABLE mail (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        sender TEXT NOT NULL, recipient TEXT NOT NULL, text TEXT NOT NULL, sent REAL NOT NULL
    );
    CREATE INDEX mail_by_recipient ON mail (recipient, id);
    """,
    """
    CREATE TABLE new_accounts (
        number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password_hash BLOB, id TEXT UNIQUE,
        registered REAL NOT NULL
    );
    INSERT INTO new_accounts (name, password_hash, registered)
        SELECT name, password_hash, registered FROM accounts ORDER BY registered, name;
    DROP TABLE accounts;
    ALTER TABLE new_accounts RENAME TO accounts;
    """,
    """
    CREATE TABLE hosts (name TEXT PRIMARY KEY, address TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    ALTER TABLE hosts RENAME COLUMN address TO server;
    ALTER TABLE memberships ADD COLUMN server TEXT NOT NULL DEFAULT '';
    UPDATE memberships
        SET server = (SELECT server FROM hosts WHERE name = substr(channel, instr(channel, ':') + 1))
        WHERE instr(channel, ':') AND substr(channel, instr(channel, ':') + 1) IN (SELECT name FROM hosts);
    """,
    STAMP_TABLE,
    """
    CREATE TABLE position (
        id INTEGER PRIMARY KEY, applied INTEGER NOT NULL, run TEXT NOT NULL, digest TEXT NOT NULL, created TEXT NOT NULL
    );
    """,
    """
    ALTER TABLE channels ADD COLUMN topic TEXT NOT NULL DEFAULT '';
    """,
    """
    CREATE TABLE places (
        channel TEXT NOT NULL, place INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (channel, place)
    ) WITHOUT ROWID;
    CREATE INDEX places_by_id ON places (channel, id);
    INSERT INTO places SELECT channel, place, id
        FROM (SELECT channel, id, row_number() OVER (PARTITION BY channel ORDER BY id) AS place FROM messages)
        WHERE place % 32 = 0;
    CREATE TABLE counted (channel TEXT PRIMARY KEY, last INTEGER NOT NULL, messages INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO counted SELECT channel, max(id), count(*) FROM messages GROUP BY channel;
    ALTER TABLE channels ADD COLUMN messages INTEGER NOT NULL DEFAULT 0;
    UPDATE channels SET
        last_message = (SELECT last FROM counted WHERE channel = name),
        messages = coalesce((SELECT messages FROM counted WHERE channel = name), 0);
    DROP TABLE counted;
    ALTER TABLE memberships ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE memberships ADD COLUMN seen_place INTEGER NOT NULL DEFAULT 0;
    UPDATE memberships SET
        seen = (SELECT coalesce(max(id), 0) FROM messages),
        seen_place = coalesce((SELECT messages FROM channels WHERE name = channel), 0)
        WHERE NOT instr(channel, ':');
    """,
    """
    ALTER TABLE messages ADD COLUMN kind TEXT NOT NULL DEFAULT 'say';
    ALTER TABLE messages ADD COLUMN author INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE mail ADD COLUMN message_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE mail ADD COLUMN kind TEXT NOT NULL DEFAULT 'say';
    """,
    """
    ALTER TABLE memberships ADD COLUMN seen_at REAL NOT NULL DEFAULT 0.0;
    UPDATE memberships SET seen_at =
        coalesce((SELECT sent FROM messages WHERE id <= seen ORDER BY id DESC LIMIT 1), joined);
    CREATE TABLE marks (
        account TEXT NOT NULL, user TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (account, user)
    ) WITHOUT ROWID;
    CREATE TRIGGER marks_are_bounded AFTER INSERT ON marks BEGIN
        DELETE FROM marks WHERE account = NEW.account AND user IN (
            SELECT user FROM marks WHERE account = NEW.account ORDER BY at DESC, user LIMIT -1 OFFSET 1000
        );
    END;
    CREATE TRIGGER marks_end_with_the_account AFTER DELETE ON accounts BEGIN
        DELETE FROM marks WHERE account = OLD.name;
    END;
    """,
    """
    CREATE TABLE invitations (code TEXT PRIMARY KEY, ends REAL NOT NULL, made REAL NOT NULL) WITHOUT ROWID;
    """,
    """
    ALTER TABLE channels ADD COLUMN topic_by TEXT NOT NULL DEFAULT '';
    ALTER TABLE channels ADD COLUMN topic_at REAL NOT NULL DEFAULT 0;
    ALTER TABLE channels ADD COLUMN founded INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE modes (
        channel TEXT NOT NULL, mode TEXT NOT NULL, is_on INTEGER NOT NULL, value TEXT NOT NULL,
        set_by TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (channel, mode)
    ) WITHOUT ROWID;
    CREATE TABLE ranks (
        channel TEXT NOT NULL, account TEXT NOT NULL, rank TEXT NOT NULL, is_given INTEGER NOT NULL,
        set_by TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (channel, account, rank)
    ) WITHOUT ROWID;
    CREATE TABLE masks (
        channel TEXT NOT NULL, kind TEXT NOT NULL, mask TEXT NOT NULL,
        set_by TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (channel, kind, mask)
    ) WITHOUT ROWID;
    CREATE TABLE channel_invitations (
        account TEXT NOT NULL, channel TEXT NOT NULL, invited_by TEXT NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (account, channel)
    ) WITHOUT ROWID;
    CREATE TRIGGER channel_gone AFTER DELETE ON channels BEGIN
        DELETE FROM modes WHERE channel = OLD.name;
        DELETE FROM ranks WHERE channel = OLD.name;
        DELETE FROM masks WHERE channel = OLD.name;
        DELETE FROM channel_invitations WHERE channel = OLD.name;
    END;
    CREATE TRIGGER channel_renamed AFTER UPDATE OF name ON channels BEGIN
        UPDATE modes SET channel = NEW.name WHERE channel = OLD.name;
        UPDATE ranks SET channel = NEW.name WHERE channel = OLD.name;
        UPDATE masks SET channel = NEW.name WHERE channel = OLD.name;
        UPDATE channel_invitations SET channel = NEW.name WHERE channel = OLD.name;
    END;
    CREATE TRIGGER account_gone AFTER DELETE ON accounts BEGIN
        DELETE FROM ranks WHERE account = OLD.name;
        DELETE FROM channel_invitations WHERE account = OLD.name;
    END;
    """,
    """
    CREATE TABLE tokens (
        number INTEGER PRIMARY KEY, account TEXT NOT NULL, digest TEXT NOT NULL, lasts INTEGER NOT NULL,
        ends REAL NOT NULL, made REAL NOT NULL, UNIQUE (account, digest)
    );
    CREATE TRIGGER tokens_are_bounded AFTER INSERT ON tokens BEGIN
        DELETE FROM tokens WHERE number IN (
            SELECT number FROM tokens WHERE account = NEW.account AND lasts = NEW.lasts
            ORDER BY number DESC LIMIT -1 OFFSET 8
        );
    END;
    CREATE TRIGGER tokens_end_with_the_account AFTER DELETE ON accounts BEGIN
        DELETE FROM tokens WHERE account = OLD.name;
    END;
    """,
    """
    CREATE TABLE bans (
        kind TEXT NOT NULL, target TEXT NOT NULL, channel TEXT NOT NULL, reason TEXT NOT NULL,
        at REAL NOT NULL, ends REAL NOT NULL, PRIMARY KEY (kind, target, channel)
    ) WITHOUT ROWID;
    CREATE TRIGGER bans_of_a_channel_gone AFTER DELETE ON channels BEGIN
        DELETE FROM bans WHERE channel = OLD.name;
    END;
    CREATE TRIGGER bans_of_a_channel_renamed AFTER UPDATE OF name ON channels BEGIN
        UPDATE bans SET channel = NEW.name WHERE channel = OLD.name;
    END;
    """,
    """
    ALTER TABLE channels ADD COLUMN stored TEXT;
    ALTER TABLE channels ADD COLUMN pruned INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE newest (id INTEGER PRIMARY KEY, number INTEGER NOT NULL);
    """,
    """
    CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE networks (
        account TEXT NOT NULL, network TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (account, network)
    ) WITHOUT ROWID;
    CREATE TRIGGER networks_are_bounded AFTER INSERT ON networks BEGIN
        DELETE FROM networks WHERE account = NEW.account AND network IN (
            SELECT network FROM networks WHERE account = NEW.account ORDER BY at DESC LIMIT -1 OFFSET 8
        );
    END;
    CREATE TRIGGER networks_end_with_the_account AFTER DELETE ON accounts BEGIN
        DELETE FROM networks WHERE account = OLD.name;
    END;
    """,
)


def check_owner(db: sqlite3.Connection, path: str) -> None:
    """Check that a database is new, or Crosstalk's and no newer than this program.

    Raises:
        StoreError: it is neither.
    """
    version = _version(db)
    owner = db.execute("PRAGMA application_id").fetchone()[0]
    empty = not db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if owner != APPLICATION_ID and not empty:
        raise StoreError(f"{path} is another program's database; choose another file with --database PATH")
    if version > len(MIGRATIONS):
        raise StoreError(f"{path} was written by a newer Crosstalk (schema {version}); use that version")


def migrate(db: sqlite3.Connection) -> None:
    """Carry out the migrations that a database has not had, each in a transaction of its own."""
    for number in range(_version(db), len(MIGRATIONS)):
        db.executescript(
            f"BEGIN; {MIGRATIONS[number]}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {number + 1}; COMMIT;"
        )


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version
