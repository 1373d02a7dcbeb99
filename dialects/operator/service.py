"""The operator's commands about the whole server: help, status, users, links, reload, shutdown."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from commands import Command, Request
from dialects.operator.base import Operator, Refused
from dialects.operator.channels import guest_line, session_lines
from domain.events import Announced
from domain.sessions import deliver_to_each
from domain.walks import walk
from peering.links import Links
from protocol import Session


def help_(dialect: Operator, session: Session, request: Request) -> None:
    """Answer with the usage of each command, or of those that begin with a word."""
    wanted = request.args[0].removeprefix("/") if request.args else ""
    rows = [command for verb, command in dialect.commands.items() if verb[0] != "/" and verb.startswith(wanted)]
    if not rows:
        raise Refused(f"There is no command {wanted}.")
    width = max(len(command.usage) for command in rows)
    dialect.list_items(session, (f"{command.usage:<{width}}  {command.help}" for command in rows))


def status(dialect: Operator, session: Session, _request: Request) -> None:
    dialect.list_items(session, (f"{name} {value}" for name, value in dialect.controls.status()))


def list_users(dialect: Operator, session: Session, _request: Request) -> None:
    dialect.list_items(session, _user_lines(dialect))


def _user_lines(dialect: Operator) -> Iterator[str]:
    users = dialect.hosted.chat.users
    for name in users.sorted_online_names():
        user = users.online.get(name)
        if user is not None:  # else it has logged out meanwhile
            yield from session_lines(name, user.session)
    for guest in dialect.hosted.rooms.guests.everybody():
        yield guest_line(guest)


def announce(dialect: Operator, session: Session, request: Request) -> None:
    """Tell a text to every session that has sent a line: in pieces, so that other clients are served meanwhile."""
    event = Announced(request.args[0], dialect.hosted.now())
    done = dialect.expect(session, request, "Announced.")

    def tell() -> Iterator[None]:
        for each in list(dialect.controls.sessions()):
            if each.has_spoken and not each.over:
                deliver_to_each(event, (each,))
            yield
        done(None)

    walk(tell(), dialect.hosted.timers)


def unlink(dialect: Operator, session: Session, request: Request) -> None:
    (server,) = request.args
    with _server_named(server):
        closed = _links(dialect).unlink(server)
    dialect.done(session, f"{server} is kept out; links closed: {closed}.")


def relink(dialect: Operator, session: Session, request: Request) -> None:
    (server,) = request.args
    with _server_named(server):
        if not _links(dialect).relink(server):
            raise Refused(f"{server} was not kept out.")
    dialect.done(session, f"{server} may link again.")


def _links(dialect: Operator) -> Links:
    links = dialect.hosted.links
    if links is None:
        raise Refused("There are no links: federation is off.")
    return links


@contextlib.contextmanager
def _server_named(server: str) -> Iterator[None]:
    try:
        yield
    except ValueError:
        raise Refused(f"{server} is no server's name or address.") from None


def reload(dialect: Operator, session: Session, _request: Request) -> None:
    """Load the config again; list what has changed, and what needs a restart."""
    outcome = dialect.controls.reload()
    if outcome.errors:
        raise Refused(f"All stays as it was: {'; '.join(outcome.errors)}.")
    lines = [*(f"changed {name}" for name in outcome.changed), *(f"restart {name}" for name in outcome.need_restart)]
    dialect.list_items(session, lines)


def shut_down(dialect: Operator, session: Session, _request: Request) -> None:
    dialect.done(session)
    session.end()
    dialect.controls.stop()


COMMANDS: Mapping[str, Command] = {
    "help": Command(help_, "help [command]", "list the commands, or those that begin with a word", max_args=1),
    "status": Command(status, "status", "print the server's counters"),
    "users": Command(list_users, "users", "list everybody who is logged in, or in a channel with a port"),
    "announce": Command(
        announce, "announce <text>", "tell everybody something, in the words of each protocol",
        min_args=1, max_args=1, text=True,
    ),
    "unlink": Command(
        unlink, "unlink <server>", "close the links with a server, by name or address, and keep it out",
        min_args=1, max_args=1,
    ),
    "relink": Command(relink, "relink <server>", "let a server link again", min_args=1, max_args=1),
    "reload": Command(reload, "reload", "load the config and the certificates again"),
    "shutdown": Command(shut_down, "shutdown", "end the server"),
}  # fmt: skip

FAILURES: Mapping[tuple[Any, type], str] = {}
