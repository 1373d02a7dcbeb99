"""peering/names.py: by what name a server is known, and for whom it speaks."""

from __future__ import annotations

import pytest

from peering.proof import Handshake
from settings import PeerConfig, Secret, Settings
from support.peers import ONE, PINNED, TWO, cut, is_closed, joined
from support.world import Client, World

pytestmark = pytest.mark.usefixtures("no_mistake_is_only_logged")


@pytest.mark.parametrize(
    ("listed", "sent", "name"),
    [
        ([], "", "127.0.0.2"),
        ([], "two", "two"),
        ([TWO], "", "127.0.0.2"),
        ([PINNED], "", "two"),
        ([PINNED], "two", "two"),
        ([PINNED], "three", "three"),
        ([PINNED, PeerConfig("127.0.0.2", 5052, "three")], "", "127.0.0.2"),
        ([PeerConfig("127.0.0.3", 5052, "three")], "", "127.0.0.2"),
    ],
)
def test_by_what_name_a_server_is_known_that_has_dialled(listed: list[PeerConfig], sent: str, name: str) -> None:
    with World(settings=ONE, listed=listed) as world:
        world.peer(sent, "127.0.0.2")
        assert [*world.federation.peers] == [name]


@pytest.mark.parametrize(
    ("listed", "sent", "name"),
    [(TWO, "", "127.0.0.2"), (TWO, "two", "two"), (PINNED, "", "two"), (PINNED, "two", "two"), (PINNED, "three", None)],
)
def test_by_what_name_a_server_is_known_that_was_dialled(listed: PeerConfig, sent: str, name: str | None) -> None:
    with World(settings=ONE, listed=[listed, PeerConfig("127.0.0.2", 5052, "other")]) as world:
        peer = world.dialled()
        peer.send(f"FEDERATE-CONFIRM {sent}")
        assert [*world.federation.peers] == ([name] if name else [])
        assert bool(peer.transport.refused) == (name is None)


@pytest.mark.parametrize("name", ["a b", "a_b", "a:b", "a@b", "\u4e2d", "x" * 65, "one", "pinned", "127.0.0.2"])
def test_names_that_no_server_may_bear(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, "pinned")]) as world:
        peer = world.client(remote_address=("127.0.0.3", 40000))
        peer.send(f"FEDERATE-OUT {name}")
        assert is_closed(peer)
        assert "closing the link with a server (127.0.0.3 port 40000): " in caplog.text


def test_servers_over_ipv6_need_names() -> None:
    with World(settings=ONE) as world:
        nameless, named = (world.client(remote_address=("::1", 40000)) for _ in range(2))
        nameless.send("FEDERATE-OUT")
        assert is_closed(nameless)
        assert named.ask("FEDERATE-OUT two") == ["FEDERATE-CONFIRM one", "FEDCHANNELS"]
    with World() as world:
        peer = world.client(remote_address=("::1", 40000))
        peer.transport.local_address = ("::1", 5050)
        peer.send("FEDERATE-OUT two")
        assert is_closed(peer)


def test_a_name_in_use_is_its_address_s_alone(world: World) -> None:
    first = world.peer("two", "127.0.0.2")
    other = world.client(remote_address=("127.0.0.3", 40000))
    other.send("FEDERATE-OUT two")
    assert is_closed(other)
    world.peer("two", "127.0.0.2")
    assert len(world.federation.peers["two"].links) == 2
    cut(first)
    assert len(world.federation.peers["two"].links) == 1


def test_the_name_of_a_listed_server_is_kept_for_its_address() -> None:
    with World(settings=ONE, listed=[TWO]) as world:
        cut(world.peer("two", "127.0.0.2"), world.peer("stranger", "127.0.0.4"))
        for restarted in (world, World(settings=ONE, listed=[TWO], store=world.store)):
            thief = restarted.client(remote_address=("127.0.0.3", 40000))
            thief.send("FEDERATE-OUT two")
            assert is_closed(thief)
            cut(restarted.peer("stranger", "127.0.0.3"))
        moved = World(settings=ONE, listed=[PeerConfig("127.0.0.3", 5051, "two")], store=world.store)
        cut(moved.peer("two", "127.0.0.3"))
        moved_for_good = World(settings=ONE, store=world.store)
        late = moved_for_good.client(remote_address=("127.0.0.2", 40000))
        late.send("FEDERATE-OUT two")
        assert is_closed(late)


