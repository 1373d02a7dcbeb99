"""app/options.py: the command line, and its manual."""

from __future__ import annotations

import pytest

from app.directives import DIRECTIVES
from app.options import parse_command_line
from dialects.operator.table import ALL


def test_the_manual_has_every_directive_and_every_command_of_the_operator(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command_line(["--help"])
    assert end.value.code == 0
    rows = {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()}
    expected = [(command.usage, command.help) for command in ALL.values()]
    expected += [(name, directive.help) for name, directive in DIRECTIVES.items()]
    assert {f"{left} {right}" for left, right in expected} <= rows
