"""app/tls.py: what is said of a certificate, and when; who counts as a stranger to a key."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

from app.directives import is_exposed
from app.tls import DAY, Tls
from settings import Settings
from support.certificates import Authority


class Calendar:
    """A clock, and the calls that are due."""

    def __init__(self) -> None:
        self.now = 0.0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append((seconds, call))

    def pass_days(self, count: int) -> None:
        for _ in range(count):
            ((seconds, call),) = self.due
            self.due.clear()
            self.now += seconds
            call()


def test_a_certificate_is_warned_of_each_day_before_it_expires(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever was to renew it may have forgotten; a new one ends the warnings."""
    caplog.set_level("INFO")
    calendar: Any = Calendar()
    old, new = authority.issue(days=20), authority.issue(days=400)
    settings = Settings(tls_certificate=old.path, tls_key=old.key)
    tls = Tls(settings, now=lambda: calendar.now)
    os.unlink(old.key)  # it is not needed again
    calendar.now = tls.expires - 20 * DAY
    tls.watch(calendar)
    calendar.pass_days(5)
    assert [record.levelname for record in caplog.records] == ["INFO"], "at the start"
    calendar.pass_days(1)
    calendar.pass_days(1)
    assert caplog.text.count("expires on") == 2
    calendar.pass_days(14)
    assert "has expired on" in caplog.text
    tls.load(settings._replace(tls_certificate=new.path, tls_key=new.key))
    caplog.clear()
    calendar.pass_days(3)
    assert caplog.records == []


def test_a_certificate_that_is_not_valid_yet_is_warned_of(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Or the clock of the machine is wrong, as after a start without a network."""
    certificate = authority.issue()
    settings = Settings(tls_certificate=certificate.path, tls_key=certificate.key)
    for now, is_warned in ((0.0, True), (time.time() + DAY, False)):
        caplog.clear()
        Tls(settings, now=lambda now=now: now).report()  # type: ignore[misc]
        assert (f"the certificate {certificate.path} is not valid before 2" in caplog.text) == is_warned


@pytest.mark.parametrize(
    ("mode", "group", "exposed"),
    [(0o600, 1000, False), (0o640, 1000, True), (0o604, 1000, True), (0o440, 0, False), (0o444, 0, True)],
)
def test_who_else_may_read_a_key(mode: int, group: int, exposed: bool) -> None:
    """A credential of systemd belongs to root, and its mode shows the mask of an access list."""
    assert is_exposed(os.stat_result((0o100000 | mode, 1, 1, 1, 0, group, 1, 0, 0, 0))) == exposed