def test_only_listed_servers_if_so_wished() -> None:
    with World(settings=ONE._replace(federation="listed"), listed=[TWO]) as world:
        stranger = world.client(remote_address=("127.0.0.3", 40000))
        stranger.send("FEDERATE-OUT three")
        assert is_closed(stranger)
        assert world.peer("two", "127.0.0.2").ask("FEDNEW tea") == []


ELSEWHERE = PeerConfig("127.0.0.3", 5051, None)


@pytest.mark.parametrize(
    ("listed", "sent", "configured"),
    [
        ([], "two", False),
        ([ELSEWHERE], "two", False),
        ([TWO], "two", True),
        ([TWO], "", True),
        ([PINNED], "two", True),
        ([PINNED], "", True),
        ([PINNED], "three", False),
        ([PINNED, PeerConfig("127.0.0.2", 5052, None)], "three", False),
        ([PINNED, PeerConfig("127.0.0.2", 5052, "four")], "four", True),
        ([PINNED, PeerConfig("127.0.0.2", 5052, "four")], "", False),
    ],
)
def test_which_servers_that_dial_are_configured(listed: list[PeerConfig], sent: str, configured: bool) -> None:
    """L14."""
    with World(settings=ONE, listed=listed) as world:
        world.peer(sent, "127.0.0.2")
        (peer,) = world.federation.peers.values()
        assert peer.configured == configured
    with World(settings=ONE._replace(federation="listed"), listed=listed) as world:
        link = world.client(remote_address=("127.0.0.2", 40000))
        link.send(f"FEDERATE-OUT {sent}")
        assert bool(link.transport.refused) != configured


def test_a_server_that_was_dialled_is_configured_and_so_is_the_peer_of_one_such_link() -> None:
    """L14."""
    with World(settings=ONE, listed=[TWO, PeerConfig("127.0.0.2", 5052, "three")]) as world:
        accepted = world.peer("two", "127.0.0.2")
        peer = world.federation.peers["two"]
        assert not peer.configured
        dialled = world.dialled()
        dialled.ask("FEDERATE-CONFIRM two")
        assert peer.configured
        cut(dialled)
        assert not peer.configured
        cut(accepted)


