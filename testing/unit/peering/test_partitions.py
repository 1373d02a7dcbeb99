"""Three servers whose cables are cut and mended at any moment: what everybody hears against the rules of federation.

Hypothesis draws what people do, which bytes arrive when, who loses sight of whom, and which server starts anew; it
shrinks those steps after which somebody hears what the rules do not allow. The rules are in `support.partitions`.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.state import Limits
from support.cables import HOSTS, LONG, SECONDS, Name
from support.examples import EXAMPLES
from support.partitions import CHANNELS, PEOPLE, TEA, WITNESS, Play
from support.world import World


class Step(NamedTuple):
    """What is done in a play, and with what."""

    do: Callable[..., None]
    words: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"play.{self.do.__name__}{self.words!r}"


def steps(do: Callable[..., None], *words: Sequence[Any]) -> list[Step]:
    return [Step(do, chosen) for chosen in itertools.product(*words)]


PAIRS = [("a", "b"), ("b", "c"), ("a", "c")]
USERS = [name for name in PEOPLE if name.bare != WITNESS]
NOBODY = [Name("nobody", host) for host in HOSTS]
LIFE = [
    *[steps(Play.say, USERS, CHANNELS)] * 5,
    *[steps(Play.say, [Name(WITNESS, channel.host)], [channel]) for channel in CHANNELS],
    *[steps(Play.join, USERS, CHANNELS)] * 4,
    *[steps(Play.leave, USERS, CHANNELS)] * 2,
    *[steps(Play.tell, USERS, [*USERS, *NOBODY])] * 2,
    steps(Play.log, USERS),
    steps(Play.create, CHANNELS),
    *[steps(Play.carry, PAIRS, range(4), (1, 20, 50, 1000))] * 10,
    *[steps(Play.drain)] * 2,
    *[steps(Play.let_pass, (1.0, 5.0, LONG))] * 2,
    steps(Play.heal, PAIRS),
]
PARTITIONS = [*LIFE, steps(Play.part, PAIRS), steps(Play.restart, HOSTS, (False, True), (False,))]
"""Two servers lose sight of each other, and both see it."""

LOSSES = [
    *LIFE,
    steps(Play.part, PAIRS, range(3)),
    steps(Play.cut, PAIRS, range(2), range(3)),
    steps(Play.notice),
    steps(Play.restart, HOSTS, (False, True), (False, True)),
]
"""One of two may take a lost cable for one that is there, or they may lose one of two."""


@st.composite
def a_step(draw: st.DrawFn, kinds: Sequence[list[Step]]) -> Step:
    kind = draw(st.sampled_from(kinds))
    step: Step = draw(st.sampled_from(kind))
    return step


def steps_of(kinds: Sequence[list[Step]]) -> st.SearchStrategy[list[Step]]:
    """Draw about forty steps, nested in little, so that Hypothesis can leave out any of them."""
    return st.tuples(*[st.lists(a_step(kinds))] * 8).map(lambda lists: [*itertools.chain(*lists)])


@st.composite
def topologies(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Draw who lists whom in a chain or a ring: the one the other, the other the one, or both."""
    pairs = draw(st.sampled_from([PAIRS[:2], PAIRS]))
    return [dial for one, other in pairs for dial in draw(st.sampled_from(dials_of(one, other)))]


def dials_of(one: str, other: str) -> list[list[tuple[str, str]]]:
    return [[(one, other)], [(other, one)], [(one, other), (other, one)]]


@contextlib.contextmanager
def playing(dials: Sequence[tuple[str, str]]) -> Iterator[Play]:
    """Begin where there is something to lose: everybody is there, and amy is in each server's channel."""
    with contextlib.closing(Play(dials)) as play:
        play.network.answer_dials()
        for channel in TEA.values():
            play.create(channel)
        for name in USERS:
            play.log(name)
        play.drain()
        for host, channel in itertools.product(HOSTS, TEA.values()):
            play.join(Name("amy", host), channel)
            play.drain()
        yield play
        play.finish()


@EXAMPLES
@given(topologies(), steps_of(PARTITIONS))
def test_partitions(dials: list[tuple[str, str]], taken: list[Step]) -> None:
    with playing(dials) as play:
        for step in taken:
            step.do(play, *step.words)


@EXAMPLES
@given(topologies(), steps_of(LOSSES))
def test_losses_that_only_one_sees_or_of_one_cable_of_two(dials: list[tuple[str, str]], taken: list[Step]) -> None:
    with playing(dials) as play:
        for step in taken:
            step.do(play, *step.words)


# ---- what is worst ----

BC = ("b", "c")
AMY, BOB, EVE = (Name(bare, host) for bare, host in (("amy", "b"), ("bob", "c"), (WITNESS, "c")))
"""amy, at b, is in the channel of c, where eve and bob are."""

DEN = Name("den", "c")
"""A channel that is not there yet."""

ONE = [BC]
BOTH = [BC, ("c", "b")]
b_and_c_are_linked = pytest.mark.parametrize("dials", [ONE, BOTH], ids=["one link", "two links"])


def arrive(play: Play, *hosts: str) -> None:
    """Let what is on its way to these servers come there, but not what it brings about."""
    for host in hosts:
        for cable in play.network.live(frozenset(BC)):
            play.network.carry(cable, host)
        play.listen()


def leave_and_join(play: Play) -> None:
    """Have amy on her way into a channel that was there all the time."""
    play.leave(AMY, TEA["c"])
    play.drain()
    play.join(AMY, TEA["c"])


