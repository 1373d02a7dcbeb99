"""passwords.py: hashing, in threads."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.passwords import BcryptPasswords
from app.throttle import Failures
from app.workqueue import WorkQueue
from domain.changes import AccountRegistered
from domain.errors import Overloaded, WrongPassword
from domain.interfaces import Claim
from harness.peer import PATIENCE
from net.loop import Loop
from net.pool import Then
from support.examples import EXAMPLES, raising
from support.job_client import JobClient
from support.world import FakeTimers, FakeTransport, World

COST = 4


def at_once(work: Callable[[], Any], then: Then[Any]) -> None:
    """Runs work as a pool does, without one."""
    try:
        result = work()
    except Exception as error:
        then(None, error)
    else:
        then(result, None)


def passwords_at(cost: int, timers: FakeTimers | None = None) -> BcryptPasswords:
    """Passwords that are hashed at once, unless they have to wait for the clock."""
    timers = timers or FakeTimers()
    return BcryptPasswords(WorkQueue(at_once, timers, 1, 100), Failures(timers.monotonic, 100, 100), cost)


@pytest.fixture
def passwords() -> BcryptPasswords:
    return passwords_at(COST)


def hashed(passwords: BcryptPasswords, password: str) -> bytes:
    results: list[bytes | None] = []
    passwords.hash(JobClient(), password, results.append)
    (result,) = results
    assert result is not None
    return result


def check(
    passwords: BcryptPasswords,
    password: str,
    password_hash: bytes | None,
    client: JobClient | None = None,
    *,
    is_login: bool = True,
) -> list[Exception | None]:
    """Check a password; return the list that has the outcome, or will have it."""
    outcomes: list[Exception | None] = []
    claim = Claim("alice", password, password_hash)
    passwords.check(client or JobClient(), claim, outcomes.append, is_login=is_login)
    return outcomes


def checked(passwords: BcryptPasswords, password: str, password_hash: bytes | None) -> type[Exception] | None:
    (outcome,) = check(passwords, password, password_hash)
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
    assert checked(passwords_at(cost), "secret", None) is WrongPassword
    ((password, decoy),) = calls
    assert password == b"secret"
    assert decoy.startswith(b"$2b$%02d$" % cost)
    assert len(decoy) == 60


def test_nobodys_hash_is_one_that_bcrypt_works_on(passwords: BcryptPasswords, caplog: pytest.LogCaptureFixture) -> None:
    for password in ("", "secret", "x" * 100):
        assert checked(passwords, password, None) is WrongPassword
    assert caplog.text == ""


def test_too_many_at_once() -> None:
    waiting: list[Callable[[], Any]] = []
    timers = FakeTimers()
    queue = WorkQueue(lambda work, _then: waiting.append(work), timers, 1, 1)
    passwords = BcryptPasswords(queue, Failures(timers.monotonic, 100, 100), COST)
    passwords.hash(JobClient(), "secret", lambda _hash: None)
    results: list[bytes | None] = []
    client = JobClient()
    passwords.hash(client, "secret", results.append)
    assert results == [None]
    (error,) = check(passwords, "secret", b"hash", client, is_login=False)
    assert type(error) is Overloaded
    assert check(passwords, "secret", b"hash") == []  # a login waits
    assert passwords.refused == 2
    assert [reason for reason, _detail in client.limits] == ["max-hash-queue"] * 2
    assert len(waiting) == 1


def test_a_failure_is_an_answer_too(
    passwords: BcryptPasswords, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert checked(passwords, "secret", b"no hash at all") is Overloaded
    monkeypatch.setattr(bcrypt, "hashpw", raising)
    results: list[bytes | None] = []
    passwords.hash(JobClient(), "secret", results.append)
    assert results == [None]
    assert caplog.text.count("hashing failed") == 2
    assert "secret" not in caplog.text


def test_warming_up_needs_nobody_to_wait_for_it(passwords: BcryptPasswords, caplog: pytest.LogCaptureFixture) -> None:
    passwords.warm_up()
    assert caplog.text == ""


# ---- long passwords, and those that look like what stands for one ----


def old_digest(password: str) -> str:
    """What was given to bcrypt once for a password that it cannot read in full."""
    return base64.b64encode(hashlib.sha256(password.encode()).digest()).decode()


LONG = ["x" * 73, "x" * 8000, "\u4f60" * 25, "a\0b", "\0"]


@pytest.mark.parametrize("password", LONG, ids=lambda password: f"{password[:1]!r}*{len(password)}")
def test_no_other_word_opens_the_account_of_a_long_password(passwords: BcryptPasswords, password: str) -> None:
    password_hash = hashed(passwords, password)
    digest = hashlib.sha256(password.encode())
    words = (old_digest(password), old_digest(password)[:-1], digest.hexdigest(), f"\xff{old_digest(password)}")
    for word in words:
        assert checked(passwords, word, password_hash) is WrongPassword
        assert checked(passwords, word, hashed(passwords, word)) is None
        assert checked(passwords, password, hashed(passwords, word)) is WrongPassword


@pytest.mark.parametrize("password", LONG, ids=lambda password: f"{password[:1]!r}*{len(password)}")
def test_a_long_password_that_was_set_once_is_still_right(passwords: BcryptPasswords, password: str) -> None:
    password_hash = bcrypt.hashpw(old_digest(password).encode(), bcrypt.gensalt(COST))
    assert checked(passwords, password, password_hash) is None
    assert checked(passwords, password + "x", password_hash) is WrongPassword


def test_a_short_password_that_was_set_once_is_still_right(passwords: BcryptPasswords) -> None:
    for password in ("secret", "x" * 44, old_digest("secret"), "x" * 72):
        password_hash = bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST))
        assert checked(passwords, password, password_hash) is None


@EXAMPLES
@given(st.text(max_size=90), st.text(max_size=90), st.booleans())
def test_one_password_for_one_hash(one: str, other: str, digested: bool) -> None:
    passwords = passwords_at(COST)
    password_hash = hashed(passwords, old_digest(one) if digested else one)
    assert (checked(passwords, one, password_hash) is None) is not digested
    if one != other:
        assert checked(passwords, other, password_hash) is WrongPassword
    assert b"\0" not in password_hash
    assert len(password_hash) == 60


# ---- guessing ----


def test_an_attempt_waits_for_those_that_have_failed(passwords: BcryptPasswords) -> None:
    timers = FakeTimers()
    passwords = passwords_at(COST, timers)
    alice = hashed(passwords, "secret")
    guesser, friend = JobClient("192.0.2.1"), JobClient("192.0.2.2")
    seconds = []
    for _ in range(7):
        began, outcomes = timers.now, check(passwords, "wrong", alice, guesser)
        while not outcomes:
            timers.let_pass(0.25)
        seconds.append(timers.now - began)
        assert [type(outcome) for outcome in outcomes] == [WrongPassword]
    assert seconds == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 5.0]
    assert check(passwords, "secret", alice, friend) == [None]
    side_by_side = [check(passwords, "secret", alice, JobClient("192.0.2.1")) for _ in range(100)]
    assert side_by_side == [[]] * 100
    timers.let_pass(5.0)
    assert side_by_side == [[None]] * 100
    assert check(passwords, "secret", alice, guesser) == [None]  # the right password has ended the wait


@pytest.mark.parametrize("is_login", [True, False])
def test_failures_against_a_name_without_account_delay_as_well(is_login: bool) -> None:
    """C40."""
    timers = FakeTimers()
    passwords = passwords_at(COST, timers)
    for failures in range(3):
        outcomes = check(passwords, "secret", None, JobClient("192.0.2.1"), is_login=is_login)
        assert bool(outcomes) is (failures == 0)
        timers.let_pass(5.0)
        assert len(outcomes) == 1


def test_this_machine_never_waits(passwords: BcryptPasswords) -> None:
    """C43."""
    for _ in range(20):
        for address in ("127.0.0.1", "127.0.0.2", "::1"):
            assert len(check(passwords, "wrong", None, JobClient(address))) == 1


def test_an_attempt_whose_session_is_over_is_dropped() -> None:
    timers = FakeTimers()
    passwords = passwords_at(COST, timers)
    guesser = JobClient("192.0.2.1")
    check(passwords, "wrong", None, guesser)
    outcomes = check(passwords, "wrong", None, guesser)
    passwords.forget(guesser)
    timers.let_pass(10.0)
    assert outcomes == []


# ---- with a real pool ----


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop(pool_threads=2, pool_queue=2)
    yield loop
    loop.close()


def passwords_in(loop: Loop) -> BcryptPasswords:
    return BcryptPasswords(WorkQueue(loop.in_thread, loop, 2, 4), Failures(loop.monotonic, 100, 100), COST)


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
    passwords = passwords_in(loop)
    results: list[tuple[bytes | None, int]] = []
    passwords.hash(JobClient(), "secret", lambda result: results.append((result, threading.get_ident())))
    assert results == []
    turn_until(loop, lambda: results)
    ((result, thread),) = results
    assert result is not None
    assert thread == threading.get_ident() != threads[0]


def test_a_storm_of_logins_waits_and_of_registrations_is_refused(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(bcrypt, "checkpw", lambda _password, _hash: go.wait(PATIENCE))
    passwords = passwords_in(loop)
    logins = [check(passwords, "secret", b"hash") for _ in range(10)]
    registered: list[bytes | None] = []
    passwords.hash(JobClient(), "secret", registered.append)
    assert registered == [None]
    go.set()
    turn_until(loop, lambda: all(logins))
    assert logins == [[None]] * 10
    passwords.hash(JobClient(), "secret", registered.append)
    turn_until(loop, lambda: len(registered) == 2)
    assert registered[1] is not None


def test_nobody_is_checked_as_slowly_as_the_most_costly_account(monkeypatch: pytest.MonkeyPatch) -> None:
    decoys: list[bytes] = []
    monkeypatch.setattr(bcrypt, "checkpw", lambda _password, decoy: decoys.append(decoy))
    passwords = passwords_at(4)
    for hashes in ([], [b"$2b$05$" + b"x" * 53, b"$2b$12$" + b"x" * 53, b"$2b$04$" + b"x" * 53]):
        passwords.calibrate_dummy_hash(hashes)
        checked(passwords, "secret", None)
    assert [decoy[:7] for decoy in decoys] == [b"$2b$04$", b"$2b$12$"]


# ---- with sessions ----


class Hashing:
    """Sessions whose passwords are compared by threads that work when they are told to. `hashed` has what they were
    given. There is an account alice, with her name for a password."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, threads: int = 1, size: int = 512) -> None:
        monkeypatch.setattr(bcrypt, "checkpw", self._checkpw)
        monkeypatch.setattr(bcrypt, "hashpw", lambda password, _salt: password)
        self.hashed: list[bytes] = []
        self.timers = FakeTimers()
        self._running: list[tuple[Callable[[], Any], Then[Any]]] = []
        queue = WorkQueue(lambda work, then: self._running.append((work, then)), self.timers, threads, size)
        passwords = BcryptPasswords(queue, Failures(self.timers.monotonic, 100, 100), COST)
        self.world = World(passwords=passwords)
        self.world.chat.restore([AccountRegistered("alice", b"alice", 1000.0)])

    def _checkpw(self, password: bytes, password_hash: bytes) -> bool:
        self.hashed.append(password)
        return password == password_hash

    def client(self, *lines: str, address: str = "127.0.0.1") -> FakeTransport:
        """Return the connection of a client that has sent these lines."""
        client = self.world.client(remote_address=(address, 40000))
        self.send(client.transport, *lines)
        return client.transport

    def send(self, transport: FakeTransport, *lines: str) -> None:
        assert transport.owner is not None
        transport.owner.received("".join(f"{line}\n" for line in lines).encode())
        self.world.settle()

    def work(self) -> None:
        """Have the threads do all that there is."""
        while self._running:
            at_once(*self._running.pop(0))
            self.world.settle()


