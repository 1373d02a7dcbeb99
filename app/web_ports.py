"""Makes the gateway of the `web` ports from the settings. Imported only where the config has such a port."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import partial

from app.node import Node, StartError
from dialects import WIRE
from domain.interfaces import Timers
from settings import Settings
from web.gateway import Gateway
from web.page import Page, Parts
from web.requests import Rules, parse_origin


def make_gateway(settings: Settings, node: Node, timers: Timers, fault: Callable[[], str]) -> Gateway:
    """Return what the `web` ports share.

    Args:
        settings: that are in force.
        node: makes the sessions.
        timers: the clock.
        fault: why the server cannot do its work; "" if it can (W2).

    Raises:
        StartError: a file of the page cannot be read.
    """
    names = (*settings.web_host, *([settings.hostname.lower()] if settings.hostname else ()))
    rules = Rules(
        frozenset(names),
        frozenset(filter(None, map(parse_origin, settings.web_origin))),
        [ipaddress.ip_network(network) for network in settings.web_proxy],
    )
    try:
        parts = Parts()
    except OSError as error:
        raise StartError(f"cannot read the page: {error.filename}: {error.strerror}") from error

    def page() -> Page:
        return parts.put_together(settings.web_title, guests=settings.admits_guests, registration=settings.registration)

    open_session = partial(node.accept, label=WIRE)
    return Gateway(page, rules, open_session, fault, timers, settings.keepalive_seconds)
