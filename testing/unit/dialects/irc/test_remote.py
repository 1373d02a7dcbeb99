"""Channels of other servers in IRC (I20, I23, I26, I30)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.irc import IrcClient, guest, user
from support.peers import ONE, cut
from support.world import Client, World


@pytest.fixture
def world() -> Iterator[World]:
    with World(settings=ONE) as world:
        yield world


@pytest.fixture
def peer(world: World) -> Client:
    return world.peer("two")


def member(world: World, peer: Client, name: str, *capabilities: str) -> IrcClient:
    """Return a client that is in `tea` of the peer `two`."""
    client = user(world, name, *capabilities)
    client.client.send("JOIN #tea:two")
    assert peer.heard() == [f"FEDJOIN {name}@one tea"]
    peer.send(f"FEDRESULT {name} JOIN tea:two 1")
    assert client.heard()[0] == f":{name}!{name}@account JOIN #tea:two"
    return client


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("PRIVMSG #tea:two :hi all", "hi all"), ("NOTICE #tea:two :beep", "beep"),
        ("PRIVMSG #tea:two :\x01ACTION waves\x01", "* waves"), ("PRIVMSG #tea:two :\x0304red", "red"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("capabilities", [(), ("echo-message",)])
def test_a_message_goes_to_the_server_of_its_channel(
    world: World, peer: Client, line: str, said: str, capabilities: tuple[str, ...]
) -> None:
    bob = member(world, peer, "bob", *capabilities)
    assert bob.ask(line) == []
    assert peer.heard() == [f"FEDSAY bob@one tea {said}"]
    peer.send(f"FEDRECV bob bob@one tea {said}")
    assert bob.heard() == [f":bob!bob@account PRIVMSG #tea:two :{said}"] * len(capabilities)
    peer.send("FEDRECV bob eve@two tea ho")
    assert bob.heard() == [":eve|two!eve@two PRIVMSG #tea:two :ho"]


def test_each_other_client_of_the_account_hears_it_as_it_has_asked(world: World, peer: Client) -> None:
    """(I12)"""
    bob = member(world, peer, "bob")
    loud, quiet = user(world, "bob", "echo-message"), user(world, "bob")
    bob.ask("PRIVMSG #tea:two :hi")
    assert peer.heard() == ["FEDSAY bob@one tea hi"]
    peer.send("FEDRECV bob bob@one tea hi")
    assert loud.heard() == [":bob!bob@account PRIVMSG #tea:two :hi"]
    assert bob.heard() == quiet.heard() == []


@pytest.mark.parametrize("line", ["PRIVMSG #tea:two :hi", "NOTICE #tea:two :hi"])
@pytest.mark.parametrize("end", ["refused", "lost"])
def test_a_message_that_is_not_taken_is_answered_later(world: World, peer: Client, line: str, end: str) -> None:
    bob = member(world, peer, "bob")
    assert bob.ask(line, "PING x") == [":one PONG one :x"]
    if end == "refused":
        peer.send("FEDRESULT bob SAY tea:two 0")
    else:
        cut(peer)
    refusal = ":one 404 bob #tea:two :Cannot send to channel: its server has not taken it"
    assert [heard for heard in bob.heard() if " PART " not in heard] == [refusal] * line.startswith("PRIVMSG")


@pytest.mark.parametrize(
    ("capabilities", "answer", "heard"),
    [
        (("echo-message",), "FEDRECV bob bob@one tea hi", ":bob!bob@account PRIVMSG #tea:two :hi"),
        ((), "FEDRECV bob bob@one tea hi", ":one ACK"),
        (("echo-message",), "FEDRESULT bob SAY tea:two 0",
         ":one 404 bob #tea:two :Cannot send to channel: its server has not taken it"),
        ((), "FEDRESULT bob SAY tea:two 0",
         ":one 404 bob #tea:two :Cannot send to channel: its server has not taken it"),
    ],
)  # fmt: skip
def test_a_label_waits_for_what_becomes_of_a_message(
    world: World, peer: Client, capabilities: tuple[str, ...], answer: str, heard: str
) -> None:
    """(I26, I34)"""
    bob = member(world, peer, "bob", "labeled-response", *capabilities)
    assert bob.ask("@label=x PRIVMSG #tea:two :hi") == []
    peer.send("FEDRECV bob eve@two tea hi")
    assert bob.heard() == [":eve|two!eve@two PRIVMSG #tea:two :hi"]
    peer.send(f"{answer}\nFEDRECV bob eve@two tea ho\n".encode())
    assert bob.heard() == [f"@label=x {heard}", ":eve|two!eve@two PRIVMSG #tea:two :ho"]


def test_labels_of_several_messages(world: World, peer: Client) -> None:
    bob = member(world, peer, "bob", "labeled-response", "echo-message")
    bob.client.send(b"@label=1 PRIVMSG #tea:two :a\n@label=2 PRIVMSG #tea:two :b\n@label=3 PRIVMSG #tea:two :a\n")
    assert peer.heard() == [f"FEDSAY bob@one tea {text}" for text in "aba"]
    peer.send(b"FEDRECV bob bob@one tea b\nFEDRECV bob bob@one tea a\nFEDRECV bob bob@one tea a\n")
    echoes = (("2", "b"), ("1", "a"), ("3", "a"))
    assert bob.heard() == [f"@label={label} :bob!bob@account PRIVMSG #tea:two :{text}" for label, text in echoes]


def test_a_client_that_has_ended_its_input_still_gets_its_echo(world: World, peer: Client) -> None:
    """(C12)"""
    bob = member(world, peer, "bob", "echo-message")
    bob.client.send("PRIVMSG #tea:two :hi")
    bob.client.session.ended()
    assert peer.heard() == ["FEDSAY bob@one tea hi"]
    assert not bob.client.transport.finished
    peer.send("FEDRECV bob bob@one tea hi")
    assert bob.heard() == [":bob!bob@account PRIVMSG #tea:two :hi"]
    assert bob.client.transport.finished


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("PRIVMSG #none:two :x", ["403"]), ("PRIVMSG #tea:nowhere :x", ["403"]), ("@label=x NOTICE #none:two :x", []),
        ("PRIVMSG @#tea:two :x", ["404"]), ("JOIN #tea:two", []), ("JOIN #tea:nowhere", ["403"]),
        ("NAMES #tea:two", ["353", "366"]), ("TOPIC #tea:two", ["442"]), ("TOPIC #tea:two :x", ["442"]),
        ("MODE #tea:two", ["442"]), ("MODE #tea:two +m", ["442"]), ("KICK #tea:two eve|two", ["442"]),
        ("CHATHISTORY LATEST #tea:two * 10", ["FAIL"]),
        ("MARKREAD #tea:two timestamp=2020-01-01T00:00:00.000Z", ["FAIL"]), ("MARKREAD #tea:two", ["FAIL"]),
        ("MARKREAD #tea:nowhere", ["FAIL"]), ("INVITE bob #tea:two", ["442"]), ("INVITE eve|two #tea:two", ["401"]),
        ("INVITE bob #tea:nowhere", ["403"]), ("PART #tea:two", ["PART"]),
    ],
)  # fmt: skip
def test_what_such_a_channel_has_and_has_not(world: World, peer: Client, line: str, codes: list[str]) -> None:
    bob = member(world, peer, "bob", "draft/chathistory", "batch", "draft/read-marker")
    assert bob.codes(line) == codes
    assert peer.heard() == ["FEDLEAVE bob@one tea"] * (codes == ["PART"])


def test_others_may_not_speak_there(world: World, peer: Client) -> None:
    member(world, peer, "bob")
    zoe, ann = guest(world, "zoe"), user(world, "ann")
    assert zoe.codes("JOIN #tea:two", "PRIVMSG #tea:two :x") == ["477", "404"]
    assert ann.codes("PRIVMSG #tea:two :x", "NOTICE #tea:two :x") == ["404"]
    assert peer.heard() == []


def test_a_channel_whose_server_is_away_is_told_so(world: World, peer: Client) -> None:
    bob = member(world, peer, "bob")
    cut(peer)
    bob.heard()
    assert bob.ask("PRIVMSG #tea:two :x") == [
        ":one 404 bob #tea:two :Cannot send to channel: its server cannot be reached"
    ]
