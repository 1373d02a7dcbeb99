"""What the operator does with accounts, and who may make one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.changes import InvitationMade
from domain.invitations import MAX_INVITATIONS, digest
from settings import Listen, Settings
from store import Store
from support.world import World

SECRET = "aaaa-bbbb-cccc-0001"
ROOMS = {"lobby": 5, "attic": 5, "cellar": 9}
TOLD = "RECV @server @server"


def is_closed(*clients: object) -> bool:
    return all(client.transport.finished for client in clients)  # type: ignore[attr-defined]


@pytest.fixture
def world() -> Iterator[World]:
    with World(channels=ROOMS) as world:
        yield world


# ---- accounts ----


def test_the_operator_makes_an_account(world: World) -> None:
    """P32."""
    assert world.order("register ann") == [f" {SECRET}", "OK"]
    assert world.client().ask(f"LOGIN ann {SECRET}") == ["RESULT LOGIN 1"]
    assert world.order("register bob Pa\u0308ss") == ["OK"]
    assert world.client().ask("LOGIN bob P\u00e4ss", "LOGIN bob Pa\u0308ss") == ["RESULT LOGIN 0", "RESULT LOGIN 1"]
    world.guest("carol")
    world.room("lobby", "dave")
    for taken in ("ann", "carol", "dave"):
        assert world.order(f"register {taken} x") == [f"ERROR {taken} exists already."]
    assert world.order("register a,b x") == ["ERROR a,b is no name."]
    with World(settings=Settings(listen=(Listen(None, 1, "mailbox"),))) as with_mailbox:
        assert with_mailbox.order("register Receiver x") == ["ERROR Receiver is no name."]
    world.passwords.overloaded = True
    assert world.order("register eve x") == ["ERROR Too many passwords wait to be hashed; try again."]


def test_a_password_is_reset(world: World) -> None:
    """P33."""
    ann, bob = world.user("ann", "tea"), world.user("bob", "tea")
    assert world.order("reset-password ann") == [f" {SECRET}", "OK"]
    assert ann.heard() == [f"{TOLD} Your password has been reset; log in with the new one."]
    assert is_closed(ann)
    assert not is_closed(bob)
    again = world.client()
    assert again.ask("LOGIN ann ann", f"LOGIN ann {SECRET}", "SAY tea hi") == [
        "RESULT LOGIN 0", "RESULT LOGIN 1", "RECV ann tea hi",
    ]  # fmt: skip
    assert world.order("reset-password ann chosen") == ["OK"]
    assert is_closed(again)
    assert world.order("reset-password nobody x") == ["ERROR There is no account nobody."]
    world.mailbox_user("nora")
    assert world.order("reset-password nora x") == ["ERROR nora has no password: its ID opens it."]


def test_a_password_that_cannot_be_reset(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """P33."""
    ann = world.user("ann")
    monkeypatch.setattr(world.chat.journal, "write", lambda _changes: False)
    assert world.order("reset-password ann x") == ["ERROR The database takes nothing."]
    assert not is_closed(ann)
    assert ann.ask("LOGOUT", "LOGIN ann ann") == ["RESULT LOGOUT 1", "RESULT LOGIN 1"]


def test_an_account_is_deleted_with_all_that_it_has(world: World) -> None:
    """P34."""
    ann, bob = world.user("ann", "tea", "lobby"), world.user("bob", "tea")
    carol = world.user("carol")
    carol.ask("LOGOUT")
    (dave,) = world.room("lobby", "dave")
    ann.ask("SAY tea hello", "SAY @carol hi")
    bob.ask("PRESENCE on")
    bob.heard()
    assert world.order("delete-account ann") == ["OK The account ann has been deleted."]
    assert ann.heard() == [f"{TOLD} Your account has been deleted by the operator."]
    assert is_closed(ann)
    assert bob.heard() == ["PRESENCE ann off"]
    assert dave.heard()[-1].endswith("ann has left the channel.")
    assert bob.ask("USERS tea", "HISTORY tea", "WHO") == [
        "RESULT USERS tea bob", "RESULT HISTORY tea 1", "RECV ann tea hello", "RESULT WHO bob",
    ]  # fmt: skip
    assert world.order("delete-account carol", "register carol carol") == [
        "OK The account carol has been deleted.",
        "OK",
    ]
    again = world.client()
    assert again.ask("LOGIN carol carol", "JOINED") == ["RESULT LOGIN 1", "RESULT JOINED"], "and no mail"
    newcomer = world.user("ann")
    assert newcomer.ask("JOINED", "SAY tea hi", "JOIN tea") == ["RESULT JOINED", "RESULT SAY 0", "RESULT JOIN tea 1"]
    assert world.order("delete-account nobody") == ["ERROR There is no account nobody."]


def test_an_account_with_an_id_is_deleted(world: World) -> None:
    """P34."""
    nora = world.mailbox_user("nora")
    assert world.order("delete-account nora") == ["OK The account nora has been deleted."]
    assert nora.heard() == [
        "@server: Your account has been deleted by the operator.", "Your account has been deleted",
    ]  # fmt: skip
    assert is_closed(nora)
    assert world.mailbox_client().ask("0|nora123")[0].startswith("user with ID : nora123 is not recognized")


def test_an_account_that_cannot_be_deleted_is_as_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """P34: nobody is told that it has gone."""
    ann, bob, nora = world.user("ann", "tea", "lobby"), world.user("bob", "tea"), world.mailbox_user("nora")
    bob.ask("PRESENCE on")
    write = world.chat.journal.write
    monkeypatch.setattr(world.chat.journal, "write", lambda _changes: False)
    assert world.order("delete-account ann", "delete-account nora") == ["ERROR The database takes nothing."] * 2
    monkeypatch.setattr(world.chat.journal, "write", write)
    assert not is_closed(ann) and not is_closed(nora)
    assert ann.heard() == bob.heard() == nora.heard() == []
    assert ann.ask("SAY tea hi", "JOINED") == ["RECV ann tea hi", "RESULT JOINED lobby, tea"]
    assert bob.heard() == ["RECV ann tea hi"]
    assert world.order("who lobby")[0].startswith(" ann dialect=result")


def test_what_a_client_asks_while_its_account_is_deleted_leaves_nothing(tmp_path: Path) -> None:
    """P34: in the turn of the deletion; another user of this name has nothing of it."""
    lines = (
        "CREATE den", "JOIN tea", "JOIN hot", "LEAVE hot", "SAY hot hi", "SAY @bob hi", "TOPIC hot x", "SEEN hot 1",
        "INVITE hot bob", "CREATE cave private", "PASSWORD ann x", "LOGOUT", "LOGIN ann ann",
    )  # fmt: skip
    for number, line in enumerate(lines):
        path = str(tmp_path / f"{number}.db")
        with World(store=Store(path)) as world:
            bob, ann = world.user("bob", "tea"), world.user("ann", "hot")
            operator = world.client(world.node.control)
            operator.session.received(b"delete-account ann\n")
            ann.session.received(f"{line}\n".encode())
            world.settle()
            assert operator.heard() == ["OK The account ann has been deleted."]
            assert is_closed(ann) or line == "LOGOUT"
            assert bob.ask("WHO", "USERS tea")[-2:] == ["RESULT WHO bob", "RESULT USERS tea bob"]
            assert not any(channel.subscribers for channel in (world.chat.channels.local["hot"],))
        with World(store=Store(path)) as world:
            again = world.user("ann")
            assert again.ask("JOINED", "UNREAD") == ["RESULT JOINED", "RESULT UNREAD"], line
            for channel in ("hot", "den", "cave"):
                (answer,) = world.order(f"op {channel} ann")
                assert answer in (f"OK ann operates {channel} now.", f"ERROR {channel} does not exist."), line


def test_a_login_that_comes_while_the_account_is_deleted(world: World) -> None:
    """It is in none of the channels any more."""
    ann = world.user("ann", "tea")
    ann.ask("LOGOUT")
    operator = world.client(world.node.control)
    operator.session.received(b"delete-account ann\n")
    ann.session.received(b"LOGIN ann ann\n")
    world.settle()
    assert operator.heard() == ["OK The account ann has been deleted."]
    assert is_closed(ann)
    assert not world.chat.channels.local["tea"].subscribers
    assert world.chat.users.online_names() == []


def test_a_member_of_remote_channels_is_deleted() -> None:
    """P34."""
    with World(settings=Settings(hostname="one", federation="open")) as world:
        peer = world.peer("two")
        peer.ask("FEDCHANNELS den")
        ann = world.user("ann")
        ann.send("JOIN den:two\n")
        peer.ask("FEDRESULT ann JOIN den:two 1")
        peer.heard()
        world.order("delete-account ann")
        assert peer.heard() == ["FEDLEAVE ann@one den"]
        assert world.chat.channels.remote == {}


def test_nothing_of_a_deleted_account_comes_back(tmp_path: Path) -> None:
    """P34, C44."""
    store = Store(str(tmp_path / "x.db"))
    with World(store=store) as world:
        world.user("ann", "tea").ask("LOGOUT")
        world.user("bob", "tea").ask("SAY @ann hi", "SAY tea hi")
        world.order("delete-account ann")
    with World(store=Store(str(tmp_path / "x.db"))) as world:
        assert list(world.chat.users.accounts) == ["bob"]
        assert [name for (name,) in world.store._db.execute("SELECT account FROM memberships")] == ["bob"]
        assert world.store._db.execute("SELECT count(*) FROM mail").fetchone() == (0,)


def test_passwords_are_not_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """P32."""
    with caplog.at_level(logging.DEBUG):
        world.order("register ann hunter2", "reset-password ann hunter3", "register bob", "invite")
        assert not {word for word in ("hunter", "aaaa-") if word in caplog.text}


# ---- who may make an account ----


def inviting(mode: str, store: Store | None = None) -> World:
    return World(settings=Settings(registration=mode), store=store)


def test_registration_is_open() -> None:
    """C57, R53."""
    with inviting("open") as world:
        assert world.client().ask("REGISTER ann ann", "REGISTER bob bob code") == [
            "RESULT REGISTER 1", "RESULT ERROR too many arguments",
        ]  # fmt: skip


def test_registration_is_closed() -> None:
    """C57."""
    with inviting("closed") as world:
        assert world.client().ask("REGISTER ann ann", "REGISTER ann ann code") == [
            "RESULT REGISTER 0", "RESULT ERROR too many arguments",
        ]  # fmt: skip
        assert world.mailbox_client().ask("1|nora") == ["New accounts are not open to everybody here"]
        assert world.client(world.hello).ask("HELLO-FROM bob") == ["HELLO bob"]
        assert world.order("register ann ann") == ["OK"]
        assert world.client().ask("LOGIN ann ann") == ["RESULT LOGIN 1"]


def test_an_invitation_makes_one_account() -> None:
    """C57, R53, P35."""
    with inviting("invite") as world:
        client = world.client()
        assert client.ask("REGISTER ann ann", f"REGISTER ann ann {SECRET}") == ["RESULT REGISTER 0"] * 2
        assert world.order("invite 1h") == [f" {SECRET} until=1970-01-01T01:16:40.000Z", "OK"]
        assert client.ask(
            "REGISTER ann ann", "REGISTER ann ann x", "REGISTER a,b ann " + SECRET,
            f"REGISTER ann ann {SECRET.upper()}", f"REGISTER bob bob {SECRET}", f"REGISTER a b {SECRET} d",
            "LOGIN ann ann",
        ) == [
            *["RESULT REGISTER 0"] * 3, "RESULT REGISTER 1", "RESULT REGISTER 0", "RESULT ERROR too many arguments",
            "RESULT LOGIN 1",
        ]  # fmt: skip
        assert world.mailbox_client().ask("1|nora") == ["New accounts are not open to everybody here"]


def test_a_wrong_code_is_checked_like_a_wrong_password() -> None:
    """C57, C40: under one name whatever account is asked for, and it is logged without the code."""
    with inviting("invite") as world:
        client = world.client()
        client.ask("REGISTER ann ann wrong", "REGISTER bob bob")
        assert world.passwords.checked == [("wrong", None), ("", None)]
        assert client.transport.limits == [("failed-invitation", "")] * 2


def test_two_who_use_one_code_at_once() -> None:
    """C57."""
    with inviting("invite") as world:
        world.order("invite")
        ann, bob = world.client(), world.client()
        world.passwords.later = True
        ann.send(f"REGISTER ann ann {SECRET}\n")
        bob.send(f"REGISTER bob bob {SECRET}\n")
        world.passwords.answer()
        assert sorted((*ann.heard(), *bob.heard())) == ["RESULT REGISTER 0", "RESULT REGISTER 1"]


def test_a_code_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    """C57."""
    with inviting("invite") as world:
        world.order("invite 10")
        monkeypatch.setattr(world.chat.accounts.invitations, "_now", lambda: 1010.0)
        assert world.client().ask(f"REGISTER ann ann {SECRET}") == ["RESULT REGISTER 0"]


def test_codes_are_kept_and_used_codes_are_not(tmp_path: Path) -> None:
    """C57, C44. The file has no code."""
    path = tmp_path / "x.db"
    with inviting("invite", Store(str(path))) as world:
        codes = [world.order("invite")[0].split()[0] for _ in range(3)]
        assert world.client().ask(f"REGISTER ann ann {codes[0]}") == ["RESULT REGISTER 1"]
        assert not any(code.encode() in file.read_bytes() for code in codes for file in tmp_path.iterdir())
    with inviting("invite", Store(str(path))) as world:
        assert world.client().ask(*(f"REGISTER user{number} x {code}" for number, code in enumerate(codes))) == [
            "RESULT REGISTER 0", "RESULT REGISTER 1", "RESULT REGISTER 1",
        ]  # fmt: skip


def test_so_many_codes_and_no_more() -> None:
    """P35."""
    with World() as world:
        for number in range(MAX_INVITATIONS):
            world.chat.restore([InvitationMade(digest(str(number)), 1001.0, 1000.0)])
        assert world.order("invite") == ["ERROR There are too many invitations; wait until some lapse."]
        world.chat.restore([InvitationMade(digest("late"), 2000.0, 1001.0)])
        assert world.order("invite 1", "invite 0")[1:] == ["OK", "ERROR 0 is no time; try 90, 10m, 2h or 7d."]


def test_a_visitor_needs_a_code_too() -> None:
    with inviting("invite") as world:
        world.order("invite")
        session = world.client().session
        visitor = world.chat.visitors.enter(session, "ann")
        outcomes: list[Exception | None] = []
        for code in ("wrong", SECRET):
            world.chat.accounts.register_visitor(visitor, "secret", outcomes.append, code)
            world.settle()
        assert [type(outcome).__name__ for outcome in outcomes] == ["NotInvited", "NoneType"]
        assert "ann" in world.chat.users.accounts


def test_an_operators_account_is_made_by_the_operator_alone() -> None:
    """P36."""
    with World(settings=Settings(operator=("root",)), channels=ROOMS) as world:
        assert world.client().ask("REGISTER root x") == ["RESULT REGISTER 0"]
        assert world.client(world.hello).ask("HELLO-FROM root") == ["BAD-RQST-BODY"]
        assert world.room_guest("lobby", "root").saw() == ["* Cannot connect to the lobby channel."]
        assert world.mailbox_client().ask("1|root")[0].startswith("Please give a valid input")
        assert world.order("register root x") == ["OK"]
        assert world.client().ask("LOGIN root x") == ["RESULT LOGIN 1"]
