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

1. `options.py`     the command line; `manual.py` has the long part of its help
2. `dialects/`      the client's side of each dialect; what they share is in `base.py`. Pure
3. `connection.py`  lines to and from the server, and a connection that is dialled again when it is lost
4. `transfers.py`   the lines that carry files; `files.py`: names of files, reading and writing
5. `pipes.py`       the netcat, and the chat without a screen; `streams.py`: the standard descriptors
6. `terminal.py`    ties dialect, files, server and screen together; `screens.py`: the line being typed

A new dialect is another module of `dialects/`: pipes, terminal and screens see only a `ClientDialect`.
"""

from __future__ import annotations

import sys

from ui.options import parse_command_line

if __name__ == "__main__":
    OPTIONS = parse_command_line(sys.argv[1:])  # refused before anything else is loaded

import argparse
import os
import socket

from app import bootstrap
from ui.connection import Address, dial
from ui.dialects import DIALECTS, never_recognise, recognise_greeting
from ui.dialects.base import ClientDialect, Recogniser
from ui.streams import STDIN, STDOUT, print_error


def dialect_for(options: argparse.Namespace) -> ClientDialect:
    """Load the dialect that the command line names, with the user's name if there is one."""
    dialect = DIALECTS[options.dialect]()
    if options.name is not None:
        dialect.take_name(options.name)
    return dialect


def main(options: argparse.Namespace) -> int:
    """Run the client as the command line says; return the exit status."""
    address, dialect = Address(options.host, options.port), dialect_for(options)
    recognise = recognise_greeting if options.guessed else never_recognise
    bootstrap.occupy_standard_descriptors()
    on_terminal = os.isatty(STDIN) and os.isatty(STDOUT)
    if on_terminal:
        bootstrap.use_environment("prompt_toolkit")  # may start this program again, so it comes first
    elif not dialect.failure and options.name is None:
        return print_error("between pipes there is nobody to ask for a name: --name is needed")
    try:
        sock = dial(address)
    except OSError as error:
        return print_error(f"cannot connect to {address}: {error.strerror or error}")
    if on_terminal:
        from ui.terminal import run_terminal  # each way of running loads what it needs itself

        return run_terminal(address, sock, dialect, recognise, options.max_received)
    return run_between_pipes(sock, dialect, recognise, options)


def run_between_pipes(
    sock: socket.socket, dialect: ClientDialect, recognise: Recogniser, options: argparse.Namespace
) -> int:
    """Pass the lines of the protocol as they are, or chat, as the dialect needs; return the exit status."""
    from ui.pipes import ChatPipes, Netcat

    if dialect.failure:
        return Netcat(sock, dialect, recognise, stay=options.stay).run()
    return ChatPipes(sock, dialect, options.max_received).run()


if __name__ == "__main__":
    try:
        sys.exit(main(OPTIONS))
    except KeyboardInterrupt:
        sys.exit(bootstrap.INTERRUPTED)