@pytest.mark.parametrize(("policy", "let_in"), [("local", "LH"), ("open", "LHR"), ("listed", "")])
@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (("127.0.0.3", "127.0.0.1"), "L"), (("127.9.9.9", "10.0.0.1"), "L"), (("::1", "::1"), "L"),
        (("10.0.0.1", "10.0.0.1"), "H"), (("2001:db8::1", "2001:db8::1"), "H"),
        (("10.0.0.2", "10.0.0.1"), "R"), (("128.0.0.1", "127.0.0.1"), "R"), (("2001:db8::1", "::1"), "R"),
        (("::2", "::1"), "R"), (("", ""), "R"),
    ],
)  # fmt: skip
def test_which_unlisted_servers_are_let_in(
    policy: str, let_in: str, place: tuple[str, str], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Loopback, the address to which the connection leads, or elsewhere."""
    with World(settings=ONE._replace(federation=policy), listed=[PeerConfig("10.9.9.9", 5051, None)]) as world:
        stranger = world.client(remote_address=(place[0], 40000))
        stranger.transport.local_address = (place[1], 5050)
        stranger.send("FEDERATE-OUT three")
        if kind in let_in:
            assert stranger.heard() == ["FEDERATE-CONFIRM one", "FEDCHANNELS"]
        else:
            assert is_closed(stranger)
            assert f"federation {policy}" in caplog.text
        listed = world.client(remote_address=("10.9.9.9", 40000))
        assert listed.ask("FEDERATE-OUT two") == ["FEDERATE-CONFIRM one", "FEDCHANNELS"]


def test_two_servers_without_names_at_one_address() -> None:
    with World() as world:
        bob, ann = world.user("bob"), world.user("ann")
        peer = world.peer()
        for user, name in ((bob, "bob"), (ann, "ann")):
            user.send("JOIN tea:127.0.0.1")
            assert peer.ask(f"FEDRESULT {name} JOIN tea:server2 1") == [f"FEDJOIN {name}@127.0.0.1 tea"]
            assert user.heard() == ["RESULT JOIN tea:127.0.0.1 1"]
        bob.send("SAY tea:127.0.0.1 hello")
        peer.ask(*(f"FEDRECV {name} bob@127.0.0.1 tea:server2 hello" for name in ("bob", "ann")))
        assert bob.heard() == ann.heard() == ["RECV bob tea:127.0.0.1 hello"]
        peer.ask("FEDRECV bob eve@127.0.0.1 tea hello")
        assert bob.heard() == ["RECV eve@127.0.0.1 tea:127.0.0.1 hello"]


@pytest.mark.parametrize("settings", [ONE, ONE._replace(max_peers=1)])
def test_a_server_that_gives_its_users_a_name_and_sends_none_is_known_by_it(settings: Settings) -> None:
    """As the courses' example has it."""
    with World(settings=settings) as world:
        alice = world.user("alice", "helloworld")
        peer = world.peer()
        peer.ask("FEDCHANNELS tea")
        assert peer.ask("FEDJOIN bob@server1.com helloworld") == ["FEDRESULT bob JOIN helloworld:one 1"]
        peer.ask("FEDSAY bob@server1.com helloworld hello", "FEDSAY bob@127.0.0.1 helloworld again")
        assert alice.heard() == [f"RECV bob@server1.com helloworld {text}" for text in ("hello", "again")]
        assert alice.ask("CHANNELS") == ["RESULT CHANNELS helloworld, tea:server1.com"]
        alice.send("SAY @bob@server1.com hello")
        assert peer.heard() == ["FEDMSG alice@one bob hello"]
        peer.send("FEDJOIN bob@server2.com helloworld")
        assert is_closed(peer)


def test_a_server_without_a_name_gets_no_name_by_what_is_no_user(world: World) -> None:
    """Nor any number of names, each of which it could keep from others, and which would be gone through each time."""
    nameless = world.peer()
    for user in ("", "/bob", "a,b", "x" * 65):
        for verb, rest in (("FEDJOIN", "tea"), ("FEDLEAVE", "tea"), ("FEDSAY", "tea hi"), ("FEDMSG", "alice hi")):
            nameless.ask(*(f"{verb} {user}@server{number}.com {rest}" for number in range(3)))
    (link,) = world.federation.peers["127.0.0.1"].links
    assert link.peer_names == {"127.0.0.1"}
    assert nameless.ask("FEDJOIN bob@server1.com tea") == ["FEDRESULT bob JOIN tea:one 0"]
    assert link.peer_names == {"127.0.0.1", "server1.com"}
    nameless.send("FEDJOIN bob@server2.com tea")
    assert is_closed(nameless)


def test_what_a_server_without_a_name_has_here_is_found_again(world: World) -> None:
    peer, bob = world.peer(), world.user("bob")
    world.user("alice", "helloworld")
    peer.ask("FEDJOIN eve@server1.com helloworld")
    bob.send("JOIN tea:server1.com")
    peer.ask("FEDRESULT bob JOIN tea:server1.com 1")
    assert bob.heard() == ["RESULT JOIN tea:server1.com 1"]
    cut(peer)
    again = world.peer()
    assert again.ask("FEDJOIN eve@server1.com helloworld") == [
        "FEDJOIN bob@one tea",
        "FEDRESULT eve JOIN helloworld:one 1",
    ]


def test_a_server_that_has_been_known_by_its_address_stays_so(world: World) -> None:
    alice = world.user("alice", "tea")
    waited_for, joined_by, one_of_two, other_of_two = (
        world.peer(address=f"127.0.0.{number}") for number in (3, 4, 5, 5)
    )
    world.user("ann").send("JOIN tea:127.0.0.3")
    world.user("bob").send("JOIN tea:127.0.0.4")
    joined_by.ask("FEDRESULT bob JOIN tea:127.0.0.4 1")
    for number, peer in ((3, waited_for), (4, joined_by), (5, one_of_two), (5, other_of_two)):
        peer.heard()
        host = f"server{number}.com"
        assert peer.ask(f"FEDJOIN bob@{host} tea") == ["FEDRESULT bob JOIN tea:one 1"]
        assert alice.ask("USERS tea")[0].endswith(f"bob@127.0.0.{number}")
        peer.send(f"FEDJOIN bob@other{host} tea")
        assert is_closed(peer)


def test_a_server_whose_users_are_known_by_its_address_stays_so(world: World) -> None:
    alice = world.user("alice", "tea")
    first, second = world.peer(), world.peer()
    first.ask("FEDJOIN bob@server1.com tea")
    cut(first)
    second.ask("FEDJOIN ann@server1.com tea")
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice, ann@127.0.0.1, bob@127.0.0.1"]
    cut(second)
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice"]
    assert not world.remote_members()


def test_a_server_that_has_spoken_as_its_address_is_nobody_else(world: World) -> None:
    world.user("alice", "tea")
    peer = world.peer()
    peer.ask("FEDJOIN bob@127.0.0.1 tea", "FEDLEAVE bob@127.0.0.1 tea")
    peer.send("FEDJOIN bob@server1.com tea")
    assert is_closed(peer)


def test_two_servers_without_names_are_told_apart_by_their_users(world: World) -> None:
    alice = world.user("alice", "tea")
    for host in ("server1.com", "server2.com"):
        peer = world.peer()
        peer.ask(f"FEDCHANNELS at-{host}")
        assert peer.ask(f"FEDJOIN bob@{host} tea") == ["FEDRESULT bob JOIN tea:one 1"]
    assert alice.ask("USERS tea", "CHANNELS") == [
        "RESULT USERS tea alice, bob@server1.com, bob@server2.com",
        "RESULT CHANNELS at-server1.com:server1.com, at-server2.com:server2.com, tea",
    ]


@pytest.mark.parametrize("name", ["one", "pinned", "two", "127.0.0.3", "a_b", "borne"])
def test_names_that_are_another_s_are_not_given_to_users(name: str) -> None:
    with World(
        settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, "pinned"), PeerConfig("127.0.0.3", 1, None)]
    ) as world:
        cut(world.peer("borne", "127.0.0.3"))
        world.peer("two", "127.0.0.4")
        nameless = world.peer(address="127.0.0.5")
        nameless.send(f"FEDJOIN bob@{name} tea")
        assert is_closed(nameless)
        assert [*world.federation.peers] == ["two"]


