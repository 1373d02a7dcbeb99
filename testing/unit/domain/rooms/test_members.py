"""Members from the other dialects."""

from __future__ import annotations

import pytest

from support import irc
from support.rooms import AHEAD
from support.world import World


def test_a_channel_with_a_port_is_an_ordinary_channel(world: World) -> None:
    ann, bob = world.room("large", "ann", "bob")
    user = world.user("user")
    assert user.ask("CHANNELS", "JOIN large") == ["RESULT CHANNELS large, other, small", "RESULT JOIN large 1"]
    assert ann.saw() == bob.saw() == ["* user has joined the channel."]
    assert world.printed() == ["* user has joined the large channel."]
    assert user.ask("SAY large  hi   there") == ["RECV user large hi there"]
    assert ann.saw() == bob.saw() == world.printed() == ["[user] hi there"]
    assert ann.does("hi") == bob.saw() == world.printed() == ["[ann] hi"]
    assert user.heard() == ["RECV ann large hi"]
    assert user.ask("USERS large") == ["RESULT USERS large ann, bob, user"]
    assert ann.does("/list")[1] == "[Channel] large 3/9/0."
    assert user.ask("HISTORY large") == ["RESULT HISTORY large 2", "RECV user large hi there", "RECV ann large hi"]
    assert user.ask("LEAVE large") == ["RESULT LEAVE large 1"]
    assert ann.saw() == bob.saw() == world.printed() == ["* user has left the channel."]


def test_an_account_with_several_clients_is_one_user(world: World) -> None:
    """M16, O15."""
    (ann,) = world.room("large", "ann")
    world.user("user").ask("JOIN large")
    clients = [irc.user(world, "user") for _ in range(2)]
    assert ann.saw() == ["* user has joined the channel."]
    assert ann.does("/list")[1] == "[Channel] large 2/9/0."
    clients[0].client.leave()
    assert ann.does("/list")[1] == "[Channel] large 2/9/0."


def test_a_full_channel_takes_no_member(world: World) -> None:
    ann, _bob, carol = world.room("small", "ann", "bob", "carol")
    user, other = world.user("user"), world.user("other-user")
    assert user.ask("JOIN small") == ["RESULT JOIN small 0"]
    carol.leave()
    ann.leave()
    user.send("JOIN small")
    other.send("JOIN small")
    assert sorted(user.heard() + other.heard()) == ["RESULT JOIN small 0", "RESULT JOIN small 1"]
    assert world.room_guest("small", "dave").saw()[-1] == AHEAD.format(0)


def test_a_login_may_be_one_too_many_and_a_logout_makes_room(world: World) -> None:
    user = world.user("user")
    user.ask("JOIN small", "LOGOUT")
    ann, _bob, carol = world.room("small", "ann", "bob", "carol")
    world.printed()
    assert user.ask("LOGIN user user") == ["RESULT LOGIN 1"]
    assert ann.does("/list")[0] == "[Channel] small 3/2/1."
    ann.leave()
    assert carol.saw() == []
    user.leave()
    assert carol.saw() == ["* carol has joined the channel."]
    assert world.printed() == ["* carol has joined the small channel."]


def test_whispers_between_guests_and_members(world: World) -> None:
    (ann,) = world.room("large", "ann")
    user = world.user("user")
    user.ask("JOIN large")
    ann.saw()
    world.printed()
    assert ann.does("/whisper user a  b") == []
    assert user.heard() == ["RECV ann @ann a  b"]
    assert world.printed() == ["[ann whispers to user:] a  b"]
    assert user.ask("SAY @ann a  b") == ["RECV user @ann a b"]
    assert ann.saw() == ["[user whispers to you:] a b"]
    assert world.printed() == ["[user whispers to ann:] a b"]
    stranger = world.user("stranger")
    assert stranger.ask("SAY @ann x", "SEND @ann x") == ["RESULT SAY 0", "RESULT SEND ERROR"]
    user.ask("LOGOUT")
    assert ann.does("/whisper user x") == ["* user is not here."]
    assert world.client().ask("LOGIN user user") == ["RESULT LOGIN 1"]  # nothing has waited


def test_the_operator_and_members(world: World) -> None:
    (ann,) = world.room("large", "ann")
    user, away = world.user("user", "made"), world.user("away")
    user.ask("JOIN large")
    away.ask("JOIN large", "LOGOUT")
    ann.saw()
    world.printed()
    assert world.type("/mute large:user 5", "/mute made:user 9", "/mute large:away 5") == [
        "* Muted user for 5 seconds.", "* Muted user for 9 seconds.", "* away is not here.",
    ]  # fmt: skip
    assert user.heard() == ["RESULT MUTED large 5", "RESULT MUTED made 9"]
    assert ann.saw() == ["* user has been muted for 5 seconds."]
    assert user.ask("SAY large x", "SEND made x", "SAY @ann x") == ["RESULT SAY 0", "RESULT SEND ERROR", "RESULT SAY 0"]
    assert world.type("/kick large:user", "/kick large:away", "/kick made:user", "/kick made:user") == [
        "* Kicked user.", "* Kicked away.", "* Kicked user.", "* user is not in made.",
    ]  # fmt: skip
    assert user.heard() == ["RESULT KICKED large", "RESULT KICKED made"]
    assert ann.saw() == ["* user has left the channel."]
    assert user.ask("SAY large x") == ["RESULT SAY 0"]
    assert away.ask("LOGIN away away", "USERS large") == ["RESULT LOGIN 1", "RESULT USERS large 0"]


def test_a_channel_is_emptied_of_its_members(world: World) -> None:
    _ann, _bob, carol = world.room("small", "ann", "bob", "carol")
    _ann.leave()
    carol.leave()
    user = world.user("user")
    user.ask("JOIN small")
    (dave,) = world.room("small", "dave")
    assert world.type("/empty small") == ["* small has been emptied.", "* dave has joined the small channel."]
    assert user.heard() == ["RESULT KICKED small"]
    assert dave.saw() == ["* dave has joined the channel."]
    assert user.ask("USERS small") == ["RESULT USERS small 0"]


def test_members_who_cannot_be_removed_stay_when_a_channel_is_emptied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: nobody is told that the channel is empty. Guests are out, whatever the disk takes."""
    user = world.user("user")
    user.ask("JOIN small", "CREATE made", "JOIN made", "SAY made hi")
    ann, _bob = world.room("small", "ann", "bob")
    world.printed()
    with monkeypatch.context() as patch:
        patch.setattr(world.chat.journal, "write", lambda _changes: False)
        assert world.type("/empty small", "empty made") == [
            "* bob has joined the small channel.",
            "* small cannot be emptied: the database takes nothing.",
            "* made cannot be emptied: the database takes nothing.",
        ]
        assert world.type("delete-channel made") == ["* The database takes nothing."]
    assert ann.session.over
    assert user.heard() == []
    assert user.ask("JOINED", "SAY made hi") == ["RESULT JOINED made, small", "RECV user made hi"]
    assert world.type("empty small")[-1] == "* small has been emptied."
    assert user.heard() == ["RESULT KICKED small"]


def test_hello_and_the_rooms(world: World) -> None:
    world.room("large", "ann")
    guest = world.guest("guest")
    assert guest.ask("LIST", "SEND ann x") == ["LIST-OK guest", "BAD-DEST-USER"]
