"""Messages in channels, in the same way for each server: deliveries, their cost and their latency."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from bench.servers import LOAD_PROCESSOR, Running, build
from harness.processes import ROOT

DELIVERIES = "deliveries/CPU s"
BYTES = 64
"""The length of a message."""


class WrongDelivery(Exception):
    """A message was lost, altered, repeated or out of order."""


class Load(NamedTuple):
    """A row of messages: what the program `generator` is told.

    Args:
        name: in the table.
        channels, members, senders: so many channels, members and senders of each.
        messages: of each sender.
        window: messages of one sender that its neighbour has not received.
        rate: messages a second of all senders together, on a fixed schedule; 0 for as many as the window lets pass.
    """

    name: str
    channels: int
    members: int
    senders: int
    messages: int
    window: int = 5
    rate: float = 0

    def tiny(self) -> Load:
        """Return a hundredth of this load, which measures nothing, but runs in a moment."""
        channels, members = max(self.channels // 10, 1), max(self.members // 10, self.senders + 1)
        return self._replace(channels=channels, members=members, messages=max(self.messages // 20, 1))


LOADS = (
    Load("fan-out to 100 members", 1, 100, 10, 2000),
    Load("fan-out to 1000 members", 1, 1000, 10, 200),
    Load("180 channels of 5, window 1", 180, 5, 1, 200, window=1),
    Load("180 channels of 5, window 5", 180, 5, 1, 400),
    Load("500 messages/s to 100 members", 1, 100, 10, 200, rate=500),
)


def generator(directory: Path) -> list[str]:
    """Return the command of the generator: the C program, compiled into this directory, or else the one in Python."""
    program = build("generator", directory, "-DWITH_TLS", "-lssl", "-lcrypto") or build("generator", directory)
    return [str(program)] if program else [sys.executable, "-m", "bench.generator"]


def run(load: Load, server: Running, generator: list[str]) -> dict[str, float]:
    """Play the load against a server.

    Args:
        generator: its command, without the words that describe the load.

    Returns:
        The figures by name.

    Raises:
        WrongDelivery: the server lost, changed or repeated something.
    """
    numbers = (load.channels, load.members, load.senders, load.messages, load.window, load.rate, BYTES)
    wire = f"{server.kind.wire}+tls" if server.kind.tls else server.kind.wire
    words = [wire, str(server.port), *(str(number) for number in numbers)]
    with subprocess.Popen(
        [*generator, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin and process.stdout, "they are pipes"
        os.sched_setaffinity(process.pid, {LOAD_PROCESSOR})
        ready = process.stdout.readline()
        before = server.processor_seconds()
        with contextlib.suppress(BrokenPipeError):  # it has ended early, which the missing report shows
            os.write(process.stdin.fileno(), b"go\n")
        done = process.stdout.readline()
        spent = server.processor_seconds() - before
        report = process.stdout.readline()
    if not (ready and done and report):
        raise WrongDelivery(f"{server.kind.name}, {load.name}: the load could not be played")
    return figures(load, json.loads(report), spent, server.kind.name)


def figures(load: Load, report: dict[str, float | str], spent: float, name: str) -> dict[str, float]:
    """Return what a report of the generator says, and the seconds of the processor that the server has spent.

    Raises:
        WrongDelivery: the report complains.
    """
    if report["wrong"]:
        raise WrongDelivery(f"{name}, {load.name}: {report['wrong']}")
    result = {DELIVERIES: float(report["deliveries"]) / spent}
    if load.rate:
        result["p50 ms"], result["p99 ms"] = float(report["p50"]) / 1000, float(report["p99"]) / 1000
    return result
