"""A session without a socket, and a server in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from app.limits import ClientLimits
from app.node import Node, port_label
from dialects.operator.base import ReloadOutcome, ServerControls
from domain.changes import Done
from domain.errors import Overloaded, WrongPassword
from domain.interfaces import Claim, Passwords
from domain.sessions import ClientSession
from domain.state import Limits
from federation import Federation
from net.timers import Deadline, Deadlines
from protocol import Dialect, Session
from settings import HostedChannel, PeerConfig, Settings
from store import Store
from support.memory_store import memory_store

HERE = ("127.0.0.1", 5050)
"""The address of a server without sockets."""


class FakeAudience(list["FakeTransport"]):
    """Sends bytes over each of these transports."""

    def send(self, data: bytes, without: Collection[FakeTransport] = ()) -> None:
        for transport in self:
            if transport not in without:
                transport.send(data)


class FakeTransport:
    """The transport of a session without a socket. `pump` has the peer read everything that waits.

    While `stuck`, the peer reads nothing that has a receipt: that waits until `unstick`, or is `lost`.
    """

    framing = None

    def __init__(
        self,
        soon: list[Callable[[], None]] | None = None,
        remote_address: tuple[str, int] = ("127.0.0.1", 40000),
        local_address: tuple[str, int] = HERE,
    ) -> None:
        self.remote_address = remote_address
        self.local_address = local_address
        self.output = self
        self.output_limit = 0
        self.congested = False
        self.must_yield = False
        self.is_behind = False
        self.soon: list[Callable[[], None]] = [] if soon is None else soon
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.sent: list[bytes] = []
        self.spoken = 0
        self.holds_login = False
        self.holds_input = 0
        self.finished = 0
        self.refused = 0
        self.probed = 0
        self.limits: list[tuple[str, str]] = []
        self.reading = True
        self.stuck = False
        self.owner: Session | None = None
        self.behind: list[bytes | Iterator[bytes]] = []
        self.held: list[tuple[bytes, Callable[[bool], None]]] = []

    def send(self, data: bytes) -> None:
        if self.finished:
            return
        (self.behind if self.behind else self.sent).append(data)

    def send_with_receipt(self, data: bytes, done: Callable[[bool], None]) -> None:
        if self.stuck:
            self.held.append((data, done))
        else:
            self.stream(self._receipted(data, done))

    def _receipted(self, data: bytes, done: Callable[[bool], None]) -> Iterator[bytes]:
        yield data
        self.soon.append(partial(done, True))

    def unstick(self, *, lost: bool = False) -> None:
        """Send what is held, or lose it with the connection."""
        self.stuck = False
        held, self.held = self.held, []
        for data, done in held:
            if lost:
                self.soon.append(partial(done, False))
            else:
                self.send_with_receipt(data, done)

    def stream(self, chunks: Iterator[bytes]) -> None:
        self.behind.append(chunks)
        self.congested = True

    def note_first_line(self) -> None:
        self.spoken += 1

    def hold_login_timeout(self) -> None:
        self.holds_login = True

    def resume_login_timeout(self) -> None:
        self.holds_login = False

    def count_input(self, size: int) -> None:
        self.holds_input = size

    def finish(self) -> None:
        self.finished += 1

    def refuse(self) -> None:
        self.refused += 1

    def probe(self) -> None:
        self.probed += 1

    def report_limit(self, reason: str, detail: str = "", *values: object) -> None:
        self.limits.append((reason, detail % values))

    def log_mark(self) -> dict[str, int]:
        return {}

    def set_output_limit(self, size: int, setting: str) -> None:
        self.output_limit = size

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def call_soon(self, call: Callable[[], None]) -> None:
        self.soon.append(call)

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.later.append((seconds, call))

    def pump(self) -> bool:
        """Let the peer read; return True when output was waiting."""
        if not self.congested:
            return False
        waiting, self.behind = self.behind, []
        for item in waiting:
            self.sent.extend([item] if isinstance(item, bytes) else item)
        self.congested = False
        if self.owner is not None:
            self.owner.drained()
        return True

    def take(self) -> bytes:
        """Return what has been sent since the last call."""
        data, self.sent = b"".join(self.sent), []
        return data


class FakePasswords:
    """Hashes that cost nothing. They are ready at once or, while `later` is set, when `answer` is called."""

    def __init__(self) -> None:
        self.later = False
        self.overloaded = False
        self.checked: list[tuple[str, bytes | None]] = []
        self.forgotten: list[ClientSession] = []
        self._waiting: list[Callable[[], None]] = []

    def hash(self, session: ClientSession, password: str, then: Callable[[bytes | None], None]) -> None:
        self._give(lambda: then(None if self.overloaded else password.encode()))

    def check(self, session: ClientSession, claim: Claim, then: Done, *, is_login: bool) -> None:
        self.checked.append((claim.password, claim.password_hash))
        matches = claim.password.encode() == claim.password_hash
        error = Overloaded() if self.overloaded else None if matches else WrongPassword()
        self._give(lambda: then(error))

    def forget(self, session: ClientSession) -> None:
        self.forgotten.append(session)

    def answer(self) -> int:
        """Deliver the answers that wait; return their number."""
        waiting, self._waiting = self._waiting, []
        for give in waiting:
            give()
        return len(waiting)

    def _give(self, give: Callable[[], None]) -> None:
        if self.later:
            self._waiting.append(give)
        else:
            give()


class FakeTimers:
    """A monotonic clock that stands still until `let_pass`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.deadlines = Deadlines()

    def monotonic(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Deadline:
        return self.deadlines.add(self.now + seconds, call)

    def cancel(self, deadline: Deadline) -> None:
        self.deadlines.cancel(deadline)

    def let_pass(self, seconds: float) -> None:
        """Let time pass, and run each call that falls due, at its time."""
        end = self.now + seconds
        while (when := self.deadlines.nearest()) is not None and when <= end:
            self.now = max(self.now, when)
            next(self.deadlines.due(self.now))()
        self.now = end


class FakeDial(NamedTuple):
    """A server that is being dialled. The test calls `connected` or `failed`."""

    host: str
    port: int
    connected: Callable[[Any], Session]
    failed: Callable[[str], None]
    certified: str | None


AFK_SECONDS = 100
MAX_FILE_SIZE = 1000


class World:
    """A server without sockets, threads and clocks. Nothing happens on its own: see `settle`.

    Args:
        channels: the hosted channels, with their capacities.
        settings: replaced by what the other arguments give.
        listed: the configured peers, which it dials.
        store: its database; None: an empty one.
        passwords: hashes and checks; None: `passwords` does it, and the test answers.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        joined_only: bool = False,
        history_on_join: int = 0,
        channels: Mapping[str, int] | None = None,
        settings: Settings | None = None,
        listed: Sequence[PeerConfig] = (),
        store: Store | None = None,
        passwords: Passwords | None = None,
    ) -> None:
        self.store = store or memory_store()
        self.passwords = FakePasswords()
        self.timers = FakeTimers()
        self.soon: list[Callable[[], None]] = []
        self.clients: list[Client] = []
        self.dials: list[FakeDial] = []
        self.nonces = itertools.count(1)
        self.secrets = itertools.count(1)
        self.stopped = 0
        self.screen = FakeTransport(self.soon)
        limits = limits or Limits()
        self.node = Node(
            (settings or Settings())._replace(
                peers=tuple(listed),
                channel=tuple(HostedChannel(name, 1, size) for name, size in (channels or {}).items()),
                channels_reply="joined" if joined_only else "all",
                history_on_join=history_on_join,
                max_file_size=MAX_FILE_SIZE,
                max_name=limits.name,
                max_users=limits.guests,
                max_accounts=limits.accounts,
                max_channels=limits.channels,
                max_channels_per_creator=limits.channels_per_creator,
                max_channels_per_user=limits.channels_per_user,
                max_account_clients=limits.clients,
                max_mail=limits.mail,
                max_unlisted_mail=limits.unlisted_mail,
            ),
            limits=ClientLimits(settings or Settings(), self.timers.monotonic),
            store=self.store,
            passwords=passwords or self.passwords,
            timers=self.timers,
            now=lambda: 1000.0,
            time_of_day=lambda _at: TIME,
            dial=self._dial,
            make_audience=FakeAudience,
            console=self.screen,
            controls=ServerControls(
                stop=self._stop,
                reload=lambda: ReloadOutcome(["max-mail"], ["listen"]),
                status=lambda: [("users", len(self.chat.users.online))],
                sessions=lambda: [client.session for client in self.clients],
            ),
            jitter=lambda: 0.5,
            nonce=lambda: f"{next(self.nonces):032x}",
            make_secret=lambda: f"aaaa-bbbb-cccc-{next(self.secrets):04}",
        )
        self.screen.owner = self.node.operator
        self.chat, self.rooms = self.node.chat, self.node.rooms
        self.dialect, self.hello, self.mailbox = (self.node.dialects[name] for name in ("result", "hello", "mailbox"))
        self.node.start()

    @property
    def federation(self) -> Federation:
        assert self.node.federation is not None
        return self.node.federation

    def _dial(
        self,
        host: str,
        port: int,
        *,
        certified: str | None,
        connected: Callable[[Any], Session],
        failed: Callable[[str], None],
    ) -> None:
        self.dials.append(FakeDial(host, port, connected, failed, certified))

    def remote_members(self) -> set[str]:
        """Return the users of other servers who are in channels here, or hear what is said there."""
        channels = self.chat.channels.local.values()
        hearing = {user for channel in channels for audience in channel.elsewhere.values() for user in audience.users}
        return hearing | {name for channel in channels for name in channel.members if "@" in name}

    def settle(self) -> None:
        """Turn until nothing is left to do, without the answers that `passwords` holds back."""
        busy = True
        while busy:
            calls = self.soon[:]
            self.soon.clear()
            for call in calls:
                call()
            self.node.end_turn()
            pumped = [transport.pump() for transport in (self.screen, *(client.transport for client in self.clients))]
            busy = any(pumped) or bool(self.soon)

    def let_database_take(self, *, anything: bool) -> None:
        """Have the database take what is written, or refuse all of it, as on a full disk."""
        self.store._db.execute(f"PRAGMA query_only = {int(not anything)}")

    def let_pass(self, seconds: float) -> None:
        """Let time pass, and settle."""
        self.timers.let_pass(seconds)
        self.settle()

    def _stop(self) -> None:
        self.stopped += 1

    def client(self, dialect: Dialect | None = None, remote_address: tuple[str, int] = ("127.0.0.1", 40000)) -> Client:
        """Return a client that has sent nothing; without a dialect its first word decides."""
        transport = FakeTransport(self.soon, remote_address)
        session = Session(transport, dialect or self.dialect, by_first_word={} if dialect else self.node.by_first_word)
        return self._welcome(Client(self, transport, session))

    def _welcome(self, client: Client) -> Client:
        client.transport.owner = client.session
        self.clients.append(client)
        return client

    def peer(self, hostname: str = "", address: str = "127.0.0.1", port: int = 40000) -> Client:
        """Return a peer that has dialled this server, and has received its channels."""
        peer = self.client(remote_address=(address, port))
        confirmed, channels, *_joins = peer.ask(f"FEDERATE-OUT {hostname}")
        assert confirmed.startswith("FEDERATE-CONFIRM")
        assert channels.startswith("FEDCHANNELS")
        return peer

    def caller(self, remote_address: tuple[str, int] = ("127.0.0.1", 40000)) -> Client:
        """Return a client at a port for links that has sent nothing."""
        transport = FakeTransport(self.soon, remote_address)
        return self._welcome(Client(self, transport, self.node.accept(transport, "federation")))

    def dialled(self, address: str = "", local_port: int = 50000) -> Client:
        """Return the server that was dialled first; it has received the first line."""
        dial = self.dials.pop(0)
        transport = FakeTransport(self.soon, (address or dial.host, dial.port), (HERE[0], local_port))
        client = self._welcome(Client(self, transport, dial.connected(transport)))
        (word,) = client.heard()
        assert word.startswith("FEDERATE-OUT")
        return client

    def guest(self, name: str) -> Client:
        """Return a client that is logged in with HELLO-FROM."""
        client = self.client(self.hello)
        assert client.ask(f"HELLO-FROM {name}") == [f"HELLO {name}"]
        return client

    def room_guest(self, channel: str, first_line: str) -> Client:
        """Return a client at a channel's port that has sent its first line."""
        client = self.client(self.node.ports[port_label(channel)])
        client.send(first_line)
        return client

    def mailbox_client(self) -> Client:
        """Return a client at the port of `mailbox` that has been greeted."""
        client = self.client(self.mailbox)
        self.mailbox.begin(client.session)
        assert len(client.heard()) == 1
        return client

    def mailbox_user(self, name: str) -> Client:
        """Return a client that has made an account without a password."""
        client = self.mailbox_client()
        assert client.ask(f"1|{name}") == [f"Success New Account Creation! Your new Account ID: {name}123"]
        return client

    def room(self, channel: str, *names: str) -> list[Client]:
        """Return guests in a channel who have received the lines of their joins."""
        guests = [self.room_guest(channel, name) for name in names]
        for guest in guests:
            guest.heard()
        self.printed()
        return guests

    def printed(self) -> list[str]:
        """Settle, and return what the operator has seen since the last call, without the times."""
        self.settle()
        return [plain(line) for line in self.screen.take().decode().split("\n")[:-1]]

    def type(self, *lines: str) -> list[str]:
        """Type lines at the console; return what the operator sees."""
        for line in lines:
            self.node.operator.received(f"{line}\n".encode())
        return self.printed()

    def order(self, *lines: str) -> list[str]:
        """Send lines at the control socket; return the answers."""
        return self.client(self.node.control).ask(*lines)

    def user(self, name: str, *channels: str) -> Client:
        """Return a client that is logged in as a new user, in these channels, which are created if missing."""
        client = self.client()
        client.ask(f"REGISTER {name} {name}", f"LOGIN {name} {name}")
        for channel in channels:
            client.ask(f"CREATE {channel}", f"JOIN {channel}")
        assert client.session.principal is self.chat.users.accounts[name]
        return client

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Client:
    """A session in a `World` and the peer at its end."""

    def __init__(self, world: World, transport: FakeTransport, session: Session) -> None:
        self.world = world
        self.transport = transport
        self.session = session

    def send(self, data: bytes | str) -> None:
        """Receive bytes, or a line, and do nothing else."""
        self.session.received(data if isinstance(data, bytes) else f"{data}\n".encode())

    def heard(self) -> list[str]:
        """Settle, and return the lines that have come since the last call."""
        self.world.settle()
        data = self.transport.take()
        assert not data or data.endswith(b"\n")
        return data.decode().split("\n")[:-1]

    def saw(self) -> list[str]:
        """As `heard`, without the times."""
        return [plain(line) for line in self.heard()]

    def does(self, *lines: str) -> list[str]:
        """As `ask`, without the times."""
        return [plain(line) for line in self.ask(*lines)]

    def ask(self, *lines: str) -> list[str]:
        """Send lines, each when the one before has been answered; return what has come meanwhile."""
        heard = []
        for line in lines:
            self.send(line)
            heard += self.heard()
        return heard

    def leave(self) -> None:
        """Lose the connection."""
        self.session.lost("gone")
        self.transport.unstick(lost=True)


TIME = "12:34:56"


def plain(line: str) -> str:
    """Shorten a line of the dialect `rooms`: the server's frame to `* `, the time to nothing."""
    return line.replace(f"[Server message ({TIME})] ", "* ").replace(f" ({TIME})", "")
