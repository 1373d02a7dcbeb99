"""Channels in IRC: JOIN and what follows it, PART, NAMES, who comes and goes (I15, I17 to I22)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dialects.irc.names import nick_of
from harness.processes import ROOT
from support.irc import IrcClient, dialect_of, guest, user
from support.world import World


def test_a_join_is_followed_by_who_is_there(world: World) -> None:
    """(I20, I21)"""
    ann = user(world, "ann")
    assert ann.ask("JOIN #garden") == [
        ":ann!ann@account JOIN #garden", ":crosstalk 353 ann = #garden :@ann",
        ":crosstalk 366 ann #garden :End of NAMES list",
    ]  # fmt: skip
    assert ann.ask("JOIN #garden") == [], "who is in it gets no answer"
    ann.ask("TOPIC #garden :tea")
    assert user(world, "bob", "draft/read-marker", "extended-join").ask("JOIN #garden") == [
        ":bob!bob@account JOIN #garden bob :Bob", ":crosstalk 332 bob #garden :tea",
        ":crosstalk 333 bob #garden ann 1000", ":crosstalk MARKREAD #garden *",
        ":crosstalk 353 bob = #garden :@ann bob", ":crosstalk 366 bob #garden :End of NAMES list",
    ]  # fmt: skip
    assert ann.heard() == [":bob!bob@account JOIN #garden"]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("JOIN garden", "403"), ("JOIN #", "403"), ("JOIN #a:b", "477"), ("JOIN #none", "403"),
        ("PART garden", "403"), ("PART #none", "403"), ("PART #garden", "442"), ("TOPIC #none", "403"),
        ("TOPIC #garden :x", "442"), ("NAMES #none", "366"), ("NAMES", "366"), ("MODE #none", "403"),
        ("KICK #none ann", "403"), ("KICK #garden ann", "442"), ("INVITE bob #none", "403"),
        ("INVITE nobody #x", "401"),
        ("MODE nobody", "401"), ("MODE ann", "502"), ("WHO #none", "315"), ("LIST #none", "321"),
    ],
)  # fmt: skip
def test_what_is_refused(world: World, line: str, answer: str) -> None:
    """A word without a sign is no channel (I15, I20). A guest makes none by default (I19)."""
    user(world, "ann").ask("JOIN #garden")
    assert guest(world, "bob").codes(line)[0] == answer


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("JOIN #new,#a:b,bad,#garden", ["JOIN", "353", "366", "477", "403"]),
        ("JOIN #a:b,#new", ["477", "JOIN", "353", "366"]),
        ("PART #garden,#none,#shed,#attic", ["PART", "403", "PART", "442"]),
        ("KICK #garden ann,nobody,zoe", ["KICK", "401", "441"]),
        ("KICK #garden,#none,#shed nobody,ann,ann", ["403", "401", "KICK"]),
    ],
)  # fmt: skip
def test_parts_of_a_request_are_answered_in_their_order(world: World, line: str, codes: list[str]) -> None:
    """(I4)"""
    ann, bob = user(world, "ann"), IrcClient(world)
    dialect = dialect_of(world)
    dialect.settings = dialect.settings._replace(irc_create="all")
    guest(world, "zoe")
    bob.ask("NICK bob", "USER bob 0 * :Bob", "JOIN #garden,#shed")
    ann.ask("JOIN #garden,#shed")
    bob.heard()
    assert bob.codes(line) == codes


def test_join_refuses_with_the_reason(world: World) -> None:
    """(I20)"""
    ann, bob = user(world, "ann"), guest(world, "bob")
    ann.ask("JOIN #a,#b,#c,#d", "MODE #a +i", "MODE #b +l 1", "MODE #c +b bob!*@*", "MODE #d +k key")
    assert [bob.codes(f"JOIN #{name}") for name in "abcd"] == [["473"], ["471"], ["474"], ["475"]]
    assert bob.codes("JOIN #d key")[0] == "JOIN"
    ann.ask("INVITE bob #a")
    assert bob.heard()[-1] == ":ann!ann@account INVITE bob #a"
    assert bob.codes("JOIN #a")[0] == "JOIN"
    assert sorted(bob.ask("JOIN 0")) == [":bob!~bob@<hex>.guest PART #a", ":bob!~bob@<hex>.guest PART #d"]


def test_a_channel_made_by_a_join_goes_with_the_last_user(world: World) -> None:
    """Unless something was said there (I19)."""
    ann = user(world, "ann")
    ann.ask("JOIN #empty", "JOIN #said", "PRIVMSG #said :hi", "PART #empty,#said")
    assert [name for name in world.chat.channels.local if name in ("empty", "said")] == ["said"]


def test_memberships_of_accounts_last(world: World) -> None:
    """(I18)"""
    ann, bob = user(world, "ann"), guest(world, "bob", "away-notify")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden")
    ann.client.leave()
    assert bob.heard() == [":ann!ann@account AWAY :not here"], "no QUIT is sent for an account"
    assert bob.ask("NAMES #garden")[0] == ":crosstalk 353 bob = #garden :@ann bob"
    assert bob.parsed("WHO #garden")[0].params[6] == "G@"
    again = user(world, "ann")
    assert bob.heard() == [":ann!ann@account AWAY"]
    assert again.heard() == []
    bob.ask("QUIT :off to bed")
    assert again.heard() == [":bob!~bob@<hex>.guest QUIT :Quit: off to bed"]
    assert again.ask("NAMES #garden")[0] == ":crosstalk 353 ann = #garden :@ann"


def test_a_welcome_shows_the_channels_of_an_account(world: World) -> None:
    """The others see nothing of it (I18)."""
    bob = guest(world, "bob")
    world.user("ann", "garden", "shed").ask("LOGOUT")
    bob.ask("JOIN #garden")
    client = IrcClient(world)
    lines = client.ask("PASS ann", "NICK ann", "USER ann 0 * :Ann")
    assert [line for line in lines if " JOIN " in line] == [
        ":ann!ann@account JOIN #garden",
        ":ann!ann@account JOIN #shed",
    ]
    assert bob.heard() == []


def test_who_comes_and_goes_is_told(world: World) -> None:
    """Also users of other dialects, and room guests (I22)."""
    ann = user(world, "ann")
    ann.ask("JOIN #lobby")
    bob = world.user("bob")
    bob.ask("JOIN lobby", "LEAVE lobby")
    (kim,) = world.room("lobby", "kim")
    assert ann.heard() == [
        ":bob!bob@account JOIN #lobby", ":bob!bob@account PART #lobby", ":kim!rooms@room JOIN #lobby",
    ]  # fmt: skip
    assert ann.ask("NAMES #lobby")[0] == ":crosstalk 353 ann = #lobby :ann kim"
    kim.ask("/quit")
    assert ann.heard() == [":kim!rooms@room PART #lobby"]


def test_the_operator_removes_and_mutes(world: World) -> None:
    ann, bob = user(world, "ann"), user(world, "bob")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden"), ann.heard()
    world.type("/mute garden:bob 60")
    assert bob.heard() == [":crosstalk NOTICE bob :You may say nothing in #garden for 60 seconds."]
    assert bob.ask("PRIVMSG #garden :x")[0].startswith(
        ":crosstalk 404 bob #garden :Cannot send to channel: you are muted"
    )
    world.type("/kick garden:bob")
    kicked = ":crosstalk KICK #garden bob :by the operator"
    assert (ann.heard(), bob.heard()) == ([kicked], [kicked])


def test_a_kick_is_told_to_all(world: World) -> None:
    ann, bob = user(world, "ann"), guest(world, "bob")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden"), ann.heard()
    assert bob.codes("KICK #garden ann :no") == ["482"]
    kicked = ":ann!ann@account KICK #garden bob :too loud"
    assert ann.ask("KICK #garden bob :too loud") == [kicked]
    assert bob.heard() == [kicked]
    assert ann.codes("KICK #garden bob") == ["441"]


def test_names_that_are_alike_are_two_people(world: World) -> None:
    """(I17)"""
    world.client().ask("REGISTER ann ann", "REGISTER Ann Ann")
    ann, other, bob = user(world, "ann"), user(world, "Ann"), guest(world, "bob")
    ann.ask("JOIN #garden"), other.ask("JOIN #garden"), bob.ask("JOIN #GARDEN")
    assert bob.ask("NAMES #garden")[0] == ":crosstalk 353 bob = #garden :|41|nn @ann bob"
    ann.heard(), other.heard()
    bob.ask("PRIVMSG Ann :to the other", "PRIVMSG aNN :to the oldest", "PRIVMSG |41|nn :again")
    assert [line.partition(" PRIVMSG ")[2] for line in ann.heard()] == ["ann :to the oldest"]
    assert [line.partition(" PRIVMSG ")[2] for line in other.heard()] == ["|41|nn :to the other", "|41|nn :again"]


@pytest.mark.parametrize("gone", ["guest", "account", "renamed"])
def test_a_name_is_shown_anew_when_the_one_alike_has_gone(world: World, gone: str) -> None:
    """The lines come after those of the one that has gone (I17)."""
    first = user(world, "ann") if gone == "account" else guest(world, "ann")
    world.client().ask("REGISTER Ann Ann", "REGISTER ANN ANN")
    second, bob, eve = user(world, "Ann"), guest(world, "bob"), guest(world, "eve")
    for client in (second, first, bob):
        client.ask("JOIN #garden")
    assert bob.ask("MONITOR + Ann,|41|nn") != []
    for client in (first, second, bob, eve):
        client.heard()
    if gone == "account":
        world.order("delete-account ann")
    else:
        first.ask("NICK kim" if gone == "renamed" else "QUIT :bye")
    line = ":|41|nn!Ann@account NICK :Ann"
    assert second.heard()[-1] == line
    heard = [line for line in bob.heard() if " 73" not in line]
    assert heard[1:] == [line]
    assert heard[0].startswith(":ann!")
    assert heard[0].split()[1] == {"guest": "QUIT", "account": "PART", "renamed": "NICK"}[gone]
    assert eve.heard() == []
    assert second.ask("PING x", "MODE Ann") == [":crosstalk PONG crosstalk :x", ":crosstalk 221 Ann +"]
    assert bob.ask("NAMES #garden")[0].startswith(":crosstalk 353 bob = #garden :@Ann bob")
    assert bob.ask("WHOIS ANN")[0].startswith(":crosstalk 311 bob A|4e||4e| ")


def test_a_renamed_guest_is_told_to_all_once(world: World) -> None:
    """(I9)"""
    ann, bob = user(world, "ann"), guest(world, "bob")
    for client in (ann, bob):
        client.ask("JOIN #a,#b")
    ann.heard(), bob.heard()
    renamed = ":bob!~bob@<hex>.guest NICK :rob"
    assert bob.ask("NICK rob") == [renamed]
    assert ann.heard() == [renamed]
    assert bob.ask("PRIVMSG rob :me")[0] == ":rob!~bob@<hex>.guest PRIVMSG rob :me"


def test_modes_are_set_and_shown(world: World) -> None:
    ann, bob = user(world, "ann"), guest(world, "bob")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden"), ann.heard()
    changed = ":ann!ann@account MODE #garden +mv-n+b bob spam!*@*"
    assert ann.ask("MODE #garden +mv-n+b bob spam") == [changed]
    assert bob.heard() == [changed]
    assert bob.ask("MODE #garden b", "MODE #garden")[0].startswith(":crosstalk 367 bob #garden spam!*@* ann 1000")
    assert bob.ask("MODE #garden")[0] == ":crosstalk 324 bob #garden +m"
    assert bob.codes("MODE #garden +t", "MODE #garden +Z") == ["482", "472"]
    assert ann.codes("MODE #garden +l x", "MODE #garden +o nobody", "MODE #garden +k") == ["696", "401"]


ALONE = """
import sys
from support.world import World
with World() as world:
    world.user("ann", "garden").ask("SAY garden hi")
    assert "dialects.irc.core" not in sys.modules
    world.client().ask("NICK bob")
    assert "dialects.irc.core" in sys.modules
