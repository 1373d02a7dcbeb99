"""dialects/__init__.py: what is registered can be listened to, and is chosen by its first word."""

from __future__ import annotations

import pytest

from dialects import AUTO, DEFAULT, DIALECTS, LISTEN_DIALECTS, WEB
from settings import Settings
from support.world import FakeTransport, World


@pytest.mark.parametrize("name", DIALECTS)
def test_a_dialect_bears_the_name_under_which_it_is_registered(name: str) -> None:
    with World() as world:
        assert world.node.dialects[name].name == name


@pytest.mark.parametrize("port", [port for port in LISTEN_DIALECTS if port != WEB])
def test_every_word_of_a_listen_line_is_a_port(port: str) -> None:
    with World() as world:
        session = world.node.accept(FakeTransport(), port)
        assert session.dialect is world.node.dialects[DEFAULT if port == AUTO else port]


@pytest.mark.parametrize(
    ("name", "first_word"), [(name, word) for name, row in DIALECTS.items() for word in row.first_words or ("",)]
)
def test_a_first_word_chooses_on_a_port_for_all(name: str, first_word: str) -> None:
    with World() as world:
        session = world.node.accept(FakeTransport(world.soon), AUTO)
        session.received(f"{first_word or 'PING'} one\n".encode())
        assert session.dialect is world.node.dialects[name if first_word else DEFAULT]
        alone = world.node.accept(FakeTransport(world.soon), DEFAULT)
        alone.received(f"{first_word or 'PING'} one\n".encode())
        assert alone.dialect is world.node.dialects[DEFAULT]


def test_what_is_turned_off_is_not_chosen() -> None:
    with World(settings=Settings(federation="off")) as world:
        session = world.node.accept(FakeTransport(world.soon), AUTO)
        session.received(b"FEDERATE-OUT one\n")
        assert session.dialect is world.node.dialects[DEFAULT]
        assert "federation" not in world.node.dialects
