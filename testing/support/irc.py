"""Clients of IRC in a `World`, whose lines an independent parser reads (irctokens)."""

from __future__ import annotations

import base64
import re
from typing import Any

from irctokens.line import tokenise

from dialects.irc.core import Irc
from support.world import Client, World


def dialect_of(world: World) -> Irc:
    """Return the dialect, as it is for clients without capabilities."""
    dialect = world.node.dialects["irc"]
    assert isinstance(dialect, Irc)
    return dialect


class IrcClient:
    """A client of IRC and what it hears."""

    def __init__(self, world: World) -> None:
        self.client: Client = world.client(world.node.dialects["irc"])

    def ask(self, *lines: str) -> list[str]:
        """Send lines, each when the one before has been answered; return what has come, without line ends."""
        return [plain(line) for line in self.client.ask(*lines)]

    def heard(self) -> list[str]:
        """Return what has come meanwhile."""
        return [plain(line) for line in self.client.heard()]

    def parsed(self, *lines: str) -> list[Any]:
        """As `ask`, parsed by irctokens."""
        return [tokenise(line) for line in self.ask(*lines)]

    def codes(self, *lines: str) -> list[str]:
        """As `ask`: the verbs and numerics alone."""
        return [line.command for line in self.parsed(*lines)]


def plain(line: str) -> str:
    """Check a line's end and remove it; put `<hex>` in the place of what stands for an address."""
    assert line.endswith("\r")
    return re.sub(r"[0-9a-f]{8}\.guest", "<hex>.guest", line[:-1])


def sasl(name: str, password: str) -> str:
    """Return the message of PLAIN, in base64."""
    return base64.b64encode(f"\0{name}\0{password}".encode()).decode()


def guest(world: World, nick: str, *capabilities: str) -> IrcClient:
    """Return a guest that is welcome."""
    client = IrcClient(world)
    wanted = [f"CAP REQ :{' '.join(capabilities)}"] if capabilities else []
    ended = ["CAP END"] if capabilities else []
    assert "001" in client.codes(*wanted, f"NICK {nick}", f"USER {nick} 0 * :{nick.title()}", *ended)
    return client


def user(world: World, name: str, *capabilities: str) -> IrcClient:
    """Return a client that is logged in to an account whose password is its name; it is made if there is none."""
    if name not in world.chat.users.accounts:
        world.client().ask(f"REGISTER {name} {name}")
    client = IrcClient(world)
    words = " ".join(("sasl", *capabilities))
    codes = client.codes(
        f"CAP REQ :{words}", f"NICK {name}", f"USER {name} 0 * :{name.title()}", "AUTHENTICATE PLAIN",
        f"AUTHENTICATE {sasl(name, name)}", "CAP END",
    )  # fmt: skip
    assert codes.index("903") < codes.index("001")
    return client
