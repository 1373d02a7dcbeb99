"""throttle.py: what has failed makes the next attempt wait, and the number of accounts of an address is limited."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.throttle import FIRST_SECONDS, FORGET_SECONDS, HOUR, MAX_SECONDS, AccountRateLimit, Failures
from domain.changes import Change, LoggedInFrom
from domain.known_networks import MAX_NETWORKS, REFRESH_SECONDS
from net.rate_limits import MAX_ENTRIES, ExpiringTable
from store import MEMORY, Store
from support.examples import EXAMPLES
from support.world import FakeTimers, World

FAR = "192.0.2.1"


@pytest.fixture
def clock() -> FakeTimers:
    return FakeTimers()


# ---- failures ----


def test_each_failure_makes_the_next_attempt_wait_longer_up_to_a_most(clock: FakeTimers) -> None:
    """C40."""
    failures = Failures(clock.monotonic, 1000, 1000)
    delays = []
    for _ in range(8):
        delays.append(failures.delay(FAR, "alice").seconds)
        failures.count(FAR, "alice")
    assert delays == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    for _ in range(2000):  # as many as somebody likes
        failures.count(FAR, "alice")
    assert failures.delay(FAR, "alice").seconds == MAX_SECONDS == 5.0


@pytest.mark.parametrize(
    ("address", "name", "waits"),
    [
        ("192.0.2.1", "alice", True),
        ("192.0.2.1", "bob", False),
        ("192.0.2.2", "alice", False),
        ("2001:db8::1", "alice", True),
        ("2001:db8::2:3", "alice", True),
        ("2001:db8:0:1::1", "alice", False),
        ("127.0.0.1", "alice", False),
        ("127.9.9.9", "alice", False),
        ("::1", "alice", False),
        ("192.0.2.1", "", False),
    ],
)
def test_only_the_same_network_waits_and_only_for_the_same_name(
    clock: FakeTimers, address: str, name: str, waits: bool
) -> None:
    failures = Failures(clock.monotonic, 1000, 1000)
    for failing in ("192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"):
        failures.count(failing, "alice")
    assert (failures.delay(address, name).seconds > 0) is waits


def test_the_right_password_ends_the_wait(clock: FakeTimers) -> None:
    failures = Failures(clock.monotonic, 1000, 1000)
    failures.count(FAR, "alice")
    failures.succeed(FAR, "alice")
    failures.succeed(FAR, "alice")
    assert failures.delay(FAR, "alice").seconds == 0.0


def test_failures_are_forgotten_with_time(clock: FakeTimers) -> None:
    failures = Failures(clock.monotonic, 1000, 1000)
    failures.count(FAR, "alice")
    clock.let_pass(FORGET_SECONDS - 1)
    failures.count(FAR, "alice")
    clock.let_pass(FORGET_SECONDS - 1)
    assert failures.delay(FAR, "alice").seconds == 0.5
    clock.let_pass(1)
    assert failures.delay(FAR, "alice").seconds == 0.0


def test_words_that_are_too_long_for_a_name_count_as_one(clock: FakeTimers) -> None:
    failures = Failures(clock.monotonic, 1000, 1000)
    failures.count(FAR, "x" * 8000)
    assert failures.delay(FAR, "x" * 7000).seconds > 0
    assert failures.delay(FAR, "x" * 64).seconds == 0.0


# ---- strangers, and places from which the account has logged in ----

HOME, SCHOOL = "192.0.2.1", "198.51.100.7"


def fail(failures: Failures, address: str, name: str, times: int) -> None:
    for _ in range(times):
        failures.count(address, name)


def test_the_owner_of_an_account_under_attack_can_log_in_from_where_he_has_before(clock: FakeTimers) -> None:
    """C61."""
    failures = Failures(clock.monotonic, 1000, 30)
    failures.succeed(HOME, "alice")
    for number in range(200):
        failures.count(f"203.0.113.{number}", "alice")
    assert failures.delay("203.0.113.250", "alice") == (MAX_SECONDS, "max-account-failures")
    assert failures.delay(SCHOOL, "alice") == (MAX_SECONDS, "max-account-failures")
    assert failures.delay(SCHOOL, "bob") == failures.delay(HOME, "alice") == (0.0, "")
    failures.count(HOME, "alice")  # a slip of his own counts as ever
    assert failures.delay(HOME, "alice") == (FIRST_SECONDS, "")
    failures.succeed(SCHOOL, "alice")
    assert failures.delay(SCHOOL, "alice") == (0.0, "")
    clock.let_pass(HOUR)
    assert failures.delay("203.0.113.250", "alice") == (0.0, "")


def test_where_an_account_has_logged_in_is_known_after_a_restart(
    clock: FakeTimers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C61. A login is written once a day."""
    with World(store=Store(MEMORY)) as world:
        world.user("alice")
        failures = Failures(clock.monotonic, 1000, 30)
        failures.know(world.chat.known_networks)
        written: list[object] = []
        write = world.chat.journal.write

        def noting(batch: Sequence[Change]) -> bool:
            written.extend(batch)
            return write(batch)

        monkeypatch.setattr(world.chat.journal, "write", noting)
        for _ in range(3):
            failures.succeed("2001:db8::7", "alice")
            failures.succeed(HOME, "alice")
            failures.succeed(HOME, "nobody")
            world.settle()
        later = LoggedInFrom("alice", HOME, 1000.0 + REFRESH_SECONDS)
        assert written == [LoggedInFrom("alice", "2001:db8::/64", 1000.0), LoggedInFrom("alice", HOME, 1000.0)]
        monkeypatch.setattr(world.chat.known_networks, "_now", lambda: later.at)
        failures.succeed(HOME, "alice")
        world.settle()
        assert written[2:] == [later]
        with World(store=world.store) as again:
            failures = Failures(clock.monotonic, 1000, 30)
            failures.know(again.chat.known_networks)
            for number in range(200):
                failures.count(f"203.0.113.{number}", "alice")
            assert failures.delay(SCHOOL, "alice") == (MAX_SECONDS, "max-account-failures")
            assert failures.delay(HOME, "alice") == failures.delay("2001:db8::1", "alice") == (0.0, "")


