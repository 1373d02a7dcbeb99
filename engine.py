#!/usr/bin/env python3
"""Starts and stops the engines that keep a cluster's log. `./engine.py --help` tells how; docs/cluster.md tells why."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import ipaddress
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from app.bootstrap import ENVIRONMENT
from app.commandline import OneLineParser, port_number
from replica import engines
from replica.engines import COUNTS, EngineError, EngineProcess, LogState, Plan, waited
from replica.password import PasswordError, read_password

USAGE = """\
engine.py start [options]
       engine.py start K ADDRESS ADDRESS ADDRESS --password-file FILE [--tls-certificate FILE --tls-key FILE] [options]
       engine.py status
       engine.py stop
       engine.py restart K"""

MANUAL = """\
`start` runs three engines on this machine, at 127.0.0.1:4222 to 4224, and returns when a log can be made. A second
`start` starts those that are missing. With addresses it runs one engine: on each of three machines the same addresses
in the same order, and K says which of them this machine is. An engine goes on when the terminal or a node ends.

Each engine takes two more ports: its own plus 100 for the other engines, and plus 200, on 127.0.0.1 alone, for its
health. Its data is in a directory below `engines/`, with its configuration and its log.

`status` shows the engines, and each cluster's log with its copies. `restart K` stops and starts one engine, or starts
one that is dead, and waits until each copy is current: so update engines one after the other.

Exit status: 0; 1 where something was wrong, for `status` also while an engine does not run.
"""

PLAN = "plan.json"
PASSWORD = "password"

STARTING = ("port", "engines", "password_file", "tls_certificate", "tls_key", "tls_ca")
"""Options that `start` alone takes, and that are remembered."""


def parse_command_line(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; exit with status 1 and one line if it is wrong."""
    parser = OneLineParser(
        words,
        prog="engine.py",
        usage=USAGE,
        description="The engines (NATS JetStream) that keep the log of a cluster.",
        manual=lambda: MANUAL,
    )
    add = parser.add_argument
    add("command", choices=COMMANDS, help="what to do")
    add("words", nargs="*", metavar="K, addresses", help="which engine; and the addresses of all machines")
    add("--port", type=port_number(1), metavar="N", help="the first engine's port (default 4222)")
    add("--engines", type=int, choices=COUNTS, metavar="N", help="how many engines run here: 1, 3 or 5 (default 3)")
    add("--directory", default="engines", metavar="D", help="where their data is (default: engines)")
    add("--password-file", metavar="FILE", help="a file with the password that nodes need; without it, none do")
    add("--tls-certificate", metavar="FILE", help="a certificate with the engines' addresses; then all of them use TLS")
    add("--tls-key", metavar="FILE", help="its key")
    add("--tls-ca", metavar="FILE", help="the certificates that engines trust of each other (default: their own)")
    add("--binary", metavar="PATH", help="the program nats-server (default: that of ./setup --engine, or of the PATH)")
    arguments = parser.parse_intermixed_args(words)
    _check(arguments, parser)
    return arguments


