"""domain/tokens.py: how tokens are made, checked, bounded and ended (W12)."""

from __future__ import annotations

from functools import partial

import pytest

from domain.changes import AccountRemoved, BanLifted, Banned, Change, PasswordChanged, TokenMade
from domain.errors import NotAPassword, WrongPassword
from domain.state import Account
from domain.tokens import DAY, MAX_TOKENS, Tokens, digest_of
from support.memory_chat import NOW, MemoryChat


class Issuer:
    """Makes tokens of one account, with a clock of its own."""

    def __init__(self) -> None:
        self.memory = MemoryChat()
        self.account: Account = self.memory.account("ann")
        self.now = NOW
        self.made = 0
        self.tokens = Tokens(self.memory.chat.users, self.memory.journal, lambda: self.now, self._secret)

    def _secret(self) -> str:
        self.made += 1
        return f"{self.made:043}"

    def make(self, replaced: str = "", *, lasts: bool = False) -> str:
        issued = []
        outcome = self.memory.outcome(
            lambda done: issued.append(self.tokens.make(self.account, digest_of(replaced), done, lasts=lasts))
        )
        assert outcome is None
        return issued[0].token

    def is_valid(self, token: str, name: str = "ann") -> bool:
        try:
            return self.tokens.find(name, token) == digest_of(token)
        except WrongPassword:
            return False


def test_a_token_is_valid_for_its_account_alone() -> None:
    issuer = Issuer()
    issuer.memory.account("bob")
    token = issuer.make()
    assert len(token) == len("ct1_") + 43
    assert issuer.is_valid(token)
    assert not issuer.is_valid(token, "bob")
    assert not issuer.is_valid(token, "nobody")
    assert not issuer.is_valid(token[:-1])
    assert token not in repr(issuer.account.tokens)


@pytest.mark.parametrize(("lasts", "days"), [(False, 1), (True, 90)])
def test_a_token_lapses(lasts: bool, days: int) -> None:
    issuer = Issuer()
    token = issuer.make(lasts=lasts)
    issuer.now += days * DAY - 1
    assert issuer.is_valid(token)
    issuer.now += 1
    assert not issuer.is_valid(token)


def test_each_kind_evicts_its_own_oldest() -> None:
    issuer = Issuer()
    lasting = issuer.make(lasts=True)
    passing = [issuer.make() for _ in range(MAX_TOKENS + 1)]
    assert [issuer.is_valid(token) for token in passing] == [False] + [True] * MAX_TOKENS
    assert issuer.is_valid(lasting)


def test_a_replacement_keeps_the_kind_and_the_end() -> None:
    issuer = Issuer()
    first = issuer.make(lasts=True)
    issuer.now += 80 * DAY
    second = issuer.make(first)
    assert not issuer.is_valid(first)
    issuer.now += 10 * DAY - 1
    assert issuer.is_valid(second)
    issuer.now += 1
    assert not issuer.is_valid(second)


def test_tokens_end_one_by_one_or_all() -> None:
    issuer = Issuer()
    one, two, three = (issuer.make() for _ in range(3))
    assert issuer.memory.outcome(lambda done: issuer.tokens.drop(issuer.account, digest_of(two), done)) is None
    assert [issuer.is_valid(token) for token in (one, two, three)] == [True, False, True]
    assert issuer.memory.outcome(lambda done: issuer.tokens.drop(issuer.account, "", done)) is None
    assert [issuer.is_valid(token) for token in (one, two, three)] == [False] * 3


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        (PasswordChanged("ann", b"new"), True),
        (AccountRemoved("ann"), True),
        (Banned("account", "ann", "", "", NOW, 0.0), True),
        (Banned("account", "ann", "room", "", NOW, 0.0), False),
        (Banned("account", "bob", "", "", NOW, 0.0), False),
        (Banned("address", "192.0.2.1/32", "", "", NOW, 0.0), False),
    ],
)
def test_a_new_password_a_ban_from_the_server_and_the_end_of_the_account_end_all(change: Change, ends: bool) -> None:
    issuer = Issuer()
    tokens = [issuer.make(), issuer.make(lasts=True)]
    assert issuer.memory.outcome(lambda done: issuer.memory.journal.submit(change, done)) is None
    assert [issuer.is_valid(token) for token in tokens] == [not ends] * 2


def test_tokens_that_a_ban_has_ended_stay_so_when_it_is_lifted() -> None:
    issuer = Issuer()
    token = issuer.make()
    for change in (Banned("account", "ann", "", "", NOW, 0.0), BanLifted("account", "ann", "")):
        assert issuer.memory.outcome(partial(issuer.memory.journal.submit, change)) is None
    assert not issuer.is_valid(token)
    assert issuer.is_valid(issuer.make())


def test_a_failed_commit_takes_a_token_back() -> None:
    issuer = Issuer()
    token = issuer.make()
    issuer.memory.backend.fails = True
    issuer.memory.outcome(lambda done: issuer.tokens.make(issuer.account, "", done))
    issuer.memory.outcome(lambda done: issuer.memory.journal.submit(PasswordChanged("ann", b"new"), done))
    issuer.memory.outcome(lambda done: issuer.tokens.drop(issuer.account, "", done))
    issuer.memory.outcome(partial(issuer.memory.journal.submit, Banned("account", "ann", "", "", NOW, 0.0)))
    assert list(issuer.account.tokens) == [digest_of(token)]


def test_no_password_has_the_form_of_a_token() -> None:
    memory = MemoryChat()
    user = memory.user("ann")
    register = memory.chat.accounts.register
    assert memory.outcome(lambda done: register(user, "eve", "ct1_anything", done)) is NotAPassword
    change = memory.chat.accounts.change_password
    assert memory.outcome(lambda done: change(user, "ann", "ct1_anything", done)) is NotAPassword


def test_a_token_comes_back_from_the_store_as_it_was() -> None:
    issuer = Issuer()
    issuer.memory.chat.restore([TokenMade("ann", digest_of("ct1_x"), True, NOW + 5, NOW)])
    assert issuer.is_valid("ct1_x")
