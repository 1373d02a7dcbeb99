"""ui/requests.py: which request a line answers, what was not confirmed, and what is said again."""

from __future__ import annotations

import pytest

from ui.requests import ANSWER_SECONDS, MAX_REQUESTS, Replay, Requests

# For each dialect: what passes in order, `>` to the server and `<` from it; and what is not confirmed at the end.
CONVERSATIONS: list[tuple[str, str, list[str]]] = [
    ("result", "> PING", ["PING"]),
    ("result", "> PING\n< RESULT PING 1", []),
    ("result", "> PING\n< RECV bob garden hi", ["PING"]),
    ("result", "> LOGIN ann x\n< RESULT LOGIN 1\n> SAY a hi\n> SAY a ho\n< RECV ann a hi", ["SAY a ho"]),
    ("result", "> LOGIN ann x\n< RESULT LOGIN 1\n> SAY garden hi\n< RECV bob garden hi", ["SAY garden hi"]),
    ("result", "> LOGIN ann x\n< RESULT LOGIN 1\n> SAY garden hi\n< RECV ann attic hi", ["SAY garden hi"]),
    ("result", "> LOGIN ann x\n< RESULT LOGIN 1\n> SAY a b\n< @time=x;id=4 RECV ann a b", []),
    ("result", "> LOGIN ann x\n< RESULT LOGIN 1\n> SAY @zoe hi\n< RECV ann @zoe hi", []),
    ("result", "> SAY @zoe hi\n< RESULT SEND ERROR", []),
    ("result", "> SAY garden hi\n< RESULT SAY 0", []),
    ("result", "> FOO\n> PING\n< RESULT ERROR unknown type", ["PING"]),
    ("result", "> JOIN a\n> USERS a\n< RESULT KICKED a", ["JOIN a", "USERS a"]),
    ("result", "> JOIN a\n> USERS a\n< RESULT USERS a ann", []),
    ("result", "> LOGIN ann x\n< RESULT LOGIN 1\n> HISTORY a 2\n> SAY a hi\n< RESULT HISTORY a 2\n< RECV ann a hi\n"
     "< RECV ann a hi", ["SAY a hi"]),
    ("result", "> QUIT", []),
    ("hello", "> HELLO-FROM ann\n> SEND bob hi\n< HELLO ann", ["SEND bob hi"]),
    ("hello", "> SEND bob hi\n< DELIVERY bob hi", ["SEND bob hi"]),
    ("hello", "> SEND bob hi\n< BAD-DEST-USER", []),
    ("mailbox", "> 1|ann\n< Success New Account Creation! Your new Account ID: ann123\n> 3|bob|hi", ["3|bob|hi"]),
    ("mailbox", "> 3|bob|hi\n< bob: hi", ["3|bob|hi"]),
    ("mailbox", "> 3|bob|hi\n< message from ann has been delivered to bob's mailbox", []),
    ("mailbox", "> 2|\n< Please give a valid input as instructed in the documentation", []),
    ("mailbox", "> bye", []),
    ("rooms", "> ann files\n> hi\n< [Server message (12:00:00)] Welcome to the lobby channel, ann.", ["hi"]),
    ("rooms", "> ann files\n< [Server message (12:00:00)] Welcome to the lobby channel, ann.\n> hi\n> ho\n"
     "< [ann (12:00:01)] hi", ["ho"]),
    ("rooms", "> ann\n< [Server message (12:00:00)] Welcome to the lobby channel, ann.\n> hi\n"
     "< [bob (12:00:01)] hi\n< [Server message (12:00:02)] zoe has joined the channel.", ["hi"]),
    ("rooms", "> /list", []),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "conversation", "unconfirmed"), CONVERSATIONS)
def test_what_was_not_confirmed_is_known(kind: str, conversation: str, unconfirmed: list[str]) -> None:
    requests = Requests(kind, lambda: 0.0)
    for line in conversation.split("\n"):
        if line.startswith("> "):
            requests.sent(line[2:])
        else:
            requests.received(line[2:])
    assert requests.take() == unconfirmed
    assert requests.take() == []