@b_and_c_are_linked
@pytest.mark.parametrize("blind", range(3))
def test_a_cut_between_fedjoin_and_its_answer(dials: list[tuple[str, str]], blind: int) -> None:
    with playing(dials) as play:
        leave_and_join(play)
        arrive(play, "c")
        play.part(BC, blind)


def test_a_join_that_is_granted_too_late() -> None:
    with playing(ONE) as play:
        leave_and_join(play)
        arrive(play, "c")
        play.let_pass(SECONDS)


def test_a_direct_message_that_is_answered_too_late() -> None:
    with playing(ONE) as play:
        play.tell(AMY, BOB)
        play.let_pass(SECONDS)
        assert play.messages["m0"].fate == "refused"


def test_the_channels_of_a_lost_server_are_not_listed() -> None:
    with playing(BOTH) as play:
        for _ in range(2):
            play.see_channels(play.people[AMY])
            play.part(BC)


@pytest.mark.parametrize("lost", range(2))
@pytest.mark.parametrize("arrived", range(2))
def test_a_join_on_one_of_two_links_that_is_lost(lost: int, arrived: int) -> None:
    with playing(BOTH) as play:
        leave_and_join(play)
        arrive(play, *"c"[:arrived])
        play.cut(BC, lost, 2)
        play.drain()
        assert play.people[AMY].is_in(TEA["c"])


@b_and_c_are_linked
def test_a_message_right_behind_the_answer_to_a_join(dials: list[tuple[str, str]]) -> None:
    with playing(dials) as play:
        leave_and_join(play)
        arrive(play, "c")
        play.say(EVE, TEA["c"])
        arrive(play, "b")
        assert play.people[AMY].hearings[TEA["c"]].least == 1


def test_messages_before_and_after_a_second_link_comes_up() -> None:
    """They go one way, or the second could overtake the first."""
    with playing(BOTH) as play:
        play.cut(BC, 0, 2)
        play.drain()
        play.say(EVE, TEA["c"])
        play.say(AMY, TEA["c"])
        (old,) = play.network.live(frozenset(BC))
        play.let_pass(1.0)
        (new,) = (cable for cable in play.network.live(frozenset(BC)) if cable is not old)
        for host in BC * 3:
            play.network.carry(new, host)
        play.say(EVE, TEA["c"])
        play.say(AMY, TEA["c"])
        for cable, host in itertools.product((new, old), BC * 2):
            play.network.carry(cable, host)
            play.listen()


def test_a_message_to_a_channel_that_is_gone() -> None:
    with playing(ONE) as play:
        play.restart("c", True, False)
        play.let_pass(1.0)
        arrive(play, "c", "b")
        play.say(AMY, TEA["c"])
        play.drain()
        assert play.messages["m0"].fate == "refused"


@b_and_c_are_linked
def test_a_leave_that_crosses_a_message_and_a_join_behind_it(dials: list[tuple[str, str]]) -> None:
    with playing(dials) as play:
        play.say(EVE, TEA["c"])
        play.leave(AMY, TEA["c"])
        play.say(EVE, TEA["c"])
        play.join(AMY, TEA["c"])
        play.say(EVE, TEA["c"])
        arrive(play, "b", "c")
        play.say(EVE, TEA["c"])


@b_and_c_are_linked
@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("host", BC)
def test_a_restart_that_is_seen_when_the_new_link_is_up(dials: list[tuple[str, str]], host: str, empty: bool) -> None:
    with playing(dials) as play:
        play.restart(host, empty, True)
        play.say(AMY, TEA["c"])
        for _ in range(3):
            play.let_pass(1.0)
            arrive(play, *BC, *BC)
        play.say(EVE, TEA["c"]) if TEA["c"] in play.channels else play.create(TEA["c"])
        play.notice()


@pytest.mark.parametrize("blind", range(3))
def test_a_leave_that_is_lost(blind: int) -> None:
    """Who does not see that the link was away has the member still."""
    with playing(ONE) as play:
        play.leave(AMY, TEA["c"])
        play.part(BC, blind)
        play.heal(BC)
        play.let_pass(1.0)
        play.drain()


@pytest.mark.parametrize("lost", range(2))
def test_a_leave_that_is_lost_with_one_of_two_links(lost: int) -> None:
    with playing(BOTH) as play:
        play.leave(AMY, TEA["c"])
        play.cut(BC, lost, 2)


@pytest.mark.parametrize("lost", range(2))
@pytest.mark.parametrize("arrived", range(3))
def test_a_message_on_one_of_two_links_that_is_lost(lost: int, arrived: int) -> None:
    """It comes back, or it is told that it has not, and the next one has an answer of its own."""
    with playing(BOTH) as play:
        play.say(AMY, TEA["c"])
        arrive(play, *("c", "b")[:arrived])
        play.cut(BC, lost, 2)
        play.say(AMY, TEA["c"])
        play.drain()
        play.part(BC)


def test_who_is_not_let_in_by_the_own_server_hears_nothing() -> None:
    """The other server has granted the JOIN, and what is said there is on its way."""
    with World(Limits(channels_per_user=0)) as world:
        peer, amy = world.peer("c"), world.user("amy")
        amy.send("JOIN tea:c")
        assert peer.heard() == ["FEDJOIN amy@127.0.0.1 tea"]
        peer.send("FEDRESULT amy JOIN tea:c 1\nFEDRECV amy eve@c tea hello")
        assert amy.heard() == ["RESULT JOIN tea:c 0"]
        assert peer.heard() == ["FEDLEAVE amy@127.0.0.1 tea"]