# ---- as whom a server may end memberships ----


def member(world: World, peer: Client) -> Client:
    """Return bob, who is in `tea` at the peer `two`."""
    bob = world.client()
    bob.ask("REGISTER bob bob", "LOGIN bob bob")
    bob.send("JOIN tea:two")
    peer.ask("FEDRESULT bob JOIN tea:two 1")
    assert bob.heard() == ["RESULT JOIN tea:two 1"]
    return bob


def is_in(world: World, name: str = "bob") -> bool:
    world.settle()
    return "tea:two" in world.chat.users.accounts[name].channels


def refused(world: World, address: str) -> bool:
    """Whether nobody at this address can be `two`, neither by a name that is sent nor by that of a user."""
    named, nameless = (world.client(remote_address=(address, 40000)) for _ in range(2))
    named.send("FEDERATE-OUT two")
    nameless.ask("FEDERATE-OUT")
    nameless.send("FEDJOIN eve@two tea")
    is_refused = is_closed(named) and is_closed(nameless)
    cut(named, nameless)
    return is_refused


def test_the_name_of_a_server_in_whose_channels_somebody_is_is_kept_for_its_address() -> None:
    with World(settings=ONE) as world:
        peer = world.peer("two", "127.0.0.2")
        assert world.chat.channels.identities.noted("two") == []
        member(world, peer)
        joined(world, "ann", "tea", peer)
        cut(peer)
        again = World(settings=ONE, store=world.store)
        for restarted in (world, again):
            assert refused(restarted, "127.0.0.3")
            cut(restarted.peer("two", "127.0.0.2"))
        client = again.client()
        for name in ("ann", "bob"):
            assert refused(again, "127.0.0.3")
            assert client.ask(f"LOGIN {name} {name}", "LEAVE tea:two", "LOGOUT")[1] == "RESULT LEAVE tea:two 1"
        assert again.chat.channels.identities.noted("two") == []
        cut(again.peer("two", "127.0.0.3"))


