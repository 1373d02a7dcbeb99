#!/usr/bin/env python3
"""Measure this server beside others, in the same work. Run by `make bench`.

Each server has one processor, and the clients have another one. The main figure is deliveries per second of the
server's processor time, all its threads together. The wall clock would also measure the clients, which are nearly as
busy. Rounds alternate between the servers, and medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench import loads, servers, situations
from bench.figures import YARDSTICK, Figures, table
from bench.servers import LOAD_PROCESSOR, Kind, Running
from harness.text import Failed

Measure = Callable[[Kind], dict[str, float]]


def play_load(load: loads.Load, generator: list[str], kind: Kind) -> dict[str, float]:
    """Start a server, play the load, and stop it."""
    with Running(kind) as server:
        return loads.run(load, server, generator)


def plan(generator: list[str], is_quick: bool, wanted: str) -> list[tuple[str, Measure, bool]]:
    """Return the rows whose names contain a text: name, how to measure it, and whether it is of all servers."""
    rows: list[tuple[str, Measure, bool]] = [
        (load.name, partial(play_load, load.tiny() if is_quick else load, generator), True) for load in loads.LOADS
    ]
    rows += situations.situations(0.01 if is_quick else 1)
    return [row for row in rows if wanted in row[0]]


def measure(rows: Sequence[tuple[str, Measure, bool]], kinds: list[Kind], rounds: int) -> Figures:
    """Measure each row in rounds, beginning with another server in each. What cannot be measured is said."""
    figures = Figures()
    for number in range(rounds):
        for name, measurement, is_of_all in rows:
            if not is_of_all and number >= (rounds + 1) // 2:
                continue  # these take long
            some = kinds if is_of_all else kinds[:1]
            for kind in some[number % len(some) :] + some[: number % len(some)]:
                say(f"round {number + 1} of {rounds}: {name}: {kind.name}")
                try:
                    figures.add(name, kind.name, measurement(kind))
                except (Failed, AssertionError, OSError, loads.WrongDelivery) as error:
                    say(f"  {kind.name} is left out here: {error}")
    return figures


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def circumstances(kinds: list[Kind], rounds: int) -> dict[str, Any]:
    """Return where and with what it was measured."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "command": " ".join(["python", "-m", "bench", *sys.argv[1:]]),
        "rounds": rounds,
        "machine": f"{os.cpu_count()} processors, {model[0].partition(': ')[2] if model else platform.machine()}",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "servers": {kind.name: servers.version(kind) for kind in kinds},
    }


def relative(figures: Figures, names: list[str]) -> dict[str, dict[str, float]]:
    """Return the deliveries of each load as multiples of the yardstick's, or of the first server's without one."""
    result = {}
    for row, figure in figures.rows():
        medians = figures.medians(row, figure)
        base = medians.get(YARDSTICK) or medians.get(names[0])
        if figure == loads.DELIVERIES and base:
            result[row] = {name: value / base for name, value in medians.items()}
    return result


def write(path: str, figures: Figures, facts: Mapping[str, Any]) -> None:
    """Write the JSON and, with matplotlib, the picture."""
    from bench import picture

    with open(f"{path}.json", "w", encoding="utf-8") as file:
        json.dump({**facts, "figures": figures.as_json()}, file, indent=1)
        file.write("\n")
    names, values = list(facts["servers"]), relative(figures, list(facts["servers"]))
    if not values:
        return  # only rows without deliveries were measured
    base = YARDSTICK if YARDSTICK in names else names[0]
    peers = ", ".join(short(words) for name, words in facts["servers"].items() if name in ("ngIRCd", "InspIRCd"))
    note = (
        f"deliveries for each second of processor time, as a multiple of {base}; only {names[0]} stores messages\n"
        f"{facts['command']}\n{facts['machine']}, {facts['python']}, {peers or 'no IRC server'}"
    )
    try:
        picture.draw(f"{path}.svg", values, names, note)
    except ImportError:
        say("no picture: .venv/bin/python -m pip install -r bench/requirements.txt")


def short(version: str) -> str:
    """Return the first part of a version: ngIRCd tells with what it was built, too."""
    return version.partition("-IDENT")[0]


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3, help="of each row; medians are shown (default 3)")
    parser.add_argument("--rows", default="", metavar="TEXT", help="only rows with this in their names")
    parser.add_argument("--servers", default="", metavar="TEXT", help="only servers with this in their names, and ours")
    parser.add_argument(
        "--out", metavar="PATH", help="write PATH.json and PATH.svg (default docs/speed; quick: nothing)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round with a hundredth of the work, to see that it runs"
    )
    parsed = parser.parse_args(words)
    if parsed.quick:
        parsed.rounds = 1
    elif parsed.out is None:
        parsed.out = "docs/speed"
    return parsed


def main() -> int:
    """Measure, and print the table. Return the exit status: 1 if this server has failed somewhere."""
    chosen = options()
    os.sched_setaffinity(0, {LOAD_PROCESSOR})
    with tempfile.TemporaryDirectory() as directory:
        every = servers.kinds(Path(directory))
        for kind in every:
            if kind.absent:
                say(f"{kind.name} is left out: {kind.absent}")
        kinds = [kind for kind in every if not kind.absent and (kind is every[0] or chosen.servers in kind.name)]
        generator = loads.generator(Path(directory))
        rows = plan(generator, chosen.quick, chosen.rows)
        facts = circumstances(kinds, chosen.rounds)
        figures = measure(rows, kinds, chosen.rounds)
    print(*(f"{name}: {value}" for name, value in facts.items() if name != "servers"), sep="\n")
    print(*(f"{name}: {value}" for name, value in facts["servers"].items()), sep="\n", end="\n\n")
    print(table(figures, [kind.name for kind in kinds]))
    if chosen.out:
        write(chosen.out, figures, facts)
    ours = {row for row, figure in figures.rows() if every[0].name in figures.medians(row, figure)}
    return 0 if ours == {name for name, _measure, _is_of_all in rows} else 1


if __name__ == "__main__":
    sys.exit(main())
