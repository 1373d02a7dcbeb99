"""The settings: values and defaults. `app/config.py` reads them from a file, docs/settings.md explains each."""

# No postponed annotations: NamedTuple would compile each of them when the server starts.
import os
from typing import Any, NamedTuple, cast


class Secret:
    """A secret that two servers share. Its text representation does not show the key.

    Args:
        key: its bytes.
        is_exposed: other users of the machine have access to its file.
    """

    __slots__ = ("_key", "is_exposed")

    def __init__(self, key: bytes, *, is_exposed: bool = False) -> None:
        self._key = key
        self.is_exposed = is_exposed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def mac(self, words: str) -> str:
        """Return the HMAC-SHA-256 of some words, in hex."""
        import hmac  # most servers have no secrets

        return hmac.digest(self._key, words.encode(), "sha256").hex()


class Listen(NamedTuple):
    """An address (None: that of the setting), a port (0: a free one), the dialect of its connections, and whether they
    use TLS."""

    address: str | None
    port: int
    dialect: str
    tls: bool = False


class HostedChannel(NamedTuple):
    """A channel with a port of its own. `capacity`: guests that can be in it at once; `tls`: whether they use TLS."""

    name: str
    port: int
    capacity: int
    tls: bool = False


class EngineAddress(NamedTuple):
    """The IP address and port of an engine, and whether nodes talk with it by TLS."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


LOCAL_ENGINES = tuple(EngineAddress("127.0.0.1", port) for port in (4222, 4223, 4224))
"""The engines that `engine.py start` runs."""


class PeerConfig(NamedTuple):
    """A server to federate with.

    Attributes:
        address: its IP address, or a name that resolves to it.
        port: of that address; 0: it is never dialled.
        name: the only host name that it may use; None: any.
        secret: by which it proves that name; None: it need not.
        tls: it is dialled with TLS.
    """

    address: str
    port: int
    name: str | None
    secret: Secret | None = None
    tls: bool = False

    @property
    def certified_name(self) -> str | None:
        """The name or IP address that its certificate must bear (L53); None: it is dialled without TLS."""
        return (self.name or self.address) if self.tls else None


def _processors() -> int:
    """Return the processors that this process may use; more threads than that would take time from the loop."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


LOOPBACK, LINKS = "loopback", "links"
"""Words of the setting `exempt`; all others are IP addresses and networks."""


class Settings(NamedTuple):
    """All settings. docs/settings.md explains each, with its unit; `app.directives.DIRECTIVES` has what it accepts."""

    address: str | None = None
    listen: tuple[Listen, ...] = ()
    channel: tuple[HostedChannel, ...] = ()
    tls_certificate: str | None = None
    tls_key: str | None = None
    tls_ca: str | None = None
    handshake_seconds: int = 10
    database: str | None = None
    control: str | None = None
    hostname: str | None = None
    metrics: Listen | None = None
    federation: str = "local"
    peers: tuple[PeerConfig, ...] = ()
    federation_seconds: int = 10
    max_peers: int = 64
    max_remote_users: int = 10_000
    max_remote_memberships: int = 20_000
    max_remote_channels: int = 10_000
    max_unlisted_links: int = 8
    max_unlisted_users: int = 1000
    max_unlisted_members: int = 100
    max_unlisted_channels: int = 1000
    max_unlisted_mail: int = 20
    max_link_buffer: int = 16 * 1024 * 1024
    channels: str = "open"
    channels_reply: str = "all"
    history_on_join: int = 0
    retention: int = 0
    registration: str = "open"
    operator: tuple[str, ...] = ()
    bcrypt_cost: int = 12
    hash_threads: int = min(4, _processors())
    max_hash_queue: int = 512
    max_registrations: int = 100
    max_clients: int | None = None
    max_address_share: int = 25
    max_address_connections: int = 500
    connection_rate: int = 600
    line_burst: int = 500
    line_rate: int = 100
    max_login_failures: int = 300
    max_account_failures: int = 30
    exempt: tuple[str, ...] = (LOOPBACK, LINKS)
    login_seconds: int = 60
    max_users: int | None = None
    irc_guests: str | None = None
    irc_create: str = "accounts"
    guest_history: str = "off"
    motd: tuple[str, ...] = ()  # its lines
    max_line: int = 8192
    max_out_buffer: int = 1024 * 1024
    max_buffers: int = 256 * 1024 * 1024
    stall_seconds: int = 30
    keepalive_seconds: int = 60
    max_name: int = 64
    max_accounts: int = 100_000
    max_channels: int = 10_000
    max_channels_per_creator: int = 1000
    max_channels_per_user: int = 1000
    max_account_clients: int = 20
    max_mail: int = 1000
    mailbox_ids: str = "classic"
    afk_seconds: int = 100
    max_file_size: int = 64 * 1024 * 1024
    file_offer_seconds: int = 120
    file_stall_seconds: int = 30
    shutdown_seconds: int = 3
    hangup: str = "end"
    web_host: tuple[str, ...] = ()
    web_origin: tuple[str, ...] = ()
    web_proxy: tuple[str, ...] = ()
    web_title: str = "Crosstalk"
    log_level: str = "info"
    log_format: str = "text"
    node: str | None = None
    engine: tuple[EngineAddress, ...] = LOCAL_ENGINES
    engine_password_file: str | None = None  # the password itself
    cluster: str = "crosstalk"
    log_bytes: int = 256 * 1024 * 1024

    @property
    def admits_guests(self) -> bool:
        """Whether clients of IRC, and the page, may come without an account (I6)."""
        return self.irc_guests == "on" or (self.irc_guests is None and self.registration == "open")

    @property
    def listens_with_tls(self) -> bool:
        """Whether the connections of some port use TLS."""
        return any(listen.tls for listen in self.listen) or any(channel.tls for channel in self.channel)

    @property
    def uses_tls(self) -> bool:
        """Whether anything uses TLS, or names a certificate that could be wrong."""
        named = self.tls_certificate is not None or self.tls_ca is not None
        dialled = (*(peer.tls for peer in self.peers), *(engine.tls for engine in self.engine))
        return named or self.listens_with_tls or any(dialled)


class Live:
    """The settings that are in force. What is read from them changes when the config is loaded again.

    Attributes:
        values: the current settings.
    """

    __slots__ = ("values",)

    def __init__(self, values: Settings) -> None:
        self.values = values

    def __getattr__(self, name: str) -> Any:
        return getattr(self.values, name)

    @property
    def as_settings(self) -> Settings:
        """This object, for code that reads settings and need not know that they change."""
        return cast(Settings, self)
