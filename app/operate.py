"""`server.py --control PATH command...`: has a running server carry out one command of its operator (P15, P16)."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

USAGE = "usage: server.py --control PATH command [word...]   (try: server.py --control PATH help)"

DONE, FAILED, UNUSABLE = 0, 1, 2
"""Exit statuses: carried out; refused, or the answer is lost; no such command, or no server."""

STATUS = {"OK": DONE, "ERROR": FAILED, "USAGE": UNUSABLE}
"""The exit status for the first word of the line that ends an answer."""

PASSWORD_COMMANDS = ("register", "reset-password")
"""Commands whose second word is a password."""

FROM_INPUT = "-"
"""Stands for a password that is read from standard input: other users of the machine see a command line."""

ANSWER_SECONDS = 60.0
"""How long the server may send nothing before its answer counts as lost."""


class OutputError(OSError):
    """Standard output takes nothing more."""


def main(words: Sequence[str]) -> int:
    """Carry out a command.

    Args:
        words: those behind `--control`.

    Returns:
        The exit status.
    """
    path, *command = words or [""]
    if not " ".join(command).strip():  # a blank line has no answer (P13)
        return _complain(USAGE, UNUSABLE)
    if command[0] in PASSWORD_COMMANDS and len(command) > 2:
        if command[2] != FROM_INPUT:
            return _complain(
                f"a command line is no place for a password: {FROM_INPUT} reads it from standard input", UNUSABLE
            )
        command[2] = _read_password()
        if not command[2]:
            return _complain("there is no password on standard input", UNUSABLE)
    line = " ".join(" ".join(command).splitlines())
    try:
        sock = _connect(path)
    except OSError as error:
        return _complain(f"cannot connect to {path}: {error.strerror or error}", UNUSABLE)
    with contextlib.closing(sock):
        return _ask(sock, line)


def _ask(sock: socket.socket, line: str) -> int:
    """Send a command, print its answer, and return the exit status."""
    try:
        with sock.makefile("rb") as stream:
            with contextlib.suppress(BrokenPipeError), sock.makefile("wb") as question:  # refused: the answer says why
                question.write(os.fsencode(line) + b"\n")
            return _take_answer(stream)
    except TimeoutError:
        return _complain("the server does not answer", FAILED)
    except OutputError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed at the end
        if error.errno == errno.EPIPE:  # a reader such as `head` has what it wants
            return FAILED
        return _complain(f"cannot write the answer: {error.strerror}", FAILED)
    except OSError as error:
        return _complain(f"the answer is lost: {error.strerror}", FAILED)


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(ANSWER_SECONDS)
    try:
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    return sock


def _take_answer(stream: Iterable[bytes]) -> int:
    """Print the lines of an answer as they come; return the exit status that its last line stands for.

    Raises:
        OutputError: they cannot be printed.
        OSError: the answer is lost.
    """
    for line in stream:
        if line.startswith(b" "):
            with _printing() as out:
                out.write(line[1:])
            continue
        word, _, text = line.decode(errors="replace").rstrip("\n").partition(" ")
        status = STATUS.get(word, FAILED)
        with _printing() as out:
            if status == DONE and text:
                out.write(f"{text}\n".encode())
            out.flush()
        return status if status == DONE else _complain(text, status)
    with _printing() as out:
        out.flush()
    return _complain("the server has closed the connection", FAILED)


@contextlib.contextmanager
def _printing() -> Iterator[BinaryIO]:
    """Give the buffer of standard output to a block.

    Raises:
        OutputError: the block cannot write to it.
    """
    try:
        yield sys.stdout.buffer
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


def _read_password() -> str:
    if sys.stdin.isatty():
        import getpass  # rarely needed

        return getpass.getpass()
    return sys.stdin.readline().rstrip("\n")


def _complain(text: str, status: int) -> int:
    print(f"server.py: {text}", file=sys.stderr)
    return status
