"""net/peak.py: the greatest value of late."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from net.peak import WINDOW_SECONDS, Peak
from support.examples import EXAMPLES


def test_a_value_counts_for_its_time_and_no_longer() -> None:
    peak = Peak(0.0)
    assert peak.read(0.0) == 0.0
    peak.note(5.0, 1.0)
    peak.note(3.0, 2.0)
    assert peak.read(2.0) == 5.0
    peak.note(1.0, 1.0 + WINDOW_SECONDS)
    assert peak.read(1.0 + WINDOW_SECONDS) == 5.0
    assert peak.read(1.0 + 2 * WINDOW_SECONDS) == 1.0
    assert peak.read(1.0 + 3 * WINDOW_SECONDS) == 0.0


@EXAMPLES
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 150)), max_size=12))
def test_nothing_of_late_is_missed_and_nothing_old_is_told(notes: list[tuple[float, float]]) -> None:
    peak, now, known = Peak(0.0), 0.0, []
    for value, pause in notes:
        now += pause
        peak.note(value, now)
        known.append((value, now))
        lately = [value for value, at in known if at > now - WINDOW_SECONDS]
        perhaps = [value for value, at in known if at > now - 2 * WINDOW_SECONDS]
        assert max(lately) <= peak.read(now) <= max(perhaps)
