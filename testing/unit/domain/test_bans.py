"""domain/bans.py and domain/ban_enforcement.py: whom the operator keeps out."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bans import target_of
from domain.changes import BanLifted, Banned, HostKeyMade, Left, RankGiven
from domain.errors import KeptOut, NotAName, StoreUnavailable, Unchanged
from support.examples import EXAMPLES
from support.memory_chat import NOW, FakeSession, MemoryChat
from support.world import World


def banned(memory: MemoryChat, kind: str, target: str, channel: str = "", ends: float = 0.0) -> None:
    ban = Banned(kind, target_of(kind, target), channel, "", NOW, ends)
    assert memory.outcome(lambda done: memory.chat.bans.ban(ban, done)) is None


@pytest.mark.parametrize(
    ("kind", "word", "target"),
    [
        ("address", "192.0.2.7", "192.0.2.7/32"),
        ("address", "192.0.2.7/24", "192.0.2.0/24"),
        ("address", "2001:DB8::1/32", "2001:db8::/32"),
        ("address", "::ffff:192.0.2.7", "192.0.2.7/32"),
        ("address", "::ffff:192.0.2.7/120", "192.0.2.0/24"),
        ("address", "0.0.0.0/0", "0.0.0.0/0"),
        ("address", "fe80::1%eth0", "fe80::1/128"),
        ("address", "fe80::1%eth0/64", "fe80::/64"),
        ("address", "%eth0", None),
        ("address", "fe80::1/64%eth0", None),
        ("address", "bob", None),
        ("address", "192.0.2.0/33", None),
        ("address", "", None),
        ("server", "two.example", "two.example"),
        ("server", "2001:DB8:0::1", "2001:db8::1"),
        ("server", "two_example", None),
        ("account", "bob", "bob"),
        ("account", "bob@two.example", "bob@two.example"),
        ("account", "b:b", None),
        ("account", "bob@", None),
        ("account", "@two", None),
    ],
)
def test_targets(kind: str, word: str, target: str | None) -> None:
    """P38"""
    if target is None:
        with pytest.raises(NotAName):
            target_of(kind, word)
    else:
        assert target_of(kind, word) == target


@pytest.mark.parametrize(
    ("network", "address", "is_met"),
    [
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::/32", "2001:db9::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("0.0.0.0/0", "192.0.2.7", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("0.0.0.0/0", "127.0.0.1", False),
        ("::/0", "::1", False),
        ("127.0.0.0/8", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("::1", "::1", True),
        ("::/0", "", False),
    ],
)
def test_addresses(network: str, address: str, is_met: bool) -> None:
    """C71: loopback is banned by networks of loopback alone."""
    memory = MemoryChat()
    banned(memory, "address", network)
    assert (memory.chat.bans.of_address(address) is not None) == is_met
    memory.chat.bans.apply_lifted(BanLifted("address", target_of("address", network), ""))
    assert memory.chat.bans.of_address(address) is None


@EXAMPLES
@given(st.lists(st.tuples(st.ip_addresses(v=4), st.integers(8, 32)), max_size=9), st.ip_addresses(v=4))
def test_a_network_is_found_by_any_of_its_addresses(networks: list[tuple[object, int]], address: object) -> None:
    """C71"""
    memory = MemoryChat()
    words = [f"{number}/{length}" for number, length in networks]
    for word in words:
        banned(memory, "address", word)
    expected = any(
        ip_address(str(address)) in network and network.is_loopback == ip_address(str(address)).is_loopback
        for network in (ip_network(word, strict=False) for word in words)
    )
    assert (memory.chat.bans.of_address(str(address)) is not None) == expected


def test_a_ban_that_has_lapsed_counts_for_nothing_and_goes_with_the_next() -> None:
    """C71"""
    memory = MemoryChat()
    lapsed = Banned("account", "bob", "", "", NOW - 9, NOW)
    memory.chat.restore([lapsed, lapsed._replace(target="ann", ends=NOW + 9)])
    assert [ban.target for ban in memory.chat.bans.all()] == ["ann"]
    assert memory.chat.bans.of_login("bob", "192.0.2.1") is None
    banned(memory, "server", "two")
    assert memory.outcome(lambda done: memory.chat.bans.lift("account", "bob", "", done)) is Unchanged


@EXAMPLES
@given(
    st.lists(
        st.tuples(st.sampled_from(["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"]), st.integers(0, 4), st.booleans()),
        max_size=20,
    )
)
def test_bans_are_those_of_a_list(steps: list[tuple[str, int, bool]]) -> None:
    """C71: whatever lapses, is replaced, or is undone since the disk takes nothing. A time is a second later each."""
    bans = MemoryChat().chat.bans
    expected: list[Banned] = []
    for at, (target, seconds, is_undone) in enumerate(steps, 1):
        made = Banned("address", target, "", "", float(at), float(at + seconds if seconds else 0))
        undo = bans.apply_banned(made)
        if is_undone:
            undo()
        else:
            kept = [ban for ban in expected if ban.target != target and not 0 < ban.ends <= at]
            expected = [*kept, made]
        assert list(bans._bans.values()) == expected
        for ban in expected:
            assert list(bans._networks[""].find(ban.target.partition("/")[0])) == [ban]


def test_a_new_ban_looks_at_the_others_only_if_one_has_lapsed() -> None:
    """Else the start would take seconds with some thousand bans, and so would a script that adds them."""
    looks = 0

    class Watched(dict[Any, Banned]):
        def values(self) -> Any:
            nonlocal looks
            looks += 1
            return super().values()

    bans = MemoryChat().chat.bans
    bans._bans = Watched()
    for number in range(20):
        bans.apply_banned(Banned("address", f"10.0.0.{number}/32", "", "", NOW, NOW + 10 + number))
    assert looks == 0
    bans.apply_banned(Banned("address", "10.0.1.0/32", "", "", NOW + 12, 0.0))
    assert looks > 0
    assert len(bans._bans) == 18


def test_bans_follow_the_name_of_their_channel_and_go_with_it() -> None:
    memory = MemoryChat()
    banned(memory, "address", "192.0.2.0/24", "tea")
    banned(memory, "account", "bob", "jam")
    bans = memory.chat.bans

    def closed() -> list[str]:
        return [name for name in ("tea", "new tea", "jam") if bans.of_address("192.0.2.7", name)]

    undo = bans.rename_channel("tea", "new tea")
    assert closed() == ["new tea"]
    undo()
    assert closed() == ["tea"]
    undo = bans.forget_channel("tea")
    assert closed() == []
    undo()
    assert closed() == ["tea"]
    bans.forget_channel("jam")
    assert [ban.channel for ban in bans.all()] == ["tea"]


def test_nothing_is_changed_by_a_disk_that_takes_nothing() -> None:
    memory = MemoryChat()
    banned(memory, "address", "192.0.2.0/24")
    before = memory.chat.bans.all()
    memory.backend.fails = True
    new = Banned("address", "192.0.2.7/32", "", "", NOW, 0.0)
    assert memory.outcome(lambda done: memory.chat.bans.ban(new, done)) is StoreUnavailable
    assert memory.outcome(lambda done: memory.chat.bans.lift("address", "192.0.2.0/24", "", done)) is StoreUnavailable
    assert memory.chat.bans.all() == before
    assert memory.chat.bans.of_address("192.0.2.9") is not None


def test_a_login_of_a_banned_account_or_from_a_banned_address_fails() -> None:
    """C71"""
    memory = MemoryChat()
    memory.account("bob"), memory.account("ann")
    banned(memory, "account", "bob")
    banned(memory, "address", "192.0.2.66")
    for name, address, error in (
        ("bob", "192.0.2.1", KeptOut), ("ann", "192.0.2.66", KeptOut), ("ann", "192.0.2.1", None)
    ):  # fmt: skip
        screen = FakeSession(address)
        memory.chat.logins.login(screen, name, name, screen.done())
        assert screen.take() == [("", error)]


@pytest.mark.parametrize("ban", ["account bob", "address 192.0.2.66"])
def test_a_ban_from_a_channel_comes_before_rank_and_invitation(ban: str) -> None:
    """C72"""
    memory = MemoryChat()
    kind, target = ban.split()
    bob = FakeSession("192.0.2.66")
    memory.account("bob", "garden", "attic")
    memory.chat.logins.login(bob, "bob", "bob", bob.done())
    memory.chat.restore([RankGiven("garden", "bob", "o", True, "", NOW), Left("bob", "garden"), Left("bob", "attic")])
    banned(memory, kind, target, "garden")
    assert memory.outcome(lambda done: memory.chat.join(bob.principal, "garden", done)) is KeptOut
    assert memory.outcome(lambda done: memory.chat.join(bob.principal, "attic", done)) is None


# ---- as a whole ----


def test_those_who_are_there_are_told_and_closed() -> None:
    """C71, P38, P39, P40"""
    with World(channels={"lobby": 5}) as world:
        bob, ann = world.user("bob", "garden"), world.user("ann", "garden")
        assert world.order("ban account bob for 2h too loud")[0].startswith("OK Banned account bob until ")
        assert bob.heard() == ["RECV @server @server You are banned: too loud."]
        assert bob.session.over
        assert not ann.session.over
        assert len(world.order("bans")) == 2
        assert world.order("unban account bob") == ["OK account bob is banned no more."]
        assert world.order("unban account bob") == ["ERROR There is no such ban."]
        assert world.order("bans") == ["OK"]


def test_a_ban_in_a_channel_takes_members_and_guests_out_and_keeps_them_out() -> None:
    """C72, O4, R27"""
    with World(channels={"lobby": 5}) as world:
        bob, ann = world.user("bob", "lobby"), world.user("ann", "lobby")
        (kim,) = world.room("lobby", "kim")
        assert world.order("ban account bob in lobby") == ["OK Banned account bob in lobby."]
        assert bob.heard()[-1] == "RESULT KICKED lobby"
        assert bob.ask("JOIN lobby") == ["RESULT JOIN lobby 0"]
        address = kim.session.address
        answer = f"OK Banned address {address}/32 in lobby: loud."
        assert world.order(f"ban address {address} in lobby loud") == [answer]
        assert kim.session.over
        assert "* You are banned: loud." in kim.saw()
        assert ann.heard()[-1] == "RESULT KICKED lobby"
        late = world.room_guest("lobby", "late")
        assert "Cannot connect to the lobby channel." in late.heard()[0]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("account nobody", "There is no account nobody."),
        ("address garden", "garden is no address or network, such as 192.0.2.0/24."),
        ("server a_b", "a_b is no name or address of a server."),
        ("account b:b", "b:b is no name of an account."),
        ("user bob", "user is none of account, address, server."),
        ("account bob in nowhere", "nowhere does not exist."),
        ("account bob for ever", "ever is no time; try 90, 10m, 2h or 7d."),
        ("account bob for 0", "0 is no time; try 90, 10m, 2h or 7d."),
    ],
)
def test_bans_that_cannot_be(words: str, answer: str) -> None:
    """P38"""
    with World() as world:
        world.user("bob")
        assert world.order(f"ban {words}") == [f"ERROR {answer}"]
        assert world.order("bans") == ["OK"]


@pytest.mark.parametrize("words", ["in", "for", "in garden for", "for 2h in", "for 2h  in "])
def test_a_ban_in_no_channel_or_for_no_time_is_not_one_from_everywhere(words: str) -> None:
    """P13, P38"""
    with World() as world:
        bob = world.user("bob", "garden")
        assert world.order(f"ban account bob {words}")[0].startswith("USAGE Usage: ban ")
        assert (
            world.order("unban account bob in", "unban account bob in garden x")
            == ["USAGE Usage: unban account|address|server <target> [in <channel>]"] * 2
        )
        assert world.order("bans") == ["OK"]
        assert not bob.session.over


def test_the_channel_and_the_time_of_a_ban_stand_in_either_order() -> None:
    """P38"""
    with World() as world:
        world.user("bob", "garden")
        assert world.order("ban account bob in garden for 2h loud") == world.order(
            "ban account bob for 2h in garden loud"
        )
        assert world.order("bans")[0].startswith(" account bob in garden until ")
        assert len(world.order("bans")) == 2


def test_the_operator_gives_and_takes_the_rank_of_a_channels_operator() -> None:
    """C66, P43, P44: the account need not be in the channel, nor be there."""
    with World(channels={"lobby": 5}) as world:
        world.user("ann")
        assert world.order("op lobby ann", "op lobby ann") == [
            "OK ann operates lobby now.", "ERROR ann operates lobby already.",
        ]  # fmt: skip
        assert world.chat.channels.local["lobby"].rank("ann") == "o"
        assert world.order("deop lobby ann", "deop lobby ann") == [
            "OK ann operates lobby no more.", "ERROR ann does not operate lobby.",
        ]  # fmt: skip
        assert world.order("op lobby nobody", "op nowhere ann") == [
            "ERROR There is no account nobody.", "ERROR nowhere does not exist.",
        ]  # fmt: skip


def test_the_key_of_guests_hosts_is_made_once_and_kept() -> None:
    """C67"""
    with World() as world:
        host = world.node.guest_host("192.0.2.7")
        world.settle()
        assert world.node.guest_host("192.0.2.7") == host
        assert world.node.guest_host("192.0.2.8") != host
        kept = [change.key for change in world.store.load() if isinstance(change, HostKeyMade)]
        assert kept == [world.chat.users.host_key]
        with World(store=world.store) as again:
            assert again.node.guest_host("192.0.2.7") == host


def test_a_banned_account_of_mailbox_is_not_recognized() -> None:
    """C71: neither does it get its mail or can it be deleted, until the ban is lifted."""
    with World() as world:
        ada = world.mailbox_user("ada")
        assert world.order("ban account ada") == ["OK Banned account ada."]
        assert ada.heard() == ["@server: You are banned."]
        assert ada.session.over
        bob = world.user("bob")
        bob.ask("SAY @ada hi")
        client = world.mailbox_client()
        (answer,) = client.ask("0|ada123")
        assert answer.startswith("user with ID : ada123 is not recognized")
        assert client.ask("4|ada123", "5|ada123") == ["User not Found", "User Not Found! "]
        assert client.transport.limits == [("ban", "name=ada")] * 3
        assert world.order("unban account ada") == ["OK account ada is banned no more."]
        assert client.ask("4|ada123", "5|ada123") == [
            "undelivered message for user ID ada123:", "bob sends: hi", "Your account has been deleted",
        ]  # fmt: skip
