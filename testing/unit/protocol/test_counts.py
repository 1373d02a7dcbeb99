"""What is counted of lines, messages and deliveries, whatever the dialect."""

from __future__ import annotations

from collections import Counter

from support.world import World


def test_lines_and_deliveries_are_counted_where_they_belong() -> None:
    with World() as world:
        alice, bob = world.user("alice", "tea"), world.user("bob", "tea")
        guest = world.guest("carol")
        result, hello = world.dialect.counts, world.hello.counts
        told, lines = (result.deliveries, hello.deliveries), (result.lines, hello.lines)
        alice.ask("SAY tea one", "SAY @carol two", "", "WHAT", "x" * 9000)
        guest.ask("SEND alice three")
        bob.heard()
        assert result.lines - lines[0] == 5
        assert hello.lines - lines[1] == 1
        # One message to two members, the echo of two, and three to alice.
        assert result.deliveries - told[0] == 4
        assert hello.deliveries - told[1] == 1
        # Tags make another dialect of a session.
        told, lines = (result.deliveries, hello.deliveries), (result.lines, hello.lines)
        alice.ask("TAGS id", "SAY tea four")
        assert (result.lines - lines[0], result.deliveries - told[0]) == (2, 2)


def test_messages_are_counted_once_and_only_when_they_were_taken() -> None:
    with World(channels={"lobby": 5, "attic": 5, "cellar": 5}) as world:
        alice = world.user("alice", "tea", "lobby")
        world.user("bob", "tea")
        ann, _ben = world.room("lobby", "ann", "ben")
        guest = world.guest("carol")
        messages = world.chat.outside.messages
        for client, line, kind in (
            (alice, "SAY tea hi", "channel"),
            (ann, "hi", "channel"),
            (alice, "SAY @bob hi", "direct"),
            (alice, "SAY @carol hi", "direct"),
            (alice, "SAY @ben hi", "direct"),
            (ann, "/whisper ben hi", "direct"),
            (guest, "SEND alice hi", "direct"),
            (alice, "SAY @nobody hi", ""),
            (alice, "SAY nowhere hi", ""),
            (guest, "SEND nobody hi", ""),
            (ann, "/whisper nobody hi", ""),
        ):
            before = Counter(messages)
            client.ask(line)
            assert Counter(messages) - before == Counter({kind: 1} if kind else {}), line
