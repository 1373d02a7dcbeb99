"""Command lines: numbers that are read, and errors of one line."""

from __future__ import annotations

import argparse

import pytest

from app.commandline import MAX_NUMBER, OneLineParser, port_number, whole_number


def parser(*words: str) -> OneLineParser:
    made = OneLineParser(words, prog="program.py", description="Does something.", manual=lambda: "The end.")
    made.add_argument("--port", type=port_number(1))
    made.add_argument("--most", type=whole_number)
    return made


@pytest.mark.parametrize(
    ("word", "number"), [("0", 0), ("17", 17), (str(MAX_NUMBER), MAX_NUMBER), ("9" * 30, MAX_NUMBER)]
)
def test_whole_numbers(word: str, number: int) -> None:
    assert parser().parse_args(["--most", word]).most == number


@pytest.mark.parametrize("word", ["", "-1", "+1", "1.5", "1e3", "0x10", "\u0661", "one"])
def test_what_is_no_whole_number(word: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        whole_number(word)


@pytest.mark.parametrize(("minimum", "word"), [(0, "0"), (1, "1"), (1, "65535")])
def test_ports(minimum: int, word: str) -> None:
    assert port_number(minimum)(word) == int(word)


@pytest.mark.parametrize(("minimum", "word"), [(1, "0"), (0, "65536"), (0, "-1"), (0, "")])
def test_what_is_no_port(minimum: int, word: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        port_number(minimum)(word)


@pytest.mark.parametrize("words", [["--most", "x"], ["--port", "0"], ["--unknown"], ["--por", "1"]])
def test_an_error_is_one_line_and_status_1(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser(*words).parse_args(words)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("program.py: ")
    assert said.endswith(" (try program.py --help)\n")
    assert said.count("\n") == 1


def test_the_manual_is_made_for_the_help_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert parser().epilog is None
    with pytest.raises(SystemExit) as ended:
        parser("--help").parse_args(["--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.endswith("The end.\n")