def _check(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Refuse words and options that the command does not take."""
    command, rest = arguments.command, arguments.words
    takes = {"start": (0, *(count + 1 for count in COUNTS)), "restart": (1,)}.get(command, (0,))
    if len(rest) not in takes:
        parser.error(f"{command} needs {WORDS[command]}, not {len(rest)} words")
    if rest:
        count = len(rest) - 1 if command == "start" else max(COUNTS)
        if not (rest[0].isascii() and rest[0].isdigit() and 1 <= int(rest[0]) <= count):
            parser.error(f"argument K: {rest[0]!r} is not a number from 1 to {count}")
    for option in STARTING:
        if command != "start" and getattr(arguments, option) is not None:
            parser.error(f"--{option.replace('_', '-')} belongs to start; {command} remembers it")
    if (arguments.tls_certificate is None) != (arguments.tls_key is None):
        parser.error("--tls-certificate and --tls-key belong together")
    if arguments.tls_ca is not None and arguments.tls_key is None:
        parser.error("--tls-ca is for --tls-certificate")
    if command in ("status", "stop") and arguments.binary:
        parser.error("--binary belongs to start and restart")
    if len(rest) > 1:
        if arguments.engines is not None:
            parser.error("--engines is for engines on one machine, so without addresses")
        arguments.words = [rest[0], *(_ip_address(word, parser) for word in rest[1:])]
        if len(set(arguments.words[1:])) < len(rest) - 1:
            parser.error("an address stands twice; each engine needs one of its own")
    if (arguments.port or 0) + engines.HEALTH_PORT + max(COUNTS) > 65535:
        parser.error("argument --port: health ports would lie above 65535; choose a port up to 65330")


def _ip_address(word: str, parser: argparse.ArgumentParser) -> str:
    try:
        address = ipaddress.ip_address(word)
    except ValueError:
        parser.error(f"{word!r} is not an IP address")
    if address.is_unspecified:
        parser.error(f"{word} is all addresses; name the one at which the other machines reach this engine")
    return str(address)


WORDS = {
    "start": "no words, or K and the addresses of 1, 3 or 5 machines",
    "status": "no words",
    "stop": "no words",
    "restart": "one K",
}


# ---- the directory ----


@contextlib.contextmanager
def locked(directory: str, *, make: bool) -> Iterator[None]:
    """Keep other runs of this program out of the directory.

    Raises:
        EngineError: it cannot be used.
    """
    try:
        if make:
            os.makedirs(directory, mode=0o700, exist_ok=True)
        with open(os.path.join(directory, "lock"), "a", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except FileNotFoundError as error:
        raise EngineError(f"no engine was started in {directory}; name another directory: --directory D") from error
    except OSError as error:
        raise EngineError(f"cannot use the directory {directory}: {error.strerror}") from error


def read_plan(directory: str) -> Plan | None:
    """Return the plan of the engines in a directory; None where nothing was started yet."""
    try:
        with open(os.path.join(directory, PLAN), encoding="utf-8") as file:
            found = json.load(file)
            return Plan([engines.Engine(*each) for each in found["engines"]], found["own"], found.get("tls", []))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise EngineError(f"{directory}/{PLAN} is damaged: {error}") from error


def known_plan(directory: str) -> Plan:
    """Return the plan of the engines in a directory.

    Raises:
        EngineError: nothing was started there.
    """
    plan = read_plan(directory)
    if plan is None:
        raise EngineError(f"no engine was started in {directory}; name another directory: --directory D")
    return plan


def kept_password(directory: str) -> str:
    """Return the password with which the engines in a directory were started."""
    with open(os.path.join(directory, PASSWORD), encoding="utf-8") as file:
        return file.read()


def processes(plan: Plan, directory: str) -> list[EngineProcess]:
    """Return the engines of this machine."""
    return [EngineProcess(plan, number, directory) for number in plan.own]


def runs(plan: Plan, directory: str) -> bool:
    """Return whether any engine of this machine runs."""
    return any(process.pid for process in processes(plan, directory))


# ---- commands ----


def start(arguments: argparse.Namespace) -> int:
    """Start the engines that do not run."""
    directory: str = arguments.directory
    binary = engines.find_binary(arguments.binary, ENVIRONMENT)
    with locked(directory, make=True):
        known = read_plan(directory)
        plan, password = wanted(arguments, known)
        if known is not None and (plan, password) != (known, kept_password(directory)) and runs(known, directory):
            raise EngineError(f"engines in {directory} run with other options; stop them first: engine.py stop")
        own = processes(plan, directory)
        engines.write_private(os.path.join(directory, PASSWORD), password)
        engines.write_private(os.path.join(directory, PLAN), json.dumps(plan._asdict()))
        missing = [process for process in own if process.pid is None]
        for process in missing:
            process.configure(password)
            process.start(binary)
            waited(lambda: False, engines.PAUSE_SECONDS)
        wait_until_ready(plan, own)
    for process in own:
        print(f"engine {process.number} {'runs' if process in missing else 'ran already'} at {process.engine}")
    return 0


def wanted(arguments: argparse.Namespace, known: Plan | None) -> tuple[Plan, str]:
    """Return the plan and the password of a command line; without any option they are the same as before."""
    number, *hosts = arguments.words or [None]
    if known is not None and not hosts and {getattr(arguments, option) for option in STARTING} == {None}:
        return known, kept_password(arguments.directory)
    port, tls = arguments.port or 4222, certificates(arguments)
    password = "" if arguments.password_file is None else read_password(arguments.password_file)
    if not hosts:
        return Plan.on_one_machine(arguments.engines or 3, port)._replace(tls=tls), password
    if not password and not all(host == engines.LOOPBACK for host in hosts):
        print("engine.py: without --password-file everybody who reaches an engine can write", file=sys.stderr)
    return Plan.on_machines(int(number), hosts, port)._replace(tls=tls), password


def certificates(arguments: argparse.Namespace) -> list[str]:
    """Return the absolute paths of the files of TLS, see `Plan.tls`.

    Raises:
        EngineError: they cannot be used.
    """
    if arguments.tls_certificate is None:
        return []
    from net.tls import CertificateError, client_context, server_context

    authorities = arguments.tls_ca or arguments.tls_certificate
    try:
        server_context(arguments.tls_certificate, arguments.tls_key)
        client_context(authorities)
    except CertificateError as error:
        raise EngineError(str(error)) from error
    return [os.path.abspath(path) for path in (arguments.tls_certificate, arguments.tls_key, authorities)]


def wait_until_ready(plan: Plan, own: Sequence[EngineProcess]) -> None:
    """Wait until a log can be made; for engines of other machines only a moment.

    Raises:
        EngineError: an engine ended, or it takes too long.
    """

    def ready() -> bool:
        for process in own:
            if process.pid is None:
                raise EngineError(f"engine {process.number} has ended: {process.why_it_ended()}")
        return all(process.is_ready for process in own)

    is_alone = len(own) == len(plan.engines)
    if waited(ready, engines.START_SECONDS if is_alone else engines.OTHERS_SECONDS):
        return
    if is_alone:
        raise EngineError(f"the engines do not agree in {engines.START_SECONDS:.0f} seconds; see engine.py status")
    print("no log can be written until more engines run; start them on the other machines", file=sys.stderr)


def stop(arguments: argparse.Namespace) -> int:
    """Stop the engines of this machine."""
    directory: str = arguments.directory
    with locked(directory, make=False):
        for process in processes(known_plan(directory), directory):
            ran = process.pid is not None
            process.stop()
            print(f"engine {process.number} {'has stopped' if ran else 'did not run'}")
    return 0


def restart(arguments: argparse.Namespace) -> int:
    """Stop and start one engine, or start a dead one, and wait until each copy is current."""
    directory, number = arguments.directory, int(arguments.words[0])
    binary = engines.find_binary(arguments.binary, ENVIRONMENT)
    with locked(directory, make=False):
        plan = known_plan(directory)
        if number not in plan.own:
            raise EngineError(f"engine {number} is not one of this machine's: {', '.join(map(str, plan.own))}")
        process = EngineProcess(plan, number, directory)
        if process.pid is not None:
            process.step_aside()
            process.stop()
        process.configure(kept_password(directory))
        process.start(binary)
        wait_until_ready(plan, [process])
        if not waited(lambda: all(log.is_current for log in logs(plan, directory)), engines.START_SECONDS):
            raise EngineError(f"engine {number} runs, but not every copy is current yet; see engine.py status")
    print(f"engine {number} runs at {process.engine}, and every copy is current")
    return 0


def logs(plan: Plan, directory: str) -> list[LogState]:
    """Return the state of every log that an engine of this machine knows."""
    running = [process for process in processes(plan, directory) if process.pid is not None]
    names = sorted({log["name"] for process in running for log in process.health_of_logs()})
    for process in running if names else ():
        with contextlib.suppress(EngineError):
            return complete(ask(plan, process, names, kept_password(directory)), names)
    return complete([], names)


def ask(plan: Plan, process: EngineProcess, names: Sequence[str], password: str) -> list[LogState]:
    """Ask an engine of this machine for the state of logs, see `replica.engines.ask_for_logs`."""
    return engines.ask_for_logs(process.engine, names, password, plan.tls[0] if plan.tls else "")


def complete(found: Sequence[LogState], names: Sequence[str]) -> list[LogState]:
    """Add the logs about which no leader has answered."""
    states = {state.cluster: state for state in found}
    clusters = [name.removeprefix("CT_") for name in names]
    return [states.get(cluster, LogState(cluster, 0, 0, 0, ())) for cluster in clusters]


def status(arguments: argparse.Namespace) -> int:
    """Show the engines, and each log with its copies."""
    directory: str = arguments.directory
    plan = known_plan(directory)
    own = {process.number: process for process in processes(plan, directory)}
    rows = [("engine", "address", "state", "pid", "version")]
    for engine in plan.engines:
        process = own.get(engine.number)
        rows.append((str(engine.number), str(engine), *(described(process) if process else ("elsewhere", "", ""))))
    print_table(rows)
    states = logs(plan, directory)
    if states:
        print()
        print_table([("log", "entries", "bytes", "copies"), *map(log_row, states)])
    return 0 if all(process.pid for process in own.values()) else 1


def described(process: EngineProcess) -> tuple[str, str, str]:
    """Return an engine's state, process and version."""
    pid = process.pid
    if pid is None:
        return "stopped", "", ""
    known = process.health("/varz")
    state = "ready" if process.is_ready else "waits for others" if known else "does not answer"
    return state, str(pid), str(known.get("version", ""))


def log_row(log: LogState) -> tuple[str, str, str, str]:
    """Return a log's row of the table."""
    if not log.copies:
        return log.cluster, "", "", "no leader"
    copies = ", ".join(
        f"{copy.engine} {copy.state}{f' by {copy.lag} entries' if copy.lag else ''}" for copy in log.copies
    )
    entries = f"{log.first} to {log.last}" if log.last >= log.first else "none"
    return log.cluster, entries, f"{log.size:,}", copies


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())


COMMANDS: dict[str, Callable[[Any], int]] = {"start": start, "status": status, "stop": stop, "restart": restart}


def main(words: Sequence[str]) -> int:
    """Carry out one command; return the exit status."""
    arguments = parse_command_line(words)
    try:
        code = COMMANDS[arguments.command](arguments)
        sys.stdout.flush()
        return code
    except (EngineError, PasswordError) as error:
        print(f"engine.py: {error}", file=sys.stderr)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would fail once more
        print(f"engine.py: {error.strerror}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    sys.exit(main(sys.argv[1:]))
