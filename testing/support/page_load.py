"""Does the page stay smooth while lines come fast? `make smooth` measures it in Chromium, and ends with a verdict.

A task of the page's main thread may take at most TASK_MS of processor time. A frame may draw ROWS rows, and must show
the newest line. Time on the clock is told as well, but other programs may have the processor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from support.chromium import Tab
from support.page_stage import ROWS_A_FRAME, WATCH_FRAMES, Stage

RATE = 500
"""Lines a second."""

TASK_MS = 100.0

MAIN_THREAD = "CrRendererMain"


def flood(stage: Stage, channel: str, seconds: float) -> int:
    """Have a netcat send lines to a channel at the rate; return how many."""
    _name, peer = stage.member(channel)
    begin, sent, total = time.monotonic(), 0, int(RATE * seconds)
    while sent < total:
        due = min(total, 1 + int((time.monotonic() - begin) * RATE))
        peer.send(*(f"SAY {channel} line {number} of https://example.org/{number}." for number in range(sent, due)))
        sent = due
        time.sleep(0.01)
    return total


def main_tasks(page: Tab) -> list[dict[str, Any]]:
    """End the trace; return the tasks of the page's main thread."""
    page.call("Tracing.end")
    page.wait("0", lambda _: page.events[-1][0] == "Tracing.tracingComplete")
    traced = [event for name, params in page.events if name == "Tracing.dataCollected" for event in params["value"]]
    names = {(event["pid"], event["tid"]): event["args"]["name"] for event in traced if event["name"] == "thread_name"}
    tasks = [event for event in traced if event["name"].endswith("RunTask") and "tdur" in event]
    return [task for task in tasks if names[task["pid"], task["tid"]] == MAIN_THREAD]


def measure(stage: Stage, seconds: float) -> bool:
    """Measure, and print what was found; return whether it is smooth."""
    page = stage.page(stage.account("mill"))
    page.sees("#mill", "#title")
    page.js(WATCH_FRAMES)
    page.call("Tracing.start", traceConfig={"includedCategories": ["toplevel"], "excludedCategories": ["*"]})
    begin = time.monotonic()
    total = flood(stage, "mill", seconds)
    page.sees(f"line {total - 1} ", "#log")
    rate = total / (time.monotonic() - begin)
    tasks = main_tasks(page)
    processor, clock = (max(task[kind] for task in tasks) / 1000 for kind in ("tdur", "dur"))
    rows, astray = page.js("[Math.max(...window.rows), window.astray]")
    print(f"{rate:.0f} lines a second in {page.js('window.rows.length')} frames, {rows} rows at most in one of them")
    print(f"longest task: {processor:.0f} ms of the processor, {clock:.0f} ms on the clock")
    return bool(processor < TASK_MS and rows <= ROWS_A_FRAME and not astray)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as directory:
        stage = Stage(Path(directory))
        try:
            is_smooth = measure(stage, seconds)
        finally:
            stage.close()
    print("verdict:", "good" if is_smooth else "BAD")
    raise SystemExit(not is_smooth)


if __name__ == "__main__":
    main()
