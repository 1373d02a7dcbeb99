"""app/printer.py: reading and writing where somebody may be slow, or nobody may be."""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.printer import (
    FOREGROUND_SECONDS,
    MAX_WAITING,
    PIECE_SECONDS,
    PIECE_SIZE,
    ConsoleTransport,
    Printer,
    read_lines,
)
from harness.peer import PATIENCE


class Later:
    """Calls that wait."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def __call__(self, _seconds: float, call: Callable[[], None]) -> None:
        self.calls.append(call)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_lines_are_written_when_they_are_flushed(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    printer = Printer(writer, Later())
    printer.write(b"one\n")
    printer.write("zwei \u00e9\n".encode())
    assert not select.select([reader], [], [], 0)[0]
    printer.flush()
    assert os.read(reader, 100) == "one\nzwei \u00e9\n".encode()
    printer.flush()
    assert not select.select([reader], [], [], 0)[0]


def test_a_pipe_that_is_full_is_tried_again_and_nothing_is_lost(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    later = Later()
    printer = Printer(writer, later)
    total = "".join(f"{number:09}\n" for number in range(30_000))
    for start in range(0, len(total), 1000):
        printer.write(total[start : start + 1000].encode())
        printer.flush()
    assert len(later.calls) == 1
    received = b""
    while later.calls:
        received += os.read(reader, 1 << 20)
        later.calls.pop()()
    while select.select([reader], [], [], 0)[0]:
        received += os.read(reader, 1 << 20)
    assert received == total.encode()


def test_what_nobody_reads_is_bounded_and_told(pipe: tuple[int, int], caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = pipe
    later = Later()
    printer = Printer(writer, later)
    line = b"x" * 999 + b"\n"
    for _ in range(3 * MAX_WAITING // 1000):
        printer.write(line)
        printer.flush()
    assert caplog.text.count("dropped") == 1
    received = b""
    while later.calls or select.select([reader], [], [], 0)[0]:
        received += os.read(reader, 1 << 20)
        if later.calls:
            later.calls.pop()()
    assert set(received.split(b"\n")) == {b"x" * 999, b""}
    assert MAX_WAITING <= len(received) <= 2 * MAX_WAITING
    assert "lines of the chat's log were dropped" in caplog.text


def test_an_output_that_is_gone_is_no_matter(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.close(reader)
    printer = Printer(writer, Later())
    for _ in range(3):
        printer.write(b"x\n")
        printer.flush()


def test_a_terminal_that_nobody_reads_is_not_waited_for() -> None:
    ours, theirs = os.openpty()
    later = Later()
    printer = Printer(theirs, later)
    for _ in range(200):
        printer.write(b"x" * 999 + b"\n")
        printer.flush()
    assert later.calls
    assert os.get_blocking(theirs), "it is the shell's, too"
    os.close(ours)
    os.close(theirs)


def test_what_waits_at_the_end_is_written_while_somebody_reads(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    printer = Printer(writer, Later())
    printer.write(b"x" * 300_000 + b"\n")
    received: list[int] = []

    def read() -> None:
        while sum(received) < 300_001:
            received.append(len(os.read(reader, 65536)))

    thread = threading.Thread(target=read)
    thread.start()
    printer.drain(PATIENCE)
    thread.join(PATIENCE)
    assert sum(received) == 300_001
    printer.write(b"y" * 300_000 + b"\n")
    printer.drain(0.01)


def test_a_file_takes_everything(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb", buffering=0) as file:
        printer = Printer(file.fileno(), Later())
        printer.write(b"x" * 100_000 + b"\n")
        printer.flush()
    assert (tmp_path / "log").stat().st_size == 100_001


def test_lines_are_read_until_the_end(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    lines: list[str] = []
    thread = threading.Thread(target=read_lines, args=(reader, lines.append))
    thread.start()
    for data in (b"one\ntw", b"o\r\n\n", b"\xff\n", b"x" * 9000 + b"\nlast"):
        os.write(writer, data)
    os.close(writer)
    thread.join(PATIENCE)
    assert lines == ["one", "two", "", "\ufffd", "last"]


class Enough(Exception):
    """The test has seen enough."""


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made. None takes any time, and the fiftieth is the last."""
    made: list[float] = []

    def sleep(seconds: float) -> None:
        made.append(seconds)
        if len(made) == 50:
            raise Enough

    monkeypatch.setattr("app.printer.time.sleep", sleep)
    return made


