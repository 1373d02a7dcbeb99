"""Limits that clients of IRC reach: they are counted and logged, whatever the dialect."""

from __future__ import annotations

import pytest

from domain.state import Limits
from support.irc import guest, user
from support.world import Client, World


def client_of_irc(world: World, name: str) -> Client:
    """Return a client that has logged in with PASS."""
    client = world.client()
    client.ask(f"PASS {name}:{name}", f"NICK {name}", f"USER {name} 0 * :x")
    return client


def test_an_account_has_so_many_clients_at_once() -> None:
    """M16."""
    with World(Limits(clients=2)) as world:
        world.client().ask("REGISTER ann ann")
        first, second, third = (client_of_irc(world, "ann") for _ in range(3))
        assert [bool(client.transport.finished) for client in (first, second, third)] == [False, False, True]
        assert third.transport.limits == [("max-account-clients", "name=ann")]
        first.leave()
        assert not client_of_irc(world, "ann").transport.finished
        assert len(world.chat.users.accounts["ann"].sessions) == 2


@pytest.mark.parametrize(
    ("limits", "lines", "reason"),
    [
        (Limits(accounts=1), ["REGISTER * * secret"], "max-accounts"),
        (Limits(channels=1), ["JOIN #a", "JOIN #b"], "max-channels"),
        (Limits(channels_per_creator=1), ["JOIN #a,#b"], "max-channels-per-creator"),
        (Limits(channels_per_user=1), ["JOIN #a", "@label=x JOIN #b"], "max-channels-per-user"),
        (Limits(mail=1), ["PRIVMSG ann :1", "PRIVMSG ann :2"], "max-mail"),
    ],
)
def test_a_request_that_a_limit_refuses_is_counted(limits: Limits, lines: list[str], reason: str) -> None:
    """It is logged with its reason, whichever dialect has asked."""
    with World(limits) as world:
        world.client().ask("REGISTER ann ann")
        bob = (guest if reason == "max-accounts" else user)(world, "bob", "labeled-response")
        bob.ask(*lines)
        assert bob.client.transport.limits == [(reason, "")]
