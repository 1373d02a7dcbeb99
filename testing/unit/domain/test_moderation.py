"""domain/moderation.py and domain/admission.py: modes, ranks, masks, invitations, and what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from domain import errors
from domain.channels import is_abandoned
from domain.errors import (
    AlreadyMember,
    ChannelFull,
    HasPort,
    InviteOnly,
    KeptOut,
    LimitReached,
    NoSuchChannel,
    NoSuchUser,
    NotAMember,
    NotAMode,
    NotOperator,
    NotVoiced,
    StoreUnavailable,
    Unchanged,
    WrongKey,
)
from domain.events import InvitedIn, ModesChanged
from domain.modes import Switch
from domain.state import Channel, Visitor
from support.memory_chat import FakeSession, MemoryChat, modes_of


class Garden(MemoryChat):
    """alice has made `garden` and is in it, with bob; carol is outside. All are logged in."""

    def __init__(self) -> None:
        super().__init__()
        self.alice, self.bob, self.carol = (self.user(name) for name in ("alice", "bob", "carol"))
        self.make("garden")
        self.join(self.alice)
        self.join(self.bob)

    @property
    def garden(self) -> Channel:
        return self.chat.channels.local["garden"]

    def make(self, name: str, *, is_private: bool = False) -> None:
        made = self.outcome(lambda done: self.chat.create(self.alice.principal, name, done, is_private=is_private))
        assert made is None

    def join(self, screen: FakeSession, key: str = "", channel: str = "garden") -> type[Exception] | None:
        return self.outcome(lambda done: self.chat.join(screen.principal, channel, done, key))

    def leave(self, screen: FakeSession, channel: str = "garden") -> None:
        assert self.outcome(lambda done: self.chat.leave(screen.principal, channel, done)) is None

    def say(self, screen: FakeSession) -> type[Exception] | None:
        return self.outcome(lambda done: self.chat.say(screen.principal, "garden", "hi", done))

    def invite(self, screen: FakeSession, name: str, channel: str = "garden") -> type[Exception] | None:
        return self.outcome(lambda done: self.chat.moderation.invite(screen.principal, channel, name, done))

    def switch(self, words: str, by: str = "alice", channel: str = "garden") -> list[type[Exception] | None]:
        """Switch modes, written as `+i -k +l=5`."""
        switches = [
            Switch(mode, sign == "+", value)
            for sign, mode, value in ((word[0], word[1], word[3:]) for word in words.split())
        ]
        outcomes: list[Sequence[Exception | None]] = []
        self.chat.moderation.switch(by, channel, switches, outcomes.append)
        self.journal.commit()
        (outcome,) = outcomes
        return [None if error is None else type(error) for error in outcome]

    def visitor(self, name: str) -> FakeSession:
        screen = FakeSession()
        self.chat.visitors.enter(screen, name)
        return screen


@pytest.fixture
def world() -> Garden:
    return Garden()


# ---- who may switch what ----


def test_the_maker_operates_the_channel_and_nobody_else_does(world: Garden) -> None:
    """C66"""
    assert world.switch("+m") == [None]
    assert world.switch("-m", by="bob") == [NotOperator]
    assert world.switch("-m", by="carol") == [NotAMember]
    assert world.switch("-m", channel="nowhere") == [NoSuchChannel]
    assert world.switch("+o=bob") == [None]
    assert world.switch("-m -o=alice", by="bob") == [None, None]
    assert world.switch("+m") == [NotOperator]


def test_each_switch_fails_alone(world: Garden) -> None:
    """C63"""
    world.switch("+i")
    assert world.switch("+i +x +k= +k=a,b +l=0 +l=x +l=2 +o=carol +b= -b=zoe +t") == [
        *(Unchanged, NotAMode, NotAMode, NotAMode, NotAMode, NotAMode),
        *(None, NotAMember, NotAMode, Unchanged, None),
    ]
    assert modes_of(world.garden)[:3] == (frozenset("int"), "", 2)


def test_those_who_follow_are_told_what_has_changed(world: Garden) -> None:
    world.chat.users.presence.follow(world.bob)
    world.switch("+i +i +k=word -n")
    changes = [event for event in world.bob.take() if isinstance(event, ModesChanged)]
    assert changes == [
        ModesChanged("garden", "alice", (Switch("i", True), Switch("k", True, "word"), Switch("n", False)))
    ]


def test_a_channel_with_a_port_has_neither_key_nor_invitations(world: Garden) -> None:
    """C63"""
    world.garden.capacity = 5
    assert world.switch("+i +k=word +m") == [HasPort, HasPort, None]


def test_nothing_is_changed_by_a_disk_that_takes_nothing(world: Garden) -> None:
    world.switch("+k=old +b=zoe +l=7")
    before = modes_of(world.garden)
    world.backend.fails = True
    assert world.switch("+s -k +l=3 +o=bob +b=ann -b=zoe") == [StoreUnavailable] * 6
    assert modes_of(world.garden) == before
    assert world.chat.channels.listing.shown_to(None) == ["garden"]
    world.backend.fails = False
    assert world.switch("+s -k +l=3 +o=bob +b=ann -b=zoe") == [None] * 6


def test_a_hundred_masks_of_each_list(world: Garden) -> None:
    """C67"""
    masks = " ".join(f"+b=n{number}" for number in range(101))
    assert world.switch(masks) == [None] * 100 + [LimitReached]
    assert world.switch("+e=n1 +I=n1 -b=n0 +b=n100") == [None] * 4


# ---- coming in ----


@pytest.mark.parametrize(
    ("modes", "key", "outcome"),
    [
        ("+i", "", InviteOnly),
        ("+i +I=carol", "", None),
        ("+i +I=car?l", "", None),
        ("+i +I=dave", "", InviteOnly),
        ("+k=word", "", WrongKey),
        ("+k=word", "Word", WrongKey),
        ("+k=word", "word", None),
        ("+l=2", "", ChannelFull),
        ("+l=3", "", None),
        ("+b=carol", "", KeptOut),
        ("+b=CAROL", "", KeptOut),
        ("+b=*!*@account", "", KeptOut),
        ("+b=*!*@account +e=carol", "", None),
        ("+b=carol +i +k=word", "word", KeptOut),
        ("+i +k=word", "word", InviteOnly),
        ("+s", "", None),
        ("+m", "", None),
        ("+t -n", "", None),
    ],
)
def test_coming_in(world: Garden, modes: str, key: str, outcome: type[Exception] | None) -> None:
    """C64"""
    world.switch(modes)
    assert world.join(world.carol, key) == outcome
    assert world.join(world.bob, "") == AlreadyMember


def test_an_operator_comes_in_but_for_a_mask(world: Garden) -> None:
    """C64, C66: the rank stays when the account leaves."""
    world.switch("+i +k=word +l=1")
    world.leave(world.alice)
    assert world.join(world.alice) is None
    world.switch("+b=alice")
    world.leave(world.alice)
    assert world.join(world.alice) == KeptOut


def test_members_stay_and_come_back_at_their_next_login(world: Garden) -> None:
    """C64"""
    world.switch("+i +k=word +b=bob")
    world.chat.users.logout(world.bob)
    world.user("bob")
    assert "bob" in world.garden.members


# ---- invitations ----


def test_an_invitation_is_used_once(world: Garden) -> None:
    """C68"""
    world.switch("+i +k=word +l=1")
    assert world.invite(world.alice, "carol") is None
    assert world.invite(world.alice, "carol") is None
    assert world.carol.take() == [InvitedIn("alice", "carol", "garden")] * 2
    assert world.join(world.carol) is None
    world.leave(world.carol)
    assert world.join(world.carol) == InviteOnly


def test_an_invitation_does_not_help_against_a_mask(world: Garden) -> None:
    """C68"""
    world.switch("+b=carol")
    assert world.invite(world.alice, "carol") is None
    assert world.join(world.carol) == KeptOut


def test_who_may_invite_whom(world: Garden) -> None:
    """C68"""
    assert world.invite(world.bob, "carol") is None
    world.switch("+i")
    assert world.invite(world.bob, "carol") == NotOperator
    assert world.invite(world.carol, "carol") == NotAMember
    assert world.invite(world.alice, "bob") == AlreadyMember
    assert world.invite(world.alice, "nobody") == NoSuchUser
    assert world.invite(world.alice, "carol", "nowhere") == NoSuchChannel
    world.chat.users.enter_as_guest(FakeSession(), "guest")
    assert world.invite(world.alice, "guest") == NoSuchUser


def test_sixty_invitations(world: Garden) -> None:
    """C68"""
    for number in range(61):
        name = f"c{number}"
        world.make(name)
        world.join(world.alice, channel=name)
        assert world.invite(world.alice, "carol", name) == (LimitReached if number == 60 else None)
    assert world.join(world.carol, channel="c0") is None
    assert world.invite(world.alice, "carol", "c60") is None


def test_an_invitation_that_cannot_be_used_is_kept(world: Garden) -> None:
    world.switch("+i")
    world.invite(world.alice, "carol")
    world.backend.fails = True
    assert world.join(world.carol) == StoreUnavailable
    world.backend.fails = False
    assert world.join(world.carol) is None


def test_a_visitors_invitation_ends_with_the_connection(world: Garden) -> None:
    """C68"""
    world.switch("+i")
    zoe = world.visitor("zoe")
    assert world.join(zoe) == InviteOnly
    assert world.invite(world.alice, "zoe") is None
    world.chat.users.logout(zoe)
    world.journal.commit()
    again = world.visitor("zoe")
    assert world.join(again) == InviteOnly
    assert world.invite(world.alice, "zoe") is None
    assert world.join(again) is None


# ---- speaking ----


@pytest.mark.parametrize(
    ("modes", "outcome"),
    [
        ("+m", NotVoiced),
        ("+m +v=bob", None),
        ("+m +o=bob", None),
        ("+b=bob", KeptOut),
        ("+b=bob +v=bob", None),
        ("+b=b*!*@account +e=*b!*@*", None),
        ("+b=carol", None),
        ("+k=word +i +l=1 +s +t", None),
    ],
)
def test_speaking(world: Garden, modes: str, outcome: type[Exception] | None) -> None:
    """C65"""
    assert world.say(world.bob) is None
    world.switch(modes)
    assert world.say(world.bob) == outcome
    assert world.say(world.alice) is None


def test_a_mask_holds_from_the_next_message_on_until_it_is_removed(world: Garden) -> None:
    """C67"""
    for words, outcome in (("+b=bob", KeptOut), ("+e=bob", None), ("-e=bob", KeptOut), ("-b=bob", None)):
        world.switch(words)
        assert world.say(world.bob) == outcome


def test_users_outside_speak_only_where_the_modes_let_them(world: Garden) -> None:
    """C63"""

    def say() -> type[Exception] | None:
        def ask(done: Any) -> None:
            number = world.chat.reading.last_number + 1
            world.chat.channels.admission.expect_outsider(world.garden, number)
            assert world.chat.say(world.carol.principal, "garden", "hi", done) == number

        return world.outcome(ask)

    assert say() == NotAMember
    world.switch("-n")
    assert say() is None
    assert world.say(world.carol) == NotAMember  # what does not ask for it, as `result`
    world.switch("+m")
    assert say() == NotVoiced
    world.switch("+n")
    assert say() == NotAMember


def test_the_topic_is_for_operators_under_t(world: Garden) -> None:
    """C63"""

    def set_topic(screen: FakeSession) -> type[Exception] | None:
        return world.outcome(lambda done: world.chat.topics.set(screen.principal, "garden", "roses", done))

    assert set_topic(world.bob) is None
    world.switch("+t")
    assert set_topic(world.bob) == NotOperator
    assert set_topic(world.alice) is None
    assert world.garden.topic_set[0] == "alice"


# ---- ranks of users who are no accounts ----


def test_a_visitors_rank_ends_when_it_leaves_and_follows_its_name(world: Garden) -> None:
    """C66"""
    zoe = world.visitor("zoe")
    world.join(zoe)
    world.switch("+m +v=zoe")
    assert world.say(zoe) is None
    assert world.outcome(lambda done: world.chat.visitors.rename(zoe.principal, "zora", done)) is None
    assert world.say(zoe) is None
    world.leave(zoe)
    world.join(zoe)
    assert world.say(zoe) == NotVoiced


# ---- hidden channels ----


def test_a_private_channel_is_hidden_from_all_but_its_members(world: Garden) -> None:
    """C69"""
    world.make("cellar", is_private=True)
    listing = world.chat.channels.listing
    assert listing.shown_to(world.carol.principal) == listing.shown_to(None) == ["garden"]
    assert listing.announced() == ["garden"]
    assert world.join(world.carol, channel="cellar") == InviteOnly
    assert world.join(world.alice, channel="cellar") is None
    assert listing.shown_to(world.alice.principal) == ["cellar", "garden"]
    with pytest.raises(NoSuchChannel):
        world.chat.topics.of(world.carol.principal, "cellar")
    assert world.invite(world.carol, "bob", "cellar") == NoSuchChannel
    assert world.switch("-s", channel="cellar") == [None]
    assert listing.shown_to(None) == ["cellar", "garden"]


# ---- channels that a JOIN has made ----


def found(world: Garden, screen: FakeSession, name: str = "new") -> None:
    assert world.outcome(lambda done: world.chat.found(screen.principal, name, done)) is None


def left_alone(world: Garden, name: str = "new") -> bool:
    """Look at a channel that has become empty, and tell whether it is removed."""
    world.chat.moderation.remove_abandoned()
    world.journal.commit()
    return name not in world.chat.channels.local


def test_a_founded_channel_does_not_outlast_its_members(world: Garden) -> None:
    """C70"""
    found(world, world.alice)
    assert world.switch("+m", channel="new") == [None]
    assert not left_alone(world)
    world.leave(world.alice, "new")
    assert left_alone(world)
    assert world.chat.channels.listing.shown_to(None) == ["garden"]
    found(world, world.bob)
    assert world.switch("+m", channel="new") == [NotAMember]


def test_an_invitation_does_not_outlast_its_channel(world: Garden) -> None:
    """C68, C70"""
    found(world, world.alice)
    assert world.invite(world.alice, "carol", "new") is None
    zoe = world.visitor("zoe")
    assert world.invite(world.alice, "zoe", "new") is None
    world.leave(world.alice, "new")
    world.backend.fails = True
    assert not left_alone(world)
    assert world.chat.channels.admission.is_invited(world.carol.principal, "new")
    world.backend.fails = False
    assert left_alone(world)
    assert not world.chat.channels.admission.is_invited(world.carol.principal, "new")
    assert not zoe.principal.invited


def test_a_founded_channel_stays_when_something_was_said_or_it_has_a_topic(world: Garden) -> None:
    """C70"""
    found(world, world.alice, "said")
    assert world.outcome(lambda done: world.chat.say(world.alice.principal, "said", "hi", done)) is None
    found(world, world.alice, "named")
    assert world.outcome(lambda done: world.chat.topics.set(world.alice.principal, "named", "x", done)) is None
    for name in ("said", "named"):
        world.leave(world.alice, name)
        assert not left_alone(world, name)


def test_a_message_that_was_not_kept_does_not_keep_the_channel(world: Garden) -> None:
    """C70"""
    found(world, world.alice)
    world.backend.fails = True
    assert world.outcome(lambda done: world.chat.say(world.alice.principal, "new", "x", done)) == StoreUnavailable
    world.backend.fails = False
    world.leave(world.alice, "new")
    assert is_abandoned(world.chat.channels.local["new"])
    assert left_alone(world)


def test_a_visitor_operates_what_it_has_founded_while_it_is_there(world: Garden) -> None:
    """C66, C70"""
    zoe = world.visitor("zoe")
    assert isinstance(zoe.principal, Visitor)
    found(world, zoe)
    assert world.switch("+m", by="zoe", channel="new") == [None]
    world.join(world.bob, channel="new")
    world.leave(zoe, "new")
    world.join(zoe, channel="new")
    assert world.switch("-m", by="zoe", channel="new") == [NotOperator]


def test_who_founds_a_channel_that_another_has_made_joins_it(world: Garden) -> None:
    found(world, world.alice)
    found(world, world.bob)
    assert world.switch("+m", by="bob", channel="new") == [NotOperator]


# ---- the end of an account ----


def test_an_account_that_is_removed_leaves_no_rank_and_no_invitation(world: Garden) -> None:
    """C66, C68"""
    world.switch("+o=bob")
    world.invite(world.alice, "carol")

    def remove(name: str) -> type[Exception] | None:
        return world.outcome(lambda done: world.chat.administration.remove_account(name, None, done))

    world.backend.fails = True
    assert [remove("bob"), remove("carol")] == [StoreUnavailable] * 2
    assert world.garden.rank("bob") == "o"
    assert world.chat.channels.admission.invitations == {"carol": {"garden"}}
    world.backend.fails = False
    assert [remove("bob"), remove("carol")] == [None] * 2
    assert not world.chat.channels.admission.invitations
    assert world.garden.rank("bob") == ""


def test_every_refusal_has_a_class_of_its_own() -> None:
    """Dialects tell them apart."""
    assert len({KeptOut, InviteOnly, WrongKey, ChannelFull, NotVoiced, NotAMember}) == 6
    assert all(issubclass(kind, errors.ChatError) for kind in (KeptOut, InviteOnly, WrongKey, NotVoiced))