@pytest.mark.parametrize("noise", [b"\0", b"\n", b"y\n", b"\xff\xfe \r", b"/kick\n"])
def test_an_input_without_end_is_read_in_pauses(
    noise: bytes, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []

    def read(_descriptor: int, size: int) -> bytes:
        reads.append(size)
        return (noise * size)[:size]

    monkeypatch.setattr("app.printer.read_some", read)
    with pytest.raises(Enough):
        read_lines(0, lambda _line: None)
    assert reads == [PIECE_SIZE] * 50
    assert pauses == [PIECE_SECONDS] * 50


def test_much_input_is_not_lost(tmp_path: Path, pauses: list[float]) -> None:
    commands = [f"/mute tea:user{number} 5" for number in range(2000)]
    path = tmp_path / "commands"
    path.write_bytes(b"\0" * 3 * PIECE_SIZE + b"\n" + "".join(f"{line}\n" for line in commands).encode())
    lines: list[str] = []
    with path.open() as file:
        read_lines(file.fileno(), lines.append)
    assert lines == commands
    assert len(pauses) == path.stat().st_size // PIECE_SIZE


@pytest.mark.parametrize("path", [os.devnull, "/"])
def test_where_nothing_can_be_read_there_is_nothing(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    lines: list[str] = []
    read_lines(descriptor, lines.append)
    os.close(descriptor)
    assert lines == []


def test_an_input_that_somebody_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(reader, False)
    lines: list[str] = []
    thread = threading.Thread(target=read_lines, args=(reader, lines.append))
    thread.start()
    os.write(writer, b"one\n")
    os.close(writer)
    thread.join(PATIENCE)
    assert lines == ["one"]


def test_a_terminal_whose_foreground_is_another_programs_is_read_again_later(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bytes | OSError] = [
        OSError(errno.EIO, "in the background"),
        b"one\n",
        OSError(errno.EIO, "again"),
        b"",
    ]

    def read(_descriptor: int, _size: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr("app.printer.read_some", read)
    monkeypatch.setattr("app.printer.os.isatty", lambda _descriptor: True)
    lines: list[str] = []
    read_lines(0, lines.append)
    assert lines == ["one"]
    assert pauses == [FOREGROUND_SECONDS] * 2


def test_a_descriptor_that_others_fill_between_the_look_and_the_write_is_tried_again(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = pipe
    later = Later()
    printer = Printer(writer, later)
    printer.write(b"one\n")
    with monkeypatch.context() as patch:

        def full(_descriptor: int, _data: bytes) -> int:
            raise BlockingIOError

        patch.setattr("app.printer.os.write", full)
        printer.flush()
    assert not select.select([reader], [], [], 0)[0]
    later.calls[0]()
    assert os.read(reader, 100) == b"one\n"


def test_the_console_takes_what_a_connection_takes(pipe: tuple[int, int]) -> None:
    """The operator's session is one like any other: what it gets with a receipt, or in pieces, comes in order."""
    reader, writer = pipe
    soon: list[Callable[[], None]] = []
    printer = Printer(writer, Later())
    console = ConsoleTransport(printer, soon.append, Later())
    left: list[bool] = []
    console.send(b"one\n")
    console.send_with_receipt(b"two\n", left.append)
    console.stream(iter([b"three\n", b"four\n"]))
    console.finish()
    printer.flush()
    assert os.read(reader, 100) == b"one\ntwo\nthree\nfour\n"
    assert left == []
    soon.pop()()
    assert left == [True]
