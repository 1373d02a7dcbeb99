#!/usr/bin/env python3
"""What becomes of what a server has acknowledged when it is killed under load? Run by `make kill`.

In each round a server is started with the same database, and clients of every dialect speak there. It ends by SIGKILL
at a random moment. At the end everything that was acknowledged must be in the database, once.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from harness.servers import ServerProcess
from harness.text import Failed
from tools.speakers import SPEAKERS, Ports, Speaker, Verdict, judge, prepare
from tools.verdicts import print_verdict

SPEAKING_SECONDS = 30.0
"""In this time every speaker must have got an answer."""

LONGEST = 0.15
"""Seconds that all speak before the kill, at most."""


def one_round(directory: Path, ports: Ports, database: Path, tag: str, seconds: float) -> list[Speaker]:
    """Start a server, let all speak, and kill it; return the speakers.

    Raises:
        Failed: a speaker gets no answer.
    """
    with ServerProcess(directory, *ports.config(database), port=None) as server:
        speakers = [Speaker(row, getattr(ports, row.port), tag) for row in SPEAKERS]
        for speaker in speakers:
            speaker.start()
        for speaker in speakers:
            if not speaker.has_spoken.wait(SPEAKING_SECONDS):
                raise Failed(f"{speaker.name} gets no answer in round {tag}: {server.log[-5:]}")
        time.sleep(seconds)
        server.signal(signal.SIGKILL)
        for speaker in speakers:
            speaker.stopped.set()
        server.wait()
        for speaker in speakers:
            speaker.join()
    return speakers


def run(rounds: int, rng: random.Random) -> tuple[Verdict, list[Speaker]]:
    """Run so many rounds with one database; return the verdict, and all speakers. Raises Failed."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        database, ports = directory / "chat.sqlite3", Ports.free()
        prepare(database)
        speakers: list[Speaker] = []
        for number in range(1, rounds + 1):
            speakers += one_round(directory, ports, database, str(number), rng.uniform(0, LONGEST))
            if sys.stderr.isatty():
                print(f"\rround {number} of {rounds}", end="", file=sys.stderr, flush=True)
        return judge(database, speakers), speakers


def report(rounds: int, verdict: Verdict, speakers: list[Speaker]) -> None:
    """Print what was counted, and the verdict."""
    said, acknowledged = (sum(count) for count in zip(*((len(s.said), s.acknowledged) for s in speakers), strict=True))
    print(f"{rounds} kills, {said} messages sent, {acknowledged} acknowledged")
    for row in SPEAKERS:
        mine = [speaker for speaker in speakers if speaker.row is row]
        print(f"  {row.name:10} {sum(speaker.acknowledged for speaker in mine):8} acknowledged")
    print_verdict(verdict._asdict(), is_good=bool(verdict))


def main() -> int:
    """Run; the exit status is 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=500, help="how often the server is killed (default 500)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats the moments of the kills")
    arguments = parser.parse_args()
    print(f"--seed {arguments.seed}", file=sys.stderr)
    try:
        verdict, speakers = run(arguments.rounds, random.Random(arguments.seed))
    except (Failed, AssertionError) as failure:
        print(f"verdict: BAD, {failure}")
        return 1
    report(arguments.rounds, verdict, speakers)
    return 0 if verdict else 1


if __name__ == "__main__":
    sys.exit(main())