"""


def test_nothing_is_loaded_before_a_client_of_irc_comes() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "testing")))}
    subprocess.run([sys.executable, "-c", ALONE], env=environment, check=True)


@pytest.mark.parametrize(
    ("name", "second", "third"),
    [
        ("kim", "|6b||69||6d|", "|6b||69||6d|||"), ("3", "|33|", "|33|||"),
        ("\u4f60", "|e4||bd||a0|", "|e4||bd||a0|||"), ("#1", "|23|1||", "|23|1||||"), ("#a", "|23||61|", "|23||61|||"),
    ],
)  # fmt: skip
def test_room_guests_of_one_name_are_told_apart(world: World, name: str, second: str, third: str) -> None:
    """(I17, I22)"""
    ann = user(world, "ann", "echo-message")
    rooms = ("lobby", "attic", "cellar")
    ann.ask("JOIN #lobby,#attic,#cellar")
    guests = [world.room(room, name)[0] for room in rooms]
    first = nick_of(name)
    nicks = (first, second, third)
    assert ann.heard() == [f":{nick}!rooms@room JOIN #{room}" for nick, room in zip(nicks, rooms, strict=True)]
    for nick, room, each in zip(nicks, rooms, guests, strict=True):
        each.ask("hi")
        assert ann.heard() == [f":{nick}!rooms@room PRIVMSG #{room} :hi"]
        assert {*ann.parsed(f"NAMES #{room}")[0].params[-1].split()} == {"ann", nick}
        assert ann.ask(f"WHO {nick}")[0].split()[3:8] == [f"#{room}", "rooms", "room", "crosstalk", nick]
        assert ann.ask(f"PRIVMSG {nick} :psst") == [f":ann!ann@account PRIVMSG {nick} :psst"]
        assert "psst" in each.heard()[-1]
        each.ask("/whisper ann yes")
        assert ann.heard() == [f":{nick}!rooms@room PRIVMSG ann :yes"]
    guests[0].ask("/quit")
    assert ann.heard() == [
        f":{first}!rooms@room PART #lobby",
        f":{second}!rooms@room NICK :{first}",
        f":{third}!rooms@room NICK :{second}",
    ]  # fmt: skip
    guests[2].ask("/quit")
    assert ann.heard() == [f":{second}!rooms@room PART #cellar"]


def test_a_nick_means_the_room_guest_of_its_channel(world: World) -> None:
    """Who is not in the channel of the oldest does not meet it, nor by mistake another (I17)."""
    ann, bob = user(world, "ann"), user(world, "bob")
    world.room("lobby", "kim"), world.room("attic", "kim")
    dialect_of(world).chat.users.operators = frozenset({"ann"})
    ann.ask("OPER ann ann"), bob.ask("JOIN #attic")
    assert bob.codes("PRIVMSG kim :x", "PRIVMSG |6b||69||6d| :x") == ["401"]
    assert ann.codes("KICK #attic kim", "KICK #lobby |6b||69||6d|", "MODE #attic +v kim") == ["401", "401", "401"]
    assert ann.codes("MODE #attic +v |6b||69||6d|", "MUTE #attic |6b||69||6d| 9", "KICK #attic |6b||69||6d|") == [
        "MODE", "NOTICE", "KICK",
    ]  # fmt: skip
    assert [line.partition(" ")[2] for line in bob.heard()] == [
        "MODE #attic +v |6b||69||6d|", "KICK #attic |6b||69||6d| :ann",
    ]  # fmt: skip


def test_each_of_several_kicks_is_told_once(world: World) -> None:
    ann, bob = user(world, "ann"), user(world, "bob")
    ann.ask("JOIN #garden,#shed"), bob.ask("JOIN #garden,#shed")
    for name in ("cas", "dan"):
        user(world, name).ask("JOIN #garden,#shed")
    ann.heard(), bob.heard()
    lines = [f":ann!ann@account KICK #{channel} {name} :x" for channel in ("garden", "shed") for name in ("cas", "dan")]
    assert ann.ask("KICK #garden cas,dan :x", "KICK #shed,#shed cas,dan :x") == lines
    assert bob.heard() == lines


def test_a_limit_is_shown_as_it_counts(world: World) -> None:
    ann = user(world, "ann")
    ann.ask("JOIN #garden")
    assert ann.ask("MODE #garden +l 007") == [":ann!ann@account MODE #garden +l 7"]
    assert ann.codes("MODE #garden +l 000", "MODE #garden +l \u0661") == ["696", "696"]


def test_the_modes_of_a_channel_are_shown(world: World) -> None:
    """Only its members see the key, which no line repeats when it goes."""
    ann, bob = user(world, "ann"), guest(world, "bob")
    ann.ask("JOIN #garden")
    assert ann.ask("MODE #garden +klt-n roses 5") == [":ann!ann@account MODE #garden +klt-n roses 5"]
    assert ann.ask("MODE #garden")[0] == ":crosstalk 324 ann #garden +tkl roses 5"
    assert bob.ask("MODE #garden")[0] == ":crosstalk 324 bob #garden +tkl * 5"
    assert ann.ask("MODE #garden -k roses") == [":ann!ann@account MODE #garden -k *"]
    assert ann.ask("MODE #garden")[0] == ":crosstalk 324 ann #garden +tl 5"
    assert ann.ask("MODE #lobby")[0] == ":crosstalk 324 ann #lobby +n"
