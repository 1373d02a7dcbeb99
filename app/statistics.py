"""What a server counts and measures: one table of values, for the log, the operator and Prometheus.

Each row of METRICS reads one value of a server, or one for each label. `collect` reads all of them. From what it
returns `words` makes a line of the log, and `app.prometheus.exposition` the text that Prometheus reads.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from net.table import CloseReason
from text import utc_time
from version import VERSION

COMMIT_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histogram of commits, in seconds: from a quick disk to one that fails."""

T = TypeVar("T")
R = TypeVar("R")

Reading = float | Mapping[str, float] | Mapping[tuple[str, ...], float]
"""A value, or values by label, or by several labels."""


class Histogram:
    """Counts durations by size.

    Args:
        bounds: upper bounds of the sizes, in seconds, ascending.

    Attributes:
        total: the sum of all durations, in seconds.
    """

    def __init__(self, bounds: tuple[float, ...] = COMMIT_BOUNDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    @property
    def count(self) -> int:
        """The number of durations."""
        return sum(self._counts)

    def note(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect.bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    def buckets(self) -> Iterator[tuple[str, int]]:
        """Return each bound as Prometheus writes it, and how many durations are not above it."""
        names = (*map(str, self._bounds), "+Inf")
        return zip(names, itertools.accumulate(self._counts), strict=True)


def timed(call: Callable[[T], R], histogram: Histogram, now: Callable[[], float]) -> Callable[[T], R]:
    """Return a function that does what `call` does, and notes how long it takes.

    Args:
        call: takes one argument.
        histogram: counts the durations.
        now: the monotonic clock, in seconds.
    """

    def timed_call(argument: T) -> R:
        began = now()
        try:
            return call(argument)
        finally:
            histogram.note(now() - began)

    return timed_call


class MeasuredServer(Protocol):
    """The parts of a server that metrics read; `server.Server` has all. Each may be missing: see `Metric.needs`."""

    loop: Any
    tls: Any
    store: Any
    node: Any
    passwords: Any
    replica: Any
    gateway: Any
    started: float


class NoOwner(NamedTuple):
    """Stands for the owner of a connection that has none yet."""

    kind: str = ""


NO_OWNER = NoOwner()


class Metric(NamedTuple):
    """A row of the table.

    Attributes:
        name: without the prefix that all have for Prometheus. A counter's ends with `_total`, else its end is the unit.
        help: what it is, in one line.
        read: reads it of a server.
        labels: names of what tells its values apart.
        needs: the attribute of a server without which there is no value, as at a backup, which has no clients.
        word: its name in the log; "" where that follows from the name; None where the log does not have it.
        kind: of Prometheus.
        show: returns a value as the log has it, where that is no number.
    """

    name: str
    help: str
    read: Callable[[Any], Reading | Histogram]
    labels: tuple[str, ...] = ()
    needs: str = "loop"
    word: str | None = ""
    kind: str = ""
    show: Callable[[float], str] = "{:.0f}".format

    @property
    def type(self) -> str:
        """The kind, where it follows from the name."""
        return self.kind or ("counter" if self.name.endswith("_total") else "gauge")


class Family(NamedTuple):
    """A metric and its values: by their labels, or as a histogram."""

    metric: Metric
    values: Mapping[tuple[str, ...], float] | Histogram


def _by_dialect(server: MeasuredServer, count: Callable[[Any], int]) -> Mapping[str, int]:
    numbers: Counter[str] = Counter()
    for name, counts in server.node.counts():
        numbers[name] += count(counts)
    return numbers


def _closed(server: MeasuredServer) -> Mapping[str, int]:
    return {reason.name.lower().replace("_", "-"): server.loop.closed[reason] for reason in CloseReason}


def _sessions(server: MeasuredServer) -> Mapping[str, int]:
    none = dict.fromkeys((name for name, _counts in server.node.counts()), 0)
    kinds = Counter(getattr(connection, "owner", NO_OWNER).kind for connection in server.loop.connections)
    return {**none, **{kind: count for kind, count in kinds.items() if kind}}


def _links(server: MeasuredServer) -> int:
    federation = server.node.federation
    return 0 if federation is None else sum(len(peer.links) for peer in federation.peers.values())


def _certificate(server: MeasuredServer) -> Mapping[tuple[str, ...], float]:
    """Return when it expires; nothing where only other servers have one."""
    expires = server.tls.expires
    return {(): expires} if math.isfinite(expires) else {}


def _cluster(name: str) -> Callable[[MeasuredServer], float]:
    return lambda server: float(getattr(server.replica.status, name))


def _role(server: MeasuredServer) -> Mapping[tuple[str, ...], float]:
    status = server.replica.status
    return {(status.node, status.role, status.run, status.leader, status.engine): 1.0}


METRICS: tuple[Metric, ...] = (
    Metric("build_info", "The version of the program.", lambda _: {VERSION: 1.0}, ("version",), word=None),
    Metric("start_time_seconds", "When the server was started, since the epoch.", lambda it: it.started, word=None),
    Metric("clients", "Connections that were accepted.", lambda it: it.loop.table.clients),
    Metric("users", "Users who are logged in.", lambda it: len(it.node.chat.users.online), needs="node"),
    Metric("accounts", "Accounts.", lambda it: len(it.node.chat.users.accounts), needs="node"),
    Metric("channels", "Channels of this server.", lambda it: len(it.node.chat.channels.local), needs="node"),
    Metric(
        "failed_logins_total", "Logins with a wrong password.", lambda it: it.node.chat.logins.failed,
        needs="node",
    ),
    Metric(
        "refused_hashes_total", "Passwords that were not hashed, as too many waited.", lambda it: it.passwords.refused,
        needs="node",
    ),
    Metric("failed_commits_total", "Commits that the disk refused.", lambda it: it.store.failures),
    Metric(
        "longest_turn_seconds", "The longest turn of the event loop in the last one or two minutes.",
        lambda it: it.loop.turns.read(it.loop.monotonic()),
    ),
    Metric("closed_total", "Connections that have ended, by reason.", _closed, ("reason",)),
    Metric(
        "refused_total", "What the limits have hit, by the setting or reason.", lambda it: it.loop.table.limits.counts,
        ("reason",),
    ),
    Metric("sessions", "Connections by dialect.", _sessions, ("dialect",), needs="node"),
    Metric("max_clients", "Clients that may be connected at once.", lambda it: it.loop.client_ceiling),
    Metric(
        "lines_total", "Lines that clients have sent.", lambda it: _by_dialect(it, lambda counts: counts.lines),
        ("dialect",), needs="node",
    ),
    Metric(
        "messages_total", "Messages to channels, and to single users.", lambda it: it.node.chat.outside.messages,
        ("kind",), needs="node",
    ),
    Metric(
        "deliveries_total", "Events that clients were told, messages above all.",
        lambda it: _by_dialect(it, lambda counts: counts.deliveries), ("dialect",), needs="node",
    ),
    Metric("received_bytes_total", "Bytes that connections have received.", lambda it: it.loop.table.received),
    Metric("sent_bytes_total", "Bytes that connections have sent.", lambda it: it.loop.table.sent),
    Metric("buffered_bytes", "Bytes that wait in the buffers of connections.", lambda it: it.loop.table.buffers.total),
    Metric("hashes_waiting", "Passwords that wait for a thread.", lambda it: it.passwords.waiting, needs="node"),
    Metric(
        "commit_seconds", "How long commits have taken, in a cluster until a majority of the engines had them.",
        lambda it: it.node.commits, needs="node", kind="histogram",
    ),
    Metric("links", "Links with other servers.", _links, needs="node"),
    Metric(
        "web_requests_total", "Requests of browsers: pages, handshakes, and those refused for a header.",
        lambda it: it.gateway.counts, ("outcome",), needs="gateway", word="web",
    ),
    Metric(
        "certificate_expiry_timestamp_seconds", "When the certificate for TLS expires, since the epoch.", _certificate,
        needs="tls", word="certificate-expires", show=utc_time,
    ),
    Metric("database_bytes", "Bytes of the database and its write-ahead log.", lambda it: it.store.size),
    Metric(
        "cluster_info", "This node of a cluster: its role and run, and the leader.", _role,
        ("node", "role", "run", "leader", "engine"), needs="replica", word=None,
    ),
    Metric(
        "cluster_primary", "Whether this node serves the clients.", lambda it: float(it.replica.is_primary),
        needs="replica", word=None,
    ),
    Metric(
        "cluster_applied", "The last entry of the log in this node's file.", _cluster("applied"),
        needs="replica", word=None,
    ),
    Metric("cluster_lag", "Entries of the log beyond that.", _cluster("lag"), needs="replica", word=None),
    Metric(
        "cluster_lease_seconds", "How long this node's output may still leave.", _cluster("lease"),
        needs="replica", word=None,
    ),
    Metric(
        "cluster_failovers_total", "How often another leader has followed.", _cluster("failovers"),
        needs="replica", word=None,
    ),
    Metric(
        "cluster_engine_changes_total", "How often the engine was lost.", _cluster("engine_changes"),
        needs="replica", word=None,
    ),
)  # fmt: skip


def collect(server: MeasuredServer) -> list[Family]:
    """Read all values that a server has now."""
    present = [metric for metric in METRICS if getattr(server, metric.needs, None) is not None]
    return [Family(metric, _values(metric.read(server))) for metric in present]


def _values(reading: Reading | Histogram) -> Mapping[tuple[str, ...], float] | Histogram:
    if isinstance(reading, Histogram):
        return reading
    if isinstance(reading, Mapping):
        return {key if isinstance(key, tuple) else (key,): value for key, value in reading.items()}
    return {(): reading}


class Line(NamedTuple):
    """A line of a report on a server: words, and values with their names."""

    words: str
    values: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return " ".join((self.words, *(f"{name}={value}" for name, value in self.values)))


def report(server: MeasuredServer) -> Iterator[Line]:
    """Return the lines about a server for the log and the operator."""
    if server.replica is not None:
        yield Line("cluster", tuple(server.replica.status.words()))
    node = getattr(server, "node", None)
    if node is None:
        return
    yield Line("statistics", tuple(words(collect(server))))
    if node.federation is not None:
        yield from map(Line, node.federation.statistics())


def words(families: Iterable[Family]) -> Iterator[tuple[str, str]]:
    """Return names and values for the log. Seconds are told in milliseconds, a histogram as its mean."""
    for metric, values in families:
        if metric.word is None:
            continue
        name = metric.word or metric.name.removesuffix("_total").replace("_", "-")
        if isinstance(values, Histogram):
            stem = name.removesuffix("-seconds")
            yield f"{stem}s", str(values.count)
            yield f"mean-{stem}-ms", f"{values.total / max(1, values.count) * 1000:.2f}"
        elif name.endswith("-seconds"):
            yield f"{name.removesuffix('-seconds')}-ms", f"{values[()] * 1000:.1f}"
        else:
            for labels, value in values.items():
                yield "-".join((name, *labels)), metric.show(value)