def test_a_join_that_is_refused_or_cannot_be_kept_notes_nothing(world: World) -> None:
    peer = world.peer("two", "127.0.0.2")
    bob = world.user("bob")
    bob.send("JOIN tea:two")
    peer.ask("FEDRESULT bob JOIN tea:two 0")
    bob.send("JOIN tea:two")
    world.let_database_take(anything=False)
    peer.ask("FEDRESULT bob JOIN tea:two 1")
    assert bob.heard() == ["RESULT JOIN tea:two 0"] * 2
    assert world.chat.channels.identities.noted("two") == []


def test_a_leave_that_cannot_be_kept_keeps_the_note(world: World) -> None:
    peer = world.peer("two", "127.0.0.2")
    bob = member(world, peer)
    world.let_database_take(anything=False)
    assert bob.ask("LEAVE tea:two") == ["RESULT LEAVE tea:two 0"]
    cut(peer)
    assert refused(world, "127.0.0.3")


SECRET = Secret(b"0123456789abcdef")


BY_PROOF = PeerConfig("127.0.0.2", 0, "two", SECRET)


def linked(world: World, address: str) -> Client:
    """Return the server `two` at an address, which proves its name if it is asked to."""
    peer = world.client(remote_address=(address, 40000))
    verb, *words = peer.ask("FEDERATE-OUT two")[0].split()
    if verb == "FEDERATE-PROVE":
        peer.ask(f"FEDERATE-PROOF {Handshake(SECRET, 'two', 'one', words[0], words[0]).mac('proof')} {words[0]}")
    assert "two" in world.federation.peers
    peer.heard()
    return peer


