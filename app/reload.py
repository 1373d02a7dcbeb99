"""What changes while a server runs when its config is loaded again: on SIGHUP with `hangup reload`, and by `reload`.

Some settings are read from `settings.Live` at each use, so they change at once. ROWS has the action for each of the
others that can change. Settings in none of these tables need a restart, as docs/operation.md says.
"""

from __future__ import annotations

import logging
import os
import stat
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from app.logs import set_log_level
from app.node import Node
from app.options import read_options
from app.passwords import BcryptPasswords
from app.supervisor import Supervisor
from dialects.operator.base import ReloadOutcome
from net.loop import Loop
from settings import Live, Settings

if TYPE_CHECKING:
    from app.replicated import Replica
    from app.tls import Tls
    from web.gateway import Gateway

log = logging.getLogger("crosstalk.server")


class Reloadable(Protocol):
    """The parts of a server whose settings can change; `server.Server` has them."""

    settings: Live
    loop: Loop
    passwords: BcryptPasswords
    node: Node
    tls: Tls | None
    replica: Replica | None
    supervisor: Supervisor
    gateway: Gateway | None

    @property
    def is_open(self) -> bool:
        """Whether there are a node and passwords: not at a backup."""


class Row(NamedTuple):
    """The action for a change of any of some settings.

    Attributes:
        fields: these settings.
        apply: puts the change into effect; the new values are in force already.
        is_whole: whether it concerns the whole server, also a backup.
    """

    fields: tuple[str, ...]
    apply: Callable[[Reloadable], None]
    is_whole: bool = False


def _limit_connections(server: Reloadable) -> None:
    settings = server.settings
    server.loop.table.set_limits(
        max_clients=settings.max_clients,
        address_share=settings.max_address_share,
        address_connections=settings.max_address_connections,
        connection_rate=settings.connection_rate,
        max_out_buffer=settings.max_out_buffer,
        max_buffers=settings.max_buffers,
        stall_seconds=settings.stall_seconds,
        login_seconds=settings.login_seconds,
    )


def _apply_to_node(server: Reloadable) -> None:
    server.node.apply_settings()


def _remake_page(server: Reloadable) -> None:
    if server.gateway is not None:
        server.gateway.remake_page()


def _apply_registration(server: Reloadable) -> None:
    _apply_to_node(server)
    _remake_page(server)


def _hash(server: Reloadable) -> None:
    server.passwords.cost = server.settings.bcrypt_cost


def _link(server: Reloadable) -> None:
    if server.node.federation is not None:
        server.node.federation.links.set_peers(server.settings.peers)


ROWS = (
    Row(
        (
            "max_clients", "max_address_share", "max_address_connections", "connection_rate", "login_seconds",
            "max_out_buffer", "max_buffers", "stall_seconds",
        ),
        _limit_connections,
        is_whole=True,
    ),
    Row(
        (
            "max_name", "max_users", "max_accounts", "max_channels", "max_channels_per_creator",
            "max_channels_per_user", "max_account_clients",
            "operator", "max_mail", "max_unlisted_mail", "max_registrations", "mailbox_ids", "afk_seconds",
            "retention", "line_burst", "line_rate", "max_login_failures", "max_account_failures", "exempt",
        ),
        _apply_to_node,
    ),
    Row(("registration",), _apply_registration),
    Row(("irc_guests", "web_title"), _remake_page),
    Row(("bcrypt_cost",), _hash),
    Row(("peers",), _link),
    Row(("log_level",), lambda server: set_log_level(server.settings.log_level), is_whole=True),
)  # fmt: skip

READ_EACH_TIME = frozenset({
    *("federation_seconds", "max_peers", "max_remote_users", "max_remote_memberships", "max_remote_channels"),
    *("max_unlisted_links", "max_unlisted_users", "max_unlisted_members", "max_unlisted_channels", "max_link_buffer"),
    *("channels_reply", "history_on_join", "max_file_size", "file_offer_seconds", "file_stall_seconds"),
    "shutdown_seconds", "irc_create", "guest_history",
})  # fmt: skip
"""Settings of which no copy is kept."""

CERTIFICATES = frozenset({"tls_certificate", "tls_key", "tls_ca", "handshake_seconds"})
"""Settings that can change if the server has started with TLS."""

FIXED = frozenset(Settings._fields) - READ_EACH_TIME - CERTIFICATES - {field for row in ROWS for field in row.fields}
"""Settings that take a restart."""


class Reload:
    """Loads the config again.

    Args:
        server: whose config it is.
        arguments: the command line, which names it.
    """

    def __init__(self, server: Reloadable, arguments: Namespace) -> None:
        self._server = server
        self._arguments = arguments

    def __call__(self) -> ReloadOutcome:
        """Load the config, and change what can be changed. An error leaves all as it was, and is logged."""
        with self._server.supervisor.reloading():
            outcome = self._load()
        for error in outcome.errors:
            log.error("reload: all stays as it was: %s", error)
        if not outcome.errors:
            log.info("reload: changed=%s", ",".join(outcome.changed) or "nothing")
        if outcome.need_restart:
            log.warning("reload: these take a restart: %s", ", ".join(outcome.need_restart))
        return outcome

    def on_signal(self) -> None:
        """Do the same; the log alone has the outcome."""
        self()

    def _load(self) -> ReloadOutcome:
        path = self._arguments.config
        if path is not None and not _can_be_read_again(path):
            return ReloadOutcome(errors=[f"{path} is no file, so it cannot be read again"])
        options = read_options(self._arguments)
        if options.errors:
            return ReloadOutcome(errors=options.errors)
        before = self._server.settings.values
        changed = [name for name in Settings._fields if getattr(options.settings, name) != getattr(before, name)]
        fixed = [name for name in changed if name in self._fixed]
        new = options.settings._replace(**{name: getattr(before, name) for name in fixed})
        if (fault := self._load_certificates(new)) is not None:
            return ReloadOutcome(errors=[fault])
        self._server.settings.values = new
        if self._server.replica is not None:
            self._server.replica.config = options.config  # for the process that begins again
        self._apply(set(changed) - set(fixed))
        return ReloadOutcome([*_directives(name for name in changed if name not in fixed)], [*_directives(fixed)])

    @property
    def _fixed(self) -> frozenset[str]:
        return FIXED if self._server.tls is not None else FIXED | CERTIFICATES

    def _load_certificates(self, new: Settings) -> str | None:
        """Load the certificates again, also those whose paths have not changed; return what is wrong with them."""
        if self._server.tls is None:
            return None
        from net.tls import CertificateError  # most servers have no TLS

        try:
            self._server.tls.load(new)
        except CertificateError as error:
            return f"the certificate of before stays in use: {error}"
        self._server.tls.report()
        return None

    def _apply(self, changed: set[str]) -> None:
        for row in ROWS:
            if not changed.isdisjoint(row.fields) and (row.is_whole or self._server.is_open):
                row.apply(self._server)


def _can_be_read_again(path: str) -> bool:
    """Tell whether a path can be read again without blocking: not a pipe. A missing file has an error of its own."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return True


def _directives(fields: Iterable[str]) -> Iterator[str]:
    return (name.replace("_", "-") for name in fields)