def test_the_failures_of_one_address_make_its_strangers_wait(clock: FakeTimers) -> None:
    """C61. The first who have logged in from there are not its strangers."""
    failures = Failures(clock.monotonic, 300, 1000)
    failures.succeed(SCHOOL, "alice")
    for number in range(300):
        failures.count(SCHOOL, f"user{number}")
    assert failures.delay(SCHOOL, "user301") == (MAX_SECONDS, "max-login-failures")
    assert failures.delay(SCHOOL, "alice") == failures.delay(HOME, "user301") == (0.0, "")
    clock.let_pass(HOUR / 300 + 1)
    assert failures.delay(SCHOOL, "user301") == (0.0, "")


def test_failures_at_a_known_place_do_not_count_against_strangers(clock: FakeTimers) -> None:
    failures = Failures(clock.monotonic, 1000, 30)
    failures.succeed(HOME, "alice")
    fail(failures, HOME, "alice", 100)
    assert failures.delay(SCHOOL, "alice") == (0.0, "")
    assert failures.delay(HOME, "alice") == (MAX_SECONDS, "")


def test_an_account_has_so_many_places_the_newest_ones(clock: FakeTimers) -> None:
    failures = Failures(clock.monotonic, 1000, 0)
    places = [f"198.51.100.{number}" for number in range(MAX_NETWORKS + 2)]
    for place in (*places, places[2]):
        failures.succeed(place, "alice")
    known = [place for place in places if not failures.delay(place, "alice").seconds]
    assert known == places[2:]
    failures.succeed("2001:db8::1", "alice")
    assert not failures.delay("2001:db8::2:3", "alice").seconds
    assert failures.delay(places[3], "alice").seconds