@pytest.mark.parametrize(
    ("before", "after", "ends"),
    [
        (("127.0.0.2", None), ("127.0.0.2", None), True),
        (("127.0.0.2", None), ("127.0.0.2", PINNED), True),
        (("127.0.0.2", PINNED), ("127.0.0.2", None), True),
        (("127.0.0.2", None), ("127.0.0.3", PINNED._replace(address="127.0.0.3")), False),
        (("127.0.0.2", PINNED), ("127.0.0.3", PINNED._replace(address="127.0.0.3")), False),
        (("127.0.0.2", BY_PROOF), ("127.0.0.2", BY_PROOF), True),
        (("127.0.0.2", BY_PROOF), ("127.0.0.3", BY_PROOF), True),
        (("127.0.0.2", PINNED), ("127.0.0.2", BY_PROOF), True),
        (("127.0.0.2", PINNED), ("127.0.0.3", BY_PROOF), False),
        (("127.0.0.2", BY_PROOF), ("127.0.0.2", PINNED), False),
    ],
)
@pytest.mark.parametrize("line", ["FEDRESULT bob JOIN tea:two 0", "FEDRESULT bob KICKED tea:two"])
def test_a_membership_is_ended_by_its_server_as_what_it_began_with(
    before: tuple[str, PeerConfig | None], after: tuple[str, PeerConfig | None], ends: bool, line: str
) -> None:
    """Its address, or its proof; the peer has the name each time, since the config of that time gives it to it."""
    (address, pin), (later_address, later_pin) = before, after
    with World(settings=ONE, listed=[pin] if pin else []) as world:
        member(world, linked(world, address))
        later = World(settings=ONE, listed=[later_pin] if later_pin else [], store=world.store)
        peer = linked(later, later_address)
        bob = later.client()
        bob.ask("LOGIN bob bob")
        assert peer.ask(line) == []
        told = {"JOIN": "RESULT JOIN tea:two 0", "KICKED": "RESULT KICKED tea:two"}[line.split()[2]]
        assert bob.heard() == ([told] if ends else [])
        assert is_in(later) != ends
        (statistics,) = later.federation.statistics()
        assert ("ends a membership that did not begin" in statistics) != ends
        assert bob.ask("LEAVE tea:two") == [f"RESULT LEAVE tea:two {int(not ends)}"]  # its owner can
        peer.heard()
        bob.send("JOIN tea:two")
        peer.ask("FEDRESULT bob JOIN tea:two 1", "FEDRESULT bob KICKED tea:two")  # a new one, of today's server
        assert bob.heard() == ["RESULT JOIN tea:two 1", "RESULT KICKED tea:two"]


def test_a_name_that_was_proven_is_nobody_s_without_a_proof(caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[BY_PROOF]) as world:
        member(world, linked(world, "127.0.0.2"))
        for address in ("127.0.0.2", "127.0.0.3"):
            without = World(settings=ONE, store=world.store)
            assert refused(without, address)
        assert "the name two is recorded for a server that has proven it; if it has moved, list it as" in caplog.text


def test_older_memberships_begin_with_the_next_link() -> None:
    with World(settings=ONE) as world:
        member(world, world.peer("two", "127.0.0.2"))
        world.store._db.execute("UPDATE memberships SET server = ''")
        older = World(settings=ONE, store=world.store)
        assert older.chat.channels.identities.noted("two") == []
        cut(linked(older, "127.0.0.2"))
        for restarted in (older, World(settings=ONE, store=world.store)):
            assert refused(restarted, "127.0.0.3")


# ---- lies ----


@pytest.mark.parametrize(
    "line",
    [
        "FEDJOIN eve@three tea", "FEDLEAVE eve@three tea", "FEDSAY eve@three tea hi", "FEDMSG eve@three alice hi",
        "FEDJOIN alice@one tea", "FEDRECV bob eve@three tea:three hi", "FEDRECV bob eve@three tea:one hi",
    ],
)  # fmt: skip
def test_who_speaks_for_another_host_is_closed(world: World, line: str, caplog: pytest.LogCaptureFixture) -> None:
    peer, third = world.peer("two"), world.peer("three")
    bob = joined(world, "bob", "tea", peer)
    alice = world.user("alice", "tea")
    peer.send(f"{line}\nFEDJOIN eve@two tea\n".encode())
    assert peer.transport.refused == 1
    assert not [heard for heard in peer.heard() if "eve" in heard]
    assert alice.heard() == bob.heard() == []
    assert alice.ask("USERS tea") == ["RESULT USERS tea alice"]
    assert "closing the link with two (127.0.0.1 port 40000): it speaks for " in caplog.text
    assert third.transport.refused == 0


def test_listed_servers_are_let_in_however_many_others_there_are() -> None:
    with World(settings=ONE._replace(max_peers=1), listed=[TWO]) as world:
        world.peer("stranger", "127.0.0.9")
        world.peer("two", "127.0.0.2")
        assert world.dialled().ask("FEDERATE-CONFIRM two") == ["FEDCHANNELS"]
        assert [*world.federation.peers] == ["stranger", "two"]
