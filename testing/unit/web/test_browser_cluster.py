"""The page in a headless Chromium, at the address of a cluster."""

from __future__ import annotations

import random
from pathlib import Path

from harness.cluster import Cluster
from harness.servers import free_ports
from support.engines import NEEDS_ENGINE, shared_engines
from support.page_stage import Stage, confirmed, log_in, say

pytestmark = NEEDS_ENGINE


def test_a_page_follows_its_address_to_another_node(tmp_path: Path, stage: Stage) -> None:
    """The node that leads has the port of the page, as it would have a service address: nothing is lost or doubled."""
    (web,) = free_ports(1)
    name = f"t{random.randrange(10**12)}"
    with Cluster(tmp_path, shared_engines(), name, f"listen 127.0.0.1:{web} web", count=2) as cluster:
        first = cluster.primary()
        bob = first.peer()
        bob.ask("REGISTER ann ann", "REGISTER bob bob", "LOGIN bob bob", "CREATE garden", "JOIN garden")
        with first.peer() as ann:
            ann.ask("LOGIN ann ann", "JOIN garden", "LOGOUT")
        stage.tabs.append(page := stage.browser.tab(f"http://127.0.0.1:{web}/"))
        log_in(page, "ann")
        page.sees("#garden", "#title")
        bob.ask("SAY garden before")
        page.sees("before", "#log")
        page.wait("sessionStorage.getItem('crosstalk-token')")
        first.end()
        page.sees("Not connected", "#network")
        second = cluster.primary()
        assert second is not first
        bob = second.peer()
        bob.ask("LOGIN bob bob", "SAY garden after")
        page.sees("after", "#log")
        say(page, "still here")
        confirmed(page, "still here")
        bob.expect("RECV ann garden still here\n")
        assert [page.text("#log").count(text) for text in ("before", "after", "still here")] == [1, 1, 1]