def test_exempt_addresses_are_neither_delayed_nor_counted(clock: FakeTimers) -> None:
    failures = Failures(clock.monotonic, 1, 1, lambda address: address == HOME)
    fail(failures, HOME, "alice", 10)
    assert failures.delay(HOME, "alice") == failures.delay(SCHOOL, "alice") == (0.0, "")
    fail(failures, "127.0.0.1", "alice", 2)
    assert failures.delay("127.0.0.1", "alice").seconds > 0


# ---- what is kept ----


@EXAMPLES
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([0.0, 1.0, 4.0, 11.0])), max_size=50), st.integers(1, 6))
def test_what_is_kept_is_what_is_newest_and_fresh(steps: list[tuple[int, float]], most: int) -> None:
    clock = FakeTimers()
    recent: ExpiringTable[int] = ExpiringTable(clock.monotonic, 10.0, most)
    expected: dict[int, float] = {}
    for key, seconds in steps:
        clock.let_pass(seconds)
        recent.set(key, key)
        expected.pop(key, None)
        expected[key] = clock.now
        expected = dict(list(expected.items())[-most:])
        fresh = {kept for kept, at in expected.items() if clock.now < at + 10.0}
        assert {kept for kept in range(10) if recent.get(kept, -1) == kept} == fresh
        assert len(recent) == len(fresh)


def test_the_table_of_failures_has_a_bound(clock: FakeTimers) -> None:
    failures = Failures(clock.monotonic, 2 * MAX_ENTRIES, 1000)
    for number in range(MAX_ENTRIES + 5):
        failures.count(FAR, f"user{number}")
    assert len(failures._counts) == MAX_ENTRIES
    assert failures.delay(FAR, "user4").seconds == 0.0
    assert failures.delay(FAR, "user5").seconds > 0


# ---- accounts ----


def made(rate_limit: AccountRateLimit, address: str, tries: int) -> int:
    """How many of so many accounts an address may make."""
    allowed = 0
    for _ in range(tries):
        if rate_limit.allows(address):
            rate_limit.spend(address)
            allowed += 1
    return allowed


def test_an_address_makes_so_many_accounts_at_once_and_then_at_a_pace(clock: FakeTimers) -> None:
    """C42."""
    rate_limit = AccountRateLimit(clock.monotonic, 7)
    assert made(rate_limit, FAR, 20) == 7
    assert made(rate_limit, "192.0.2.2", 20) == 7
    clock.let_pass(HOUR / 7 + 0.1)
    assert made(rate_limit, FAR, 20) == 1
    clock.let_pass(HOUR / 2)
    assert made(rate_limit, FAR, 20) == 3
    clock.let_pass(10 * HOUR)
    assert made(rate_limit, FAR, 20) == 7


def test_a_network_of_ipv6_has_one_pace(clock: FakeTimers) -> None:
    """C43."""
    rate_limit = AccountRateLimit(clock.monotonic, 3)
    assert sum(made(rate_limit, f"2001:db8::{number}", 1) for number in range(10)) == 3


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1"])
def test_this_machine_makes_as_many_as_it_likes(clock: FakeTimers, address: str) -> None:
    """C43."""
    assert made(AccountRateLimit(clock.monotonic, 0), address, 1000) == 1000


def test_none_at_all_can_be_allowed(clock: FakeTimers) -> None:
    rate_limit = AccountRateLimit(clock.monotonic, 0)
    clock.let_pass(10 * HOUR)
    assert made(rate_limit, FAR, 1) == 0


def test_what_was_not_made_does_not_count(clock: FakeTimers) -> None:
    rate_limit = AccountRateLimit(clock.monotonic, 1)
    rate_limit.give_back(FAR)
    for _ in range(5):
        assert rate_limit.allows(FAR)
        rate_limit.spend(FAR)
        rate_limit.give_back(FAR)
    assert made(rate_limit, FAR, 5) == 1


def test_the_table_of_addresses_has_a_bound(clock: FakeTimers) -> None:
    rate_limit = AccountRateLimit(clock.monotonic, 1)
    for number in range(MAX_ENTRIES + 5):
        rate_limit.spend(f"2001:db8:{number // 65536:x}:{number % 65536:x}::1")
    assert len(rate_limit._spent) == MAX_ENTRIES
