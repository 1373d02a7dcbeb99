"""Several clients of one account: domain/sessions.py, and what the domain tells each of them (M16)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from domain.errors import AlreadyLoggedIn
from domain.events import AccountGone, ChannelMessages, DirectEcho, DirectMessage, MailWaiting, PresenceChanged, Removed
from domain.sessions import SeveralClients, as_clients, sessions_of
from support.memory_chat import NOW, FakeSession, MemoryChat


def another(memory: MemoryChat, name: str) -> FakeSession:
    """One more client of an account."""
    session = FakeSession()
    memory.chat.logins.login(session, name, name, session.done(), alongside=True)
    assert session.take()[0] == ("", None)
    return session


def test_one_session_stands_for_itself() -> None:
    one, other = FakeSession(), FakeSession()
    assert as_clients(()) is None
    assert as_clients((one,)) is one
    for sessions in ((), (one,), (one, other)):
        assert sessions_of(as_clients(sessions)) == sessions


def test_what_an_account_is_told_comes_to_each_client(memory: MemoryChat) -> None:
    first = memory.user("ann", "garden")
    second, bob = another(memory, "ann"), memory.user("bob", "garden")
    ann = first.principal
    memory.outcome(partial(memory.chat.say, bob.principal, "garden", "hi"))
    (said,) = bob.take()
    assert isinstance(said, ChannelMessages)
    assert first.take() == second.take() == [said]
    memory.outcome(lambda done: memory.chat.messages.send_direct(bob.principal, "ann", "psst", done, bob))
    assert first.take() == second.take() == [DirectMessage("bob", "psst", NOW, "d-1")]
    memory.outcome(lambda done: memory.chat.remove(ann, "garden", Removed("garden"), done))
    assert first.take() == second.take() == [Removed("garden")]
    assert not memory.chat.channels.local["garden"].subscribers.keys() & {first, second}
    assert memory.audiences_are_right()


def test_what_one_client_sends_comes_to_the_others_too(memory: MemoryChat) -> None:
    first, bob = memory.user("ann"), memory.user("bob")
    second = another(memory, "ann")
    memory.outcome(lambda done: memory.chat.messages.send_direct(second.principal, "bob", "hi", done, second))
    assert first.take() == [DirectEcho("ann", "bob", "hi", NOW, "d-1", own=False)]
    assert second.take() == [DirectEcho("ann", "bob", "hi", NOW, "d-1", own=True)]
    assert bob.take() == [DirectMessage("ann", "hi", NOW, "d-1")]


def test_an_account_is_online_from_its_first_client_to_its_last(memory: MemoryChat) -> None:
    bob = memory.user("bob", "garden")
    memory.chat.users.presence.watch(bob)
    ann, cas = memory.user("ann", "garden"), memory.user("cas")
    second = another(memory, "ann")
    memory.journal.commit()
    assert bob.take() == [PresenceChanged("ann", online=True)]
    assert memory.chat.users.online_names() == ["bob", "ann", "cas"]
    garden = memory.chat.channels.local["garden"]
    assert garden.here == 2
    memory.chat.logins.session_over(ann)
    memory.journal.commit()
    assert ann.principal is None
    assert memory.audiences_are_right()
    assert (garden.here, bob.take(), cas.take()) == (2, [], [])
    assert memory.chat.users.online_names() == ["bob", "ann", "cas"]
    memory.outcome(lambda done: memory.chat.messages.send_direct(cas.principal, "ann", "hi", done, cas))
    assert second.take() == [DirectMessage("cas", "hi", NOW, "d-1")]
    memory.chat.logins.session_over(second)
    memory.journal.commit()
    assert (garden.here, bob.take()) == (1, [PresenceChanged("ann", online=False)])
    assert memory.chat.users.online_names() == ["bob", "cas"]


def test_a_login_of_result_is_refused_while_any_client_is_logged_in_and_probes_all(memory: MemoryChat) -> None:
    first = memory.user("ann")
    clients = [first, another(memory, "ann"), another(memory, "ann")]
    refused = FakeSession()
    assert memory.outcome(partial(memory.chat.logins.login, refused, "ann", "ann")) is AlreadyLoggedIn
    assert [client.probed for client in clients] == [1, 1, 1]
    assert refused.principal is None
    assert all(client.principal is first.principal for client in clients)


def test_mail_goes_to_the_first_client_and_what_that_leaves_to_the_next(memory: MemoryChat) -> None:
    bob = memory.user("bob")
    memory.account("ann")
    memory.outcome(lambda done: memory.chat.messages.send_direct(bob.principal, "ann", "hi", done, bob))
    first = FakeSession()
    memory.chat.logins.login(first, "ann", "ann", first.done())
    assert first.take() == [("", None), MailWaiting()]
    pages: Any = memory.chat.messages.mail(first, first.principal)
    assert next(pages)
    second = another(memory, "ann")
    first.over = True
    pages.close()
    assert second.take() == [MailWaiting()]


def test_the_end_of_an_account_ends_all_its_clients(memory: MemoryChat) -> None:
    first, asking = memory.user("ann", "garden"), FakeSession()
    second = another(memory, "ann")
    memory.chat.logins.end_sessions(first.principal, AccountGone("ann"), keep=asking)
    for session in (first, second):
        assert (session.take(), session.over, session.principal) == ([AccountGone("ann")], True, None)
    assert memory.chat.users.online_names() == []
    assert memory.audiences_are_right()


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [((True, False), [True]), ((False, True), [True]), ((False, False), [False]), ((True, True), [True])],
)
def test_a_receipt_of_several_clients(answers: tuple[bool, ...], outcome: list[bool]) -> None:
    sessions = FakeSession(), FakeSession()
    for session, has_left in zip(sessions, answers, strict=True):
        session.over = not has_left
    clients, outcomes = SeveralClients(sessions), list[bool]()
    clients.deliver_with_receipt("event", outcomes.append)
    assert outcomes == outcome
    assert [session.take() for session in sessions] == [["event"], ["event"]]


def test_all_clients_are_paused_and_closed_together() -> None:
    sessions = FakeSession(), FakeSession()
    clients = SeveralClients(sessions)
    clients.pause()
    assert all(session.paused for session in sessions)
    clients.resume()
    assert not any(session.paused for session in sessions)
    clients.end()
    assert all(session.over for session in sessions)