def test_clients_that_ask_for_a_login_and_reset_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passwords that are really hashed are counted."""
    hashing = Hashing(monkeypatch, threads=2)
    for number in range(560):
        session = hashing.client("LOGIN alice guess", "LOGIN alice again").owner
        assert session is not None
        if number % 2:
            session.lost("reset")
        else:
            session.refuse()
    alice = hashing.client("LOGIN alice alice", "PING")
    hashing.work()
    assert hashing.hashed == [b"guess", b"guess", b"alice"]
    assert alice.take() == b"RESULT LOGIN 1\nRESULT PING 1\n"


def test_clients_that_ask_for_a_login_and_close_do_not_delay_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They may have ended their input only, so they get their answers: after the others, and be it slowly."""
    hashing = Hashing(monkeypatch)
    closed = [hashing.client("LOGIN alice guess") for _ in range(560)]
    for client in closed:
        assert client.owner is not None
        client.owner.ended()
    alice = hashing.client("LOGIN alice alice")
    hashing.work()
    assert hashing.hashed[:2] == [b"guess", b"alice"]
    assert alice.take() == b"RESULT LOGIN 1\n"
    assert {client.take() for client in closed} == {b"RESULT LOGIN 0\n"}
    assert {client.finished for client in closed} == {1}


def test_one_address_does_not_make_the_others_wait_for_all_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = Hashing(monkeypatch)
    for _ in range(560):
        hashing.client("LOGIN alice guess", address="192.0.2.1")
    alice = hashing.client("LOGIN alice alice", address="192.0.2.2")
    hashing.work()
    assert hashing.hashed.index(b"alice") == 2
    assert alice.take() == b"RESULT LOGIN 1\n"
    assert len(hashing.hashed) == 561  # and everybody has an answer


