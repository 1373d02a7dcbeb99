"""ui/places.py: where the server may be, and the first connection. Also the words of the command line for it."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from net.watched import AnySocket
from ui import places as ui_places
from ui.connection import Address
from ui.options import parse_command_line
from ui.places import CLUSTER_PORTS, Places, find, places, places_of

HERE = "localhost"


@pytest.mark.parametrize(
    ("words", "addresses", "persistent"),
    [
        ("5050", [(HERE, 5050)], False),
        ("5050 --retry 3", [(HERE, 5050)], True),
        ("7,8,7", [(HERE, 7), (HERE, 8)], True),
        ("7 --host a,b", [("a", 7), ("b", 7)], True),
        ("7,8 --host a,b", [("a", 7), ("b", 7), ("a", 8), ("b", 8)], True),
        ("6666", [(HERE, port) for port in CLUSTER_PORTS], True),
        ("6666 --dialect mailbox", [(HERE, port) for port in CLUSTER_PORTS], True),
        ("6666 --host a,b", [(host, port) for port in CLUSTER_PORTS for host in ("a", "b")], True),
        ("6666 ann", [(HERE, 6666)], False),
        ("6666,6667 ann", [(HERE, 6666), (HERE, 6667)], True),
        ("6667", [(HERE, 6667)], False),
    ],
)
def test_the_command_line_tells_the_places(words: str, addresses: list[tuple[str, int]], persistent: bool) -> None:
    where = places_of(parse_command_line(words.split()))
    assert [(address.host, address.port) for address in (where.current, *where.others)] == addresses
    assert where.persistent == persistent
    assert where.several == (len(addresses) > 1)


@pytest.mark.parametrize("words", ["0", "7,0", "65536", "7,65536", "7,8 --host a,,b", "7 --host ,", "7 --retry soon"])
def test_a_wrong_list_is_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse_command_line(words.split())
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith("client.py: ")


class Network:
    """Answers to dialling: the ports that accept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *accepting: int) -> None:
        self.accepting = list(accepting)
        self.dialled: list[int] = []
        self.now = 0.0
        self.told: list[float] = []
        self.sock = socket.socket()
        monkeypatch.setattr(ui_places, "dial", self.dial)

    def dial(self, address: Address, *_how: object) -> socket.socket:
        self.dialled.append(address.port)
        if address.port not in self.accepting:
            raise ConnectionRefusedError
        return self.sock

    def find(self, where: Places, seconds: float = 15) -> AnySocket:
        return find(where, seconds, lambda: self.told.append(self.now), lambda: self.now, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now == 10:
            self.accepting.append(8)


def test_the_next_place_is_tried_and_the_last_that_answered_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch, 8)
    where = places(["h"], [7, 8, 9])
    with network.sock:
        assert where.dial() is network.sock
        assert (network.dialled, where.current.port) == ([7, 8], 8)
        network.dialled.clear()
        network.accepting = []
        with pytest.raises(ConnectionRefusedError):
            where.dial()
        assert (network.dialled, where.current.port) == ([8, 9, 7], 8)
        where.leave()
        assert where.current.port == 9
        where.choose(Address("h", 7))
        assert [address.port for address in where.others] == [8, 9]


@pytest.mark.parametrize(
    ("ports", "found_at", "attempts"), [([7, 8], 10.0, 2 * 40 + 2), ([7], 0.0, 1), ([7, 9], None, 2 * 61)]
)
def test_the_first_connection_is_tried_for_a_while_at_several_places(
    monkeypatch: pytest.MonkeyPatch, ports: Sequence[int], found_at: float | None, attempts: int
) -> None:
    network = Network(monkeypatch)
    where = places(["h"], ports)
    with network.sock:
        if where.several and 8 in ports:
            assert network.find(where) is network.sock
        else:
            with pytest.raises(ConnectionRefusedError):
                network.find(where)
    assert network.now == (15 if found_at is None else found_at)
    assert len(network.dialled) == attempts
    assert network.told == ([0.0] if where.persistent else []), "the search is told once, after the first round"


def test_a_search_that_ends_at_once_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(monkeypatch)
    with network.sock, pytest.raises(ConnectionRefusedError):
        network.find(places(["h"], [7, 8]), seconds=0)
    assert network.told == []
