#!/usr/bin/env python3
"""The client: a chat window on a terminal, and between pipes a netcat, or a chat without a window.

`client.py --help` tells how to use it. Rules that hold everywhere in the client:

- Text from the network is cleaned in one place, `ui.connection.LineConnection`: no control character reaches a screen
  or a pipe.
- Every buffer is bounded, by back-pressure in both directions. Input is read only as fast as the server takes it, and
  the network only as fast as the screen shows it.
- Between pipes the client starts quickly: the standard library alone, and little of it. Modules for the terminal
  (prompt_toolkit, asyncio) are imported by the functions that use them.
- On a terminal the main thread owns the dialect, the files and the screen, and a second thread owns the loop and its
  connection. Between pipes the main thread owns all of these. Calls into another thread go through `call_threadsafe`.

Reading order, in `ui/`:

1. `options.py`     the command line, and `preferences.py` the settings file; `manual.py` has the long help
2. `dialects/`      the client's side of each dialect; what they share is in `base.py`. Pure
3. `connection.py`  lines to and from the server. `places.py`: its addresses; `requests.py`: requests without an answer.
   `failover.py`: the next server when one is lost; `reconnecting.py`, `unconfirmed.py`: the same for a terminal
4. `transfers.py`   the lines that carry files; `files.py`: names of files, reading and writing
5. `pipes.py`       the netcat, and the chat without a screen; `failover_pipes.py`: the same with several servers;
   `streams.py`: the standard descriptors
6. `script.py`      one message or one history for a script
7. `rendering.py`   lines for the screen; `clock.py`, `wrapping.py`, `toolbar.py` draw them. Pure
8. `terminal.py`    ties dialect, files, server and screen together; `sending.py`: what it sends, and when;
   `screens.py`, `editor.py`: the line being typed

A new dialect is another module of `dialects/`: pipes, terminal and screens see only a `ClientDialect`.
"""

from __future__ import annotations

import sys

from ui.options import parse_command_line

if __name__ == "__main__":
    OPTIONS = parse_command_line(sys.argv[1:])  # refused before anything else is loaded

import argparse
import contextlib
import os
from functools import partial

from app import bootstrap
from net.watched import AnySocket
from ui.dialects import DIALECTS, never_recognise, recognise_greeting, result_client
from ui.dialects.base import ClientDialect, Recogniser
from ui.first_line import Start
from ui.options import complete
from ui.places import RETRY_SECONDS, Places, find, places_of
from ui.streams import STDIN, STDOUT, print_error
from ui.ttys import without_echo


def dialect_for(options: argparse.Namespace, password: str = "") -> ClientDialect:
    """Load the dialect that the command line names, with the user's name if there is one."""
    if options.dialect == "result":
        return result_client(options.user or "", password, getattr(options, "channels", ()))
    dialect = DIALECTS[options.dialect]()
    if options.name is not None:
        dialect.take_name(options.name)
    return dialect


def main(options: argparse.Namespace) -> int:
    """Run the client as the command line says; return the exit status."""
    bootstrap.occupy_standard_descriptors()
    if options.script:
        return run_script(options)
    on_terminal = os.isatty(STDIN) and os.isatty(STDOUT)
    password = ""
    if on_terminal:
        bootstrap.use_environment("prompt_toolkit")  # may start this program again, so it comes first
        password = with_settings(options)
    elif options.user:
        return print_error("--user is for a terminal and for scripts; between pipes LOGIN is a line like others")
    dialect = dialect_for(options, password)
    recognise = recognise_greeting if options.guessed else never_recognise
    if not on_terminal and not dialect.failure and options.name is None:
        return print_error("between pipes there is nobody to ask for a name: --name is needed")
    with without_echo() if on_terminal else contextlib.nullcontext():
        where = places_of(options)
        seconds = RETRY_SECONDS if options.retry is None else options.retry
        try:
            sock = find(where, seconds, partial(tell_search, where, seconds) if on_terminal else lambda: None)
        except OSError as error:
            return print_error(f"cannot connect to {where}: {error.strerror or error}")
        if on_terminal:
            return run_on_terminal(where, sock, dialect, options, password)
    start = Start(*where.current, options.name or "", options.tls)
    if where.persistent:
        return run_between_failing_servers(where, sock, dialect, recognise, options, start, seconds)
    return run_between_pipes(sock, dialect, recognise, options, start)


def tell_search(where: Places, seconds: float) -> None:
    """Show that no server has been found yet, and that the search goes on."""
    print(f"Looking for a server at {where}, for up to {seconds:g} seconds; Ctrl-C ends.", flush=True)


def with_settings(options: argparse.Namespace) -> str:
    """Complete the command line by the settings file; return the password that is known. Exits on an error."""
    from ui.preferences import PreferencesError, check_colours, known_password

    complete(options)
    if wrong := check_colours(options.colours):
        options.refuse(wrong)
    try:
        return known_password(options.password_file)
    except PreferencesError as error:
        options.refuse(str(error))
        raise


def run_on_terminal(
    where: Places, sock: AnySocket, dialect: ClientDialect, options: argparse.Namespace, password: str
) -> int:
    """Chat on a terminal; return the exit status."""
    from ui.terminal import Options, run_terminal  # each way of running loads what it needs itself

    adapt = partial(adapted, options, password) if options.guessed else never_recognise
    chosen = Options(
        Start(*where.current, options.name or "", options.tls),
        adapt,
        options.max_received,
        options.bell,
        options.plain,
        options.colours,
    )
    return run_terminal(where, sock, dialect, chosen)


def adapted(options: argparse.Namespace, password: str, dialect: str) -> ClientDialect | None:
    """Return the dialect to change to when the server has shown its own, and it was not named; None if there is none.

    A name that was meant for a channel's port logs in to an account at a port of `result`.
    """
    if dialect == "result" and options.name:
        return result_client(options.name, password, options.channels)
    return DIALECTS["mailbox"]() if dialect == "mailbox" and not options.name else None


def run_script(options: argparse.Namespace) -> int:
    """Say or print what the command line names; return the exit status."""
    from ui.script import run

    return run(options)


def run_between_pipes(
    sock: AnySocket, dialect: ClientDialect, recognise: Recogniser, options: argparse.Namespace, start: Start
) -> int:
    """Pass the lines of the protocol as they are, or chat, as the dialect needs; return the exit status."""
    from ui.pipes import ChatPipes, Netcat

    if dialect.failure:
        return Netcat(sock, dialect, recognise, stay=options.stay, start=start).run()
    return ChatPipes(sock, dialect, options.max_received, start).run()


def run_between_failing_servers(
    where: Places,
    sock: AnySocket,
    dialect: ClientDialect,
    recognise: Recogniser,
    options: argparse.Namespace,
    start: Start,
    seconds: float,
) -> int:
    """As `run_between_pipes`, where another server takes over when the connection is lost."""
    from ui.failover_pipes import FailoverChat, FailoverNetcat

    if dialect.failure:
        return FailoverNetcat(where, sock, dialect, recognise, stay=options.stay, seconds=seconds, start=start).run()
    return FailoverChat(where, sock, dialect, options.max_received, seconds=seconds, start=start).run()


if __name__ == "__main__":
    try:
        sys.exit(main(OPTIONS))
    except KeyboardInterrupt:
        sys.exit(bootstrap.INTERRUPTED)
