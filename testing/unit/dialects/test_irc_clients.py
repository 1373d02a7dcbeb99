"""How many clients of IRC one account has."""

from __future__ import annotations

from domain.state import Limits
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
