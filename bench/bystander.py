"""`python -m bench.bystander PORT`: sends PING and writes how long each answer took, until a line comes in."""

from __future__ import annotations

import json
import select
import sys
import time

from harness.peer import Peer

INTERVAL = 0.001  # seconds


def main() -> None:
    """Write `ready`, then a JSON list of milliseconds."""
    peer = Peer(int(sys.argv[1]))
    peer.ask("PING")
    print("ready", flush=True)
    samples = []
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        started = time.perf_counter()
        peer.ask("PING")
        samples.append((time.perf_counter() - started) * 1000)
    print(json.dumps(samples))


if __name__ == "__main__":
    main()
