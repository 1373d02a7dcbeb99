"""What the nodes of a cluster and the log of its engines have."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator, Sequence

from domain.changes import Said
from harness.cluster import Cluster, ClusterNode, wait_for
from harness.text import LOOPBACK
from replica import nats, wire
from replica.names import sequence_of
from store import Store

CHANNEL = "garden"
"""The channel whose messages are compared."""


def in_file(node: ClusterNode) -> list[str]:
    """Return the texts that a node's file has, in order."""
    store = Store(str(node.database), is_copy=True)
    try:
        _count, pages = store.history(CHANNEL, 10**9)
        return [said.text for page in pages for said in page]
    finally:
        store.close()


def in_log(cluster: Cluster) -> list[str]:
    """Return the texts that the engines' log has, in order."""
    return [
        change.text
        for entry in read_log(cluster.engines.port, cluster.name)
        for change in entry.changes
        if isinstance(change, Said)
    ]


def read_log(port: int, cluster: str) -> Iterator[wire.Entry]:
    """Read a cluster's log from its beginning. Raises OSError."""
    decoder = nats.Decoder()
    with socket.create_connection((LOOPBACK, port), 5.0) as sock:
        sock.send(nats.connect("chaos", "", "") + nats.subscribe("_INBOX.chaos", 1))
        sequence = 1
        while True:  # from the first entry that a purge has left
            request = json.dumps({"seq": sequence, "batch": 256, "max_bytes": 1_000_000}).encode()
            sock.send(nats.publish(f"$JS.API.DIRECT.GET.CT_{cluster}", request, "_INBOX.chaos"))
            messages: list[nats.Message] = []
            while not messages or not messages[-1].status:
                messages += (frame for frame in decoder.feed(sock.recv(1 << 20)) if isinstance(frame, nats.Message))
            *entries, _end = messages
            if not entries:
                return
            sequence = sequence_of(entries[-1]) + 1
            yield from (wire.decode(entry.payload) for entry in entries)


def append(port: int, cluster: str, *payloads: bytes) -> None:
    """Append entries to a cluster's log, as a node that leads would. Raises OSError."""
    decoder = nats.Decoder()
    with socket.create_connection((LOOPBACK, port), 30.0) as sock:
        sock.send(nats.connect("chaos", "", "") + nats.subscribe("_INBOX.chaos", 1))
        left = len(payloads)
        for payload in payloads:
            sock.send(nats.publish(f"ct.{cluster}.j", payload, "_INBOX.chaos"))
        while left:
            left -= sum(isinstance(frame, nats.Message) for frame in decoder.feed(sock.recv(1 << 20)))


def agree(nodes: Sequence[ClusterNode]) -> None:
    """Wait until all nodes have the same part of the log. Raises Failed."""
    wait_for(lambda: len({applied(node) for node in nodes}) == 1, "agreement of the nodes", 60)


def times_logged(nodes: Sequence[ClusterNode], text: str) -> int:
    """Count the lines of the nodes' logs that have this text."""
    return sum(text in line for node in nodes for line in node.past_log)


def applied(node: ClusterNode) -> str:
    """Ask a node up to where it has the log."""
    before = len(node.log)

    def told() -> str | None:
        node.send_signal(signal.SIGUSR1)  # again, since a program that begins again may have missed it
        time.sleep(0.1)
        return next((line for line in reversed(node.log[before:]) if " applied=" in line and " lag=" in line), None)

    return wait_for(told, "a status line").split(" applied=")[1].split()[0]
