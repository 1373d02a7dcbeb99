"""The dialect `mailbox` at a server in a process: what a case cannot say, IDs that are told once, and mail not read."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

from dialects.mailbox import GREETING
from harness.peer import Peer
from harness.servers import ServerProcess

CREATED = "Success New Account Creation! Your new Account ID: "
HEAD = "undelivered message for user ID wayne123:"


def mailbox_peer(server: ServerProcess) -> Peer:
    peer = Peer(server.ports[1])
    assert peer.line() == GREETING
    return peer


def test_a_secret_id_outlives_the_server(tmp_path: Path) -> None:
    """B18: it is told once, and opens the account after a kill; another account's is another."""
    config = ("listen 0 mailbox", "mailbox-ids secret", f"database {tmp_path / 'crosstalk.db'}")
    with ServerProcess(tmp_path, *config) as server, mailbox_peer(server) as mason:
        ids = [answer.removeprefix(CREATED) for answer in mason.ask("1|mason", "1|wayne")]
        assert len({*ids, "mason123", "wayne123"}) == 4
        server.signal(signal.SIGKILL)
        server.wait()
    with ServerProcess(tmp_path, *config) as server, mailbox_peer(server) as mason:
        assert mason.ask(f"0|{ids[0]}", f"4|{ids[1]}", f"5|{ids[1]}") == [
            "user : mason is now logged in", "No new messages", "Your account has been deleted",
        ]  # fmt: skip


def test_mail_that_nobody_has_read_is_there_after_a_kill(tmp_path: Path) -> None:
    """B23: of much mail that was asked for, what had not left is not lost; nothing is missing in between."""
    senders, each = 10, 100
    config = ("listen 0 mailbox", f"database {tmp_path / 'crosstalk.db'}")
    with ServerProcess(tmp_path, *config) as server, ExitStack() as exit_stack:
        owner = exit_stack.enter_context(mailbox_peer(server))
        owner.send("1|wayne", "bye")
        assert owner.rest().decode() == f"{CREATED}wayne123\n"
        peers = [exit_stack.enter_context(mailbox_peer(server)) for _ in range(senders)]
        for number, peer in enumerate(peers):
            peer.ask(f"1|sender{number}")
        for number, peer in enumerate(peers):
            peer.send(*(f"3|wayne|{number} {place} {'m' * 8000}" for place in range(each)))
        for peer in peers:
            assert all(peer.line() for _ in range(each))
        reader = exit_stack.enter_context(mailbox_peer(server))
        assert reader.ask("4|wayne123") == [HEAD]
        server.signal(signal.SIGKILL)
        server.wait()
        read = {line[: line.index("mm")] for line in whole_lines(reader)}
    with ServerProcess(tmp_path, *config) as server, mailbox_peer(server) as reader:
        reader.send("4|wayne123", "bye")
        head, *lines = reader.rest().decode().splitlines()
        assert head == HEAD
        assert lines
        read |= {line[: line.index("mm")] for line in lines}
    assert read == {f"sender{n} sends: {n} {place} " for n in range(senders) for place in range(each)}


def whole_lines(peer: Peer) -> list[str]:
    """What was on its way when the server was killed, without a last line that was cut off."""
    return peer.rest().decode().split("\n")[:-1]
