"""What the tests of the case runner share: a small server that does what a client tells it, and scripts for it."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator
from pathlib import Path

from harness.actors import Stage
from harness.language import Case, parse
from harness.player import perform, play
from harness.processes import (
    Settings,
)
from harness.report import Failure, Outcome, Record, describe

# It sends a line back, unless that begins with `!`: then the rest is Python for it to run, as in its config.
FAKE_SERVER = """
import os, select, signal, socket, struct, sys, threading

def log(text):
    os.write(2, text.encode() + b"\\n")

def wait():
    threading.Event().wait()

def serve(client):
    def send(data):
        client.sendmsg([data.encode() if isinstance(data, str) else data])
    def say(*values):
        send(" ".join(map(str, values)) + "\\n")
    def bye():
        client.shutdown(socket.SHUT_RDWR)
    def reset():
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(client.detach())
    names = {**globals(), "client": client, "send": send, "say": say, "bye": bye, "reset": reset}
    try:
        for line in client.makefile("rb"):
            exec(line[1:], names) if line.startswith(b"!") else send(line)
        say("end")
        bye()
    except OSError:
        pass

def dial(port, address="127.0.0.1"):
    peer = socket.create_connection((address, port))
    threading.Thread(target=serve, args=(peer,), daemon=True).start()

def is_found(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

def read_console():
    for line in sys.stdin:
        print("typed", line, end="", flush=True)

port = int(sys.argv[1])
address = "127.0.0.1"
config = open(sys.argv[2]).read().splitlines() if sys.argv[2:] else []
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
threading.Thread(target=read_console, daemon=True).start()
for line in config:
    if line.startswith("!"):
        exec(line[1:])
# A signal that comes just before `select` wakes it too.
woken, waker = socket.socketpair()
waker.setblocking(False)
signal.set_wakeup_fd(waker.fileno())
listener = socket.create_server((address, port))
log("INFO ready port=%d" % port)
while listener in select.select([listener, woken], [], [])[0]:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def script(text: str) -> Case:
    return parse(textwrap.dedent(text))


def connected(text: str) -> Case:
    """A script that starts a server, connects `c` to it, and goes on from line 3."""
    return script("server @ 5050\nc ~ server\n" + textwrap.dedent(text).strip())


def check_passes(case: Case, settings: Settings) -> Record:
    record = play(case, settings)
    assert record.outcome is Outcome.PASSED, describe(record)
    return record


def check_fails(case: Case, settings: Settings) -> Failure:
    record = play(case, settings)
    assert record.outcome is Outcome.FAILED
    assert record.error
    return record.error


PASSING = "server @ 5050\nc ~ server\nc > hi\nc < hi\n"


@contextlib.contextmanager
def staged(case: Case, settings: Settings, directory: Path) -> Iterator[Stage]:
    """A stage on which all steps but the last one have been played; its servers are stopped at the end."""
    stage = Stage(case.roles, settings, directory)
    try:
        for step in case.steps[:-1]:
            perform(stage, step)
        yield stage
    finally:
        stage.close()
