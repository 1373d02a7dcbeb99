"""passwords.py: hashing, in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import bcrypt
import pytest

from domain import Overloaded, WrongPassword
from loop import Loop
from passwords import BcryptPasswords
from pool import PoolFull
from support import PATIENCE, raising

COST = 4


def at_once(work: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
    """Runs work as a pool does, without one."""
    future: Future[Any] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    then(future)


def full(_work: object, _then: object) -> None:
    raise PoolFull


@pytest.fixture
def passwords() -> BcryptPasswords:
    return BcryptPasswords(at_once, COST)


def hashed(passwords: BcryptPasswords, password: str) -> bytes:
    results: list[bytes | None] = []
    passwords.hash(password, results.append)
    (result,) = results
    assert result is not None
    return result


def checked(passwords: BcryptPasswords, password: str, password_hash: bytes | None) -> type[Exception] | None:
    outcomes: list[Exception | None] = []
    passwords.check(password, password_hash, outcomes.append)
    (outcome,) = outcomes
    return None if outcome is None else type(outcome)


def test_a_password_matches_its_hash_only(passwords: BcryptPasswords) -> None:
    secret = hashed(passwords, "secret")
    assert secret.startswith(b"$2b$04$")
    assert b"secret" not in secret
    assert checked(passwords, "secret", secret) is None
    for wrong in ("Secret", "secret ", "secre", "", "s\u00e9cret"):
        assert checked(passwords, wrong, secret) is WrongPassword
    assert hashed(passwords, "secret") != secret


@pytest.mark.parametrize(
    "password",
    [
        "",
        "x" * 71,
        "x" * 72,
        "x" * 73,
        "x" * 8000,
        "\u4f60" * 24,  # 72 bytes
        "\u4f60" * 25,
        "a\0b",
        "\0",
        "x" * 100 + "\0",
    ],
    ids=lambda password: f"{password[:1]!r}*{len(password)}",
)
def test_any_password_matches_and_a_longer_one_does_not(passwords: BcryptPasswords, password: str) -> None:
    password_hash = hashed(passwords, password)
    assert checked(passwords, password, password_hash) is None
    for suffix in ("x", "\0", "\0x"):
        assert checked(passwords, password + suffix, password_hash) is WrongPassword


def test_all_of_a_long_password_counts(passwords: BcryptPasswords) -> None:
    """bcrypt alone would take the first 72 bytes and be content."""
    first = hashed(passwords, "x" * 72 + "one")
    assert checked(passwords, "x" * 72 + "two", first) is WrongPassword
    assert checked(passwords, "x" * 72, first) is WrongPassword
    assert checked(passwords, "x" * 72 + "one", hashed(passwords, "x" * 72)) is WrongPassword
    assert checked(passwords, "a\0two", hashed(passwords, "a\0one")) is WrongPassword
    assert checked(passwords, "a", hashed(passwords, "a\0one")) is WrongPassword


def test_a_password_that_bcrypt_can_read_is_given_to_it_as_it_is(passwords: BcryptPasswords) -> None:
    """So that other programs can check these hashes."""
    for password in ("secret", "x" * 72, "\u4f60\u597d"):
        assert bcrypt.checkpw(password.encode(), hashed(passwords, password))


def test_a_hash_of_another_cost_is_understood(passwords: BcryptPasswords) -> None:
    assert checked(passwords, "secret", bcrypt.hashpw(b"secret", bcrypt.gensalt(5))) is None


@pytest.mark.parametrize("cost", [4, 5, 12, 31])
def test_nobody_is_checked_as_slowly_as_somebody(monkeypatch: pytest.MonkeyPatch, cost: int) -> None:
    calls: list[tuple[bytes, bytes]] = []

    def checkpw(password: bytes, password_hash: bytes) -> bool:
        calls.append((password, password_hash))
        return True  # even if something matched nobody's hash

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    assert checked(BcryptPasswords(at_once, cost), "secret", None) is WrongPassword
    ((password, decoy),) = calls
    assert password == b"secret"
    assert decoy.startswith(b"$2b$%02d$" % cost)
    assert len(decoy) == 60


def test_nobodys_hash_is_one_that_bcrypt_works_on(passwords: BcryptPasswords, caplog: pytest.LogCaptureFixture) -> None:
    for password in ("", "secret", "x" * 100):
        assert checked(passwords, password, None) is WrongPassword
    assert caplog.text == ""


def test_too_many_at_once(caplog: pytest.LogCaptureFixture) -> None:
    passwords = BcryptPasswords(full, COST)
    results: list[bytes | None] = []
    passwords.hash("secret", results.append)
    assert results == [None]
    assert checked(passwords, "secret", b"hash") is Overloaded
    assert checked(passwords, "secret", None) is Overloaded
    assert passwords.refused == 3
    assert "max-hash-queue" in caplog.text


def test_a_failure_is_an_answer_too(
    passwords: BcryptPasswords, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert checked(passwords, "secret", b"no hash at all") is Overloaded
    monkeypatch.setattr(bcrypt, "hashpw", raising)
    results: list[bytes | None] = []
    passwords.hash("secret", results.append)
    assert results == [None]
    assert caplog.text.count("hashing failed") == 2
    assert "secret" not in caplog.text


def test_warming_up_needs_nobody_to_wait_for_it(passwords: BcryptPasswords, caplog: pytest.LogCaptureFixture) -> None:
    passwords.warm_up()
    assert caplog.text == ""


# ---- with a real pool ----


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop(pool_threads=2, pool_queue=4)
    yield loop
    loop.close()


def turn_until(loop: Loop, condition: Callable[[], object]) -> None:
    guard = loop.call_later(PATIENCE, lambda: pytest.fail("this did not come"))
    while not condition():
        loop.turn()
    loop.cancel(guard)


def test_hashing_leaves_the_loops_thread_and_comes_back(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    real = bcrypt.hashpw

    def hashpw(password: bytes, salt: bytes) -> bytes:
        threads.append(threading.get_ident())
        return real(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", hashpw)
    passwords = BcryptPasswords(loop.in_thread, COST)
    results: list[tuple[bytes | None, int]] = []
    passwords.hash("secret", lambda result: results.append((result, threading.get_ident())))
    assert results == []
    turn_until(loop, lambda: results)
    ((result, thread),) = results
    assert result is not None
    assert thread == threading.get_ident() != threads[0]


def test_a_storm_of_logins_is_refused_beyond_the_queue(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()

    def checkpw(_password: bytes, _password_hash: bytes) -> bool:
        return go.wait(PATIENCE)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    passwords = BcryptPasswords(loop.in_thread, COST)
    outcomes: list[Exception | None] = []
    for _ in range(10):
        passwords.check("secret", b"hash", outcomes.append)
    assert [type(outcome) for outcome in outcomes] == [Overloaded] * 6
    go.set()
    turn_until(loop, lambda: len(outcomes) == 10)
    assert outcomes[6:] == [None] * 4
    passwords.check("secret", b"hash", outcomes.append)
    turn_until(loop, lambda: len(outcomes) == 11)
    assert outcomes[10] is None


def test_nobody_is_checked_as_slowly_as_the_most_costly_account(monkeypatch: pytest.MonkeyPatch) -> None:
    decoys: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda _password, decoy: decoys.append(decoy))
    passwords = BcryptPasswords(at_once, 4)
    for hashes in ([], [b"$2b$05$" + b"x" * 53, b"$2b$12$" + b"x" * 53, b"$2b$04$" + b"x" * 53]):
        passwords.resemble(hashes)
        checked(passwords, "secret", None)
    assert [decoy[:7] for decoy in decoys] == [b"$2b$04$", b"$2b$12$"]
