"""The lines with which the dialect `rooms` greets a guest."""

from __future__ import annotations

from support.world import Client

WELCOME = "* Welcome to the {} channel, {}."
AHEAD = "* You are in the waiting queue and there are {} user(s) ahead of you."


def is_closed(client: Client) -> bool:
    return client.session.over and client.transport.finished == 1
