"""ui/unconfirmed.py: what a lost server has not confirmed is told, and sent again when the user wishes."""

from __future__ import annotations

from ui.dialects.base import ParsedInput
from ui.dialects.result import ResultClient
from ui.unconfirmed import NOTHING, Unconfirmed


def test_lines_are_told_at_once_and_sent_again_once() -> None:
    unconfirmed = Unconfirmed()
    assert unconfirmed.add(["SAY den hi", "CREATE x"], ResultClient()).split("\n") == [
        "Not confirmed: SAY den hi",
        "Not confirmed: CREATE x",
        "It may have taken effect or not. /again sends it once more.",
    ]
    unconfirmed.add(["SAY den ho"], ResultClient())
    assert [parsed.send for parsed in unconfirmed.take()] == ["SAY den hi", "CREATE x", "SAY den ho"]
    assert unconfirmed.take() == [ParsedInput(hint=NOTHING)]


def test_a_line_with_a_password_is_told_without_it_and_not_kept() -> None:
    unconfirmed = Unconfirmed()
    told = unconfirmed.add(["REGISTER ann S3cret"], ResultClient())
    assert told.startswith("Not confirmed: REGISTER ann ")
    assert "S3cret" not in told
    assert "/again" not in told
    assert unconfirmed.take() == [ParsedInput(hint=NOTHING)]


def test_nothing_is_told_where_nothing_is_lost() -> None:
    assert Unconfirmed().add([], ResultClient()) == ""