def test_what_was_sent_before_the_greeting_counts_by_the_rules_of_its_dialect() -> None:
    requests = Requests("result", lambda: 0.0)
    for line in ("1|ann", "bye"):
        requests.sent(line)
    requests.recognised("mailbox")
    assert requests.take() == ["1|ann"]


def test_an_answer_is_overdue_after_a_while_and_what_is_repeated_is_not_told() -> None:
    now = [0.0]
    requests = Requests("result", lambda: now[0])
    assert not requests.overdue()
    requests.sent("LOGIN ann x", by_itself=True)
    now[0] = ANSWER_SECONDS - 0.1
    requests.sent("PING")
    assert not requests.overdue()
    now[0] = ANSWER_SECONDS
    assert requests.overdue()
    requests.received("RESULT LOGIN 0")
    assert not requests.overdue()
    requests.sent("LOGIN ann x", by_itself=True)
    assert requests.take() == ["PING"]


def test_the_requests_are_bounded() -> None:
    requests = Requests("hello", lambda: 0.0)
    for _ in range(MAX_REQUESTS):
        assert not requests.full
        requests.sent("LIST")
    assert requests.full
    requests.sent("LIST")
    assert len(requests.take()) == MAX_REQUESTS


ACCOUNT = "Success New Account Creation! Your new Account ID: ann123"
ENTERED = "user : ann is now logged in"
REPLAYS: list[tuple[str, list[tuple[str, str]], list[str]]] = [
    ("result", [("LOGIN ann x", "RESULT LOGIN 0")], []),
    ("result", [("LOGIN ann x", "RESULT LOGIN 1")], ["LOGIN ann x"]),
    ("result", [("LOGIN ann x", "RESULT LOGIN 1"), ("LOGOUT", "RESULT LOGOUT 1")], []),
    ("result", [("LOGIN ann x", "RESULT LOGIN 1"), ("LOGIN bob y", "RESULT LOGIN 0")], ["LOGIN ann x"]),
    ("result", [("LOGIN ann x", "RESULT LOGIN 1"), ("PASSWORD x y", "RESULT PASSWORD 1")], ["LOGIN ann y"]),
    ("result", [("LOGIN ann x", "RESULT LOGIN 1"), ("PASSWORD z y", "RESULT PASSWORD 0")], ["LOGIN ann x"]),
    ("result", [("LOGIN ann x", "RESULT LOGIN 1"), ("JOIN a", "RESULT JOIN a 1"), ("JOIN b", "RESULT JOIN b 1"),
                ("LEAVE a", "RESULT LEAVE a 1"), ("TAGS id", "RESULT TAGS 1")], ["LOGIN ann x", "JOIN b", "TAGS id"]),
    ("mailbox", [("1|ann", ACCOUNT)], ["0|ann123"]),
    ("mailbox", [("0|ann123", ENTERED)], ["0|ann123"]),
    ("mailbox", [("0|ann124", "user with ID : ann124 is not recognized in the system, x")], []),
    ("mailbox", [("1|ann", ACCOUNT), ("5|ann123", "Your account has been deleted")], []),
    ("mailbox", [("1|ann", ACCOUNT), ("", "user : ann is now logged in elsewhere")], []),
    ("mailbox", [("1|ann", ACCOUNT), ("", "Your account has been deleted")], []),
    ("mailbox", [("1|ann", ACCOUNT), ("", "bob: user : ann is now logged in elsewhere")], ["0|ann123"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "answers", "repeated"), REPLAYS)
def test_a_session_says_again_what_was_confirmed(
    kind: str, answers: list[tuple[str, str]], repeated: list[str]
) -> None:
    replay = Replay()
    for request, answer in answers:
        if request:
            replay.confirmed(kind, request, answer)
        else:
            replay.heard(answer)
    assert list(replay.lines()) == repeated
    assert [line for line in repeated if replay.is_login(line)] == repeated[:1]