def test_a_full_queue_refuses_what_is_no_login_and_a_login_gets_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = Hashing(monkeypatch, size=2)
    user = hashing.client("LOGIN alice alice")
    hashing.work()
    assert user.take() == b"RESULT LOGIN 1\n"
    taken = [hashing.client(f"REGISTER user{number} pw") for number in range(2)]
    refused = hashing.client("REGISTER carol pw", "PING")
    assert refused.take() == b"RESULT REGISTER 0\nRESULT PING 1\n"
    hashing.send(user, "PASSWORD alice new", "PING")
    assert user.take() == b"RESULT PASSWORD 0\nRESULT PING 1\n"
    logins = [hashing.client("LOGIN nobody pw", "PING") for _ in range(20)]
    assert {login.take() for login in logins} == {b""}
    hashing.work()
    assert {login.take() for login in logins} == {b"RESULT LOGIN 0\nRESULT PING 1\n"}
    assert {client.take() for client in taken} == {b"RESULT REGISTER 1\n"}
    hashing.send(refused, "REGISTER carol pw")
    hashing.work()
    assert refused.take() == b"RESULT REGISTER 1\n"


def test_a_guessing_client_waits_and_no_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    hashing = Hashing(monkeypatch)
    guesser = hashing.client(*["LOGIN alice guess"] * 3, "PING", address="2001:db8::1")
    hashing.work()
    assert guesser.take() == b"RESULT LOGIN 0\n"
    others = [
        hashing.client("LOGIN nobody guess", "PING", address="2001:db8::1"),
        hashing.client("LOGIN alice guess", "PING", address="2001:db8:0:1::1"),
        hashing.client("LOGIN alice guess", "PING"),
    ]
    neighbour = hashing.client("LOGIN alice alice", address="2001:db8::2")
    hashing.work()
    assert {other.take() for other in others} == {b"RESULT LOGIN 0\nRESULT PING 1\n"}
    assert neighbour.take() == b""
    hashing.timers.let_pass(0.25)
    hashing.work()
    assert neighbour.take() == b"RESULT LOGIN 1\n"  # at most 5 seconds later, whatever others do there
    assert guesser.take() == b"RESULT LOGIN 0\n"
    hashing.timers.let_pass(5.0)
    hashing.work()
    assert guesser.take() == b"RESULT LOGIN 0\nRESULT PING 1\n"


def test_the_right_password_of_a_user_logged_in_elsewhere_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """C40."""
    hashing = Hashing(monkeypatch)
    hashing.client("LOGIN alice alice")
    hashing.work()
    again = hashing.client(address="192.0.2.1")
    for _ in range(10):
        hashing.send(again, "LOGIN alice alice")
        hashing.work()
        assert again.take() == b"RESULT LOGIN 0\n"
    assert hashing.world.chat.logins.failed == 0


def test_a_wrong_old_password_delays_the_next_attempt_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """C40."""
    hashing = Hashing(monkeypatch)
    alice = hashing.client("LOGIN alice alice", "PASSWORD guess new", "PASSWORD alice new", address="192.0.2.1")
    hashing.work()
    assert alice.take() == b"RESULT LOGIN 1\nRESULT PASSWORD 0\n"
    hashing.timers.let_pass(0.25)
    hashing.work()
    assert alice.take() == b"RESULT PASSWORD 1\n"
