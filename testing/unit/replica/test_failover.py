"""A cluster in real processes: failovers, how a cluster begins, and who may not join it."""

from __future__ import annotations

import contextlib
import random
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cluster import Cluster, ClusterNode, Engines, wait_for
from harness.peer import Peer
from harness.servers import ServerProcess
from harness.text import LOOPBACK
from replica import nats
from support.certificates import Authority
from support.cut_engines import CutEngines
from support.engines import NEEDS_ENGINE, shared_engines
from tools.copies import append, applied, in_file, in_log

pytestmark = NEEDS_ENGINE


@pytest.fixture(scope="module")
def engines() -> Engines:
    """The engines that all these tests share; each test has a cluster of its own."""
    return shared_engines()


def a_name() -> str:
    return f"t{random.randrange(10**12)}"


@pytest.fixture
def cluster(engines: Engines, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path, engines, a_name()) as cluster:
        yield cluster


def log_in(node: ClusterNode, name: str = "ann") -> Peer:
    """A client that is logged in, and in the channel."""
    peer = node.peer()
    assert peer.ask(f"LOGIN {name} secret") == ["RESULT LOGIN 1"]
    return peer


def serve_a_channel(node: ClusterNode) -> Peer:
    peer = node.peer()
    assert peer.ask("REGISTER ann secret") == ["RESULT REGISTER 1"]
    peer.close()
    peer = log_in(node)
    assert peer.ask("CREATE garden", "JOIN garden") == ["RESULT CREATE garden 1", "RESULT JOIN garden 1"]
    return peer


def say(peer: Peer, text: str) -> None:
    assert peer.ask(f"SAY garden {text}") == [f"RECV ann garden {text}"]


def texts(peer: Peer) -> list[str]:
    (answer,) = peer.ask("HISTORY garden 1000")
    return [peer.line().split(" ")[-1] for _ in range(int(answer.split()[-1]))]


def agree(*nodes: ClusterNode) -> None:
    """Wait until all have the same log."""
    wait_for(lambda: len({applied(node) for node in nodes}) == 1, "agreement")


def test_the_primary_dies_and_then_the_next_one(cluster: Cluster) -> None:
    said: list[str] = []
    for number in range(3):
        primary = cluster.primary()
        peer = log_in(primary) if number else serve_a_channel(primary)
        assert texts(peer) == said
        for node in cluster.backups():
            with pytest.raises(ConnectionRefusedError):
                node.peer()
            assert any("is a backup: its ports are closed until it leads" in line for line in node.log)
        say(peer, f"message-{number}")
        said.append(f"message-{number}")
        if number < 2:
            primary.end()
            assert peer.line() == ""
    for node in cluster.nodes:
        if node.process:
            node.end()
    copies = [in_file(node) for node in cluster.nodes]
    assert max(copies, key=len) == said
    assert all(copy == said[: len(copy)] for copy in copies)
    assert in_log(cluster) == said


def test_a_primary_that_is_told_to_stop_is_replaced_at_once(cluster: Cluster) -> None:
    primary = cluster.primary()
    peer = serve_a_channel(primary)
    say(peer, "first")
    began = time.monotonic()
    assert primary.end(signal.SIGTERM) == 0
    next_one = cluster.primary()
    assert time.monotonic() - began < 3.0, "no silence was waited for"
    assert texts(log_in(next_one)) == ["first"]
    next_one.wait_for("candidate: the leader has left")
    for node in cluster.nodes:
        if node.process:
            assert node.end(signal.SIGTERM) == 0


def test_a_frozen_primary_tells_nobody_anything_and_follows_the_next_one(cluster: Cluster) -> None:
    frozen = cluster.primary()
    peer = serve_a_channel(frozen)
    say(peer, "before")
    frozen.send_signal(signal.SIGSTOP)
    peer.send("SAY garden lost", "HISTORY garden 9")
    newcomer = frozen.peer()  # the kernel accepts it
    newcomer.send("HELP")
    next_one = wait_for(
        lambda: next((node for node in cluster.nodes if node is not frozen and node.serves), None), "a new primary"
    )
    other = log_in(next_one)
    say(other, "after")
    frozen.send_signal(signal.SIGCONT)
    assert peer.rest() == b""
    assert newcomer.rest() == b""
    frozen.wait_for("stepping down: replaced")
    frozen.wait_for(f"{next_one.name} leads")
    agree(frozen, next_one)
    assert texts(other) == ["before", "after"]


def test_the_status_line_tells_role_and_lag(cluster: Cluster) -> None:
    primary = cluster.primary()
    serve_a_channel(primary)
    for node in cluster.nodes:
        assert int(applied(node)) >= 1
        role = "primary" if node is primary else "backup"
        line = next(line for line in reversed(node.log) if " applied=" in line and "cluster " in line)
        for word in (f"node={node.name}", f"role={role}", f"leader={primary.name}", "lag=0", "failovers=0"):
            assert f" {word} " in line, line
        assert " engine=127.0.0.1:" in line
        assert line.split(" run=")[1][:12].isalnum()


# ---- how a cluster begins ----


def test_a_single_process_founds_a_cluster_with_its_file(engines: Engines, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, engines, a_name())
    founder, other, _third = cluster.nodes
    with ServerProcess(founder.directory, port=founder.port) as server:
        with server.user("ann") as peer:
            peer.ask("CREATE garden", "JOIN garden", "SAY garden long-ago")
        server.signal(signal.SIGTERM)
        server.wait()
    with cluster:
        assert cluster.primary() is founder
        with founder.peer() as peer:
            assert peer.ask("LOGIN ann ann") == ["RESULT LOGIN 1"]
            assert texts(peer) == ["long-ago"]
            say(peer, "now")
        for node in cluster.nodes[1:]:
            node.wait_for("is in place")
            agree(node, founder)
        founder.end()
        with cluster.primary().peer() as peer:
            assert peer.ask("LOGIN ann ann") == ["RESULT LOGIN 1"]
            assert texts(peer) == ["long-ago", "now"]
    with pytest.raises(AssertionError, match="is a cluster's copy"):
        ServerProcess(other.directory, port=other.port)


def test_a_node_with_other_data_is_refused(engines: Engines, tmp_path: Path) -> None:
    name = a_name()
    cluster = Cluster(tmp_path, engines, name)
    stranger = cluster.nodes.pop()
    with ServerProcess(stranger.directory, port=stranger.port) as server:
        server.user("zoe").close()
    with cluster:
        serve_a_channel(cluster.primary())
        stranger.start()
        assert stranger.process
        assert stranger.process.wait(time.monotonic() + 30) == 1
        assert any("the database has data of its own" in line for line in stranger.log)
        stranger.end()
        # A node of another cluster has another history.
        moved = cluster.backups()[0]
        moved.end(signal.SIGTERM)
        other = Cluster(tmp_path, engines, a_name(), count=1)
        with other:
            other.primary()
            moved.join(other.name)
            moved.start()
            assert moved.process
            assert moved.process.wait(time.monotonic() + 30) == 1
            assert any("the engines' log is not the one of this database" in line for line in moved.log)
            moved.end()


def test_two_clusters_share_engines_and_nothing_else(engines: Engines, tmp_path: Path) -> None:
    with Cluster(tmp_path, engines, a_name(), count=1) as one, Cluster(tmp_path, engines, a_name(), count=1) as two:
        say(serve_a_channel(one.primary()), "one")
        say(serve_a_channel(two.primary()), "two")
        assert (in_log(one), in_log(two)) == (["one"], ["two"])


def test_a_new_node_catches_up(engines: Engines, tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, engines, a_name())
    late = cluster.nodes.pop()
    with cluster:
        say(serve_a_channel(cluster.primary()), "early")
        late.start()
        agree(late, cluster.primary())
        late.end(signal.SIGTERM)
        assert in_file(late) == ["early"]


def test_a_newer_version_ends_a_node(cluster: Cluster) -> None:
    cluster.primary()
    for node in cluster.nodes:
        node.end()
    append(cluster.engines.port, cluster.name, b'{"v":2,"run":"future","n":1,"c":[]}')
    node = cluster.nodes[0]
    node.start()
    assert node.process
    assert node.process.wait(time.monotonic() + 30) == 1
    assert any("a newer version has written the log" in line for line in node.log)
    node.end()


# ---- other servers ----


def test_a_failover_is_a_lost_link_for_other_servers(engines: Engines, tmp_path: Path) -> None:
    with ServerProcess(tmp_path, f"address {LOOPBACK}", "hostname two.example") as neighbour:
        links = ("hostname one.example", f"{LOOPBACK}:{neighbour.port} two.example")
        with Cluster(tmp_path, engines, a_name(), *links, count=2) as cluster, neighbour.user("zoe") as zoe:
            first = cluster.primary()
            ann = serve_a_channel(first)
            zoe.send("JOIN garden:one.example")
            zoe.expect("RESULT JOIN garden:one.example 1\n")
            say(ann, "hello")
            zoe.expect("RECV ann@one.example garden:one.example hello\n")
            first.end()
            ann = log_in(cluster.primary())
            ann.send("SAY garden again")
            ann.expect("RECV ann garden again\n")
            wait_for(lambda: "zoe@two.example" in ann.ask("USERS garden")[0] or None, "the restored link")
            ann.send("SAY garden restored")
            zoe.expect("RECV ann@one.example garden:one.example restored\n")
            zoe.send("SAY garden:one.example thanks")
            ann.expect("RECV zoe@two.example garden thanks\n")
            zoe.send("SAY @ann@one.example psst")
            ann.expect("RECV zoe@two.example @zoe@two.example psst\n")


# ---- engines that want a password ----


def test_engines_let_in_who_knows_the_password_and_only_to_its_cluster(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("open sesame\n")
    engines = Engines(tmp_path / "engines", 1)
    engines.password_file = password
    name = a_name()
    with engines:
        stranger = Cluster(tmp_path, engines, f"{name}x", count=1)
        with stranger, Cluster(tmp_path, engines, name, f"engine-password-file {password}", count=1) as cluster:
            say(serve_a_channel(cluster.primary()), "secret")
            stranger.nodes[0].wait_for("complains: Authorization Violation")
            assert not stranger.nodes[0].serves
            assert engines.run("status").stdout.count("1 leads") == 1
        for subject in ("anything", f"ct.{name}.r", "$JS.API.STREAM.DELETE.CT_x", "$SYS.REQ.SERVER.PING"):
            assert refusal(engines.port, f"PUB {subject} 0\r\n\r\n") == violation("Publish", subject)
        for subject in (">", "ct.>", "$JS.>"):
            assert refusal(engines.port, f"SUB {subject} 1\r\n") == violation("Subscription", subject)


def test_nodes_and_engines_talk_by_tls_and_verify_each_other(tmp_path: Path, authority: Authority) -> None:
    """Three engines, which also link with each other. A node that trusts another authority says what is wrong."""
    certificate = authority.issue(purpose="serverAuth,clientAuth")
    strange = tmp_path / "strange"
    strange.mkdir()
    engines = Engines(tmp_path / "engines", 3)
    engines.tls = ["--tls-certificate", certificate.path, "--tls-key", certificate.key, "--tls-ca", authority.path]
    name = a_name()
    with engines, Cluster(tmp_path, engines, f"{name}x", f"tls-ca {Authority(strange).path}", count=1) as stranger:
        with Cluster(tmp_path, engines, name, f"tls-ca {authority.path}", count=2) as cluster:
            peer = serve_a_channel(cluster.primary())
            say(peer, "secret")
            cluster.primary().end()
            wait_for(lambda: next((node for node in cluster.nodes if node.serves), None), "a new primary")
            assert texts(log_in(cluster.primary())) == ["secret"]
            assert f"{name} " in engines.run("status").stdout
        stranger.nodes[0].wait_for("the certificate is not accepted: ")
        assert not stranger.nodes[0].serves
        with Peer(engines.port) as eavesdropper:
            eavesdropper.send_bytes(nats.connect("x", "", "") + b"PING\r\n")
            assert b"PONG" not in eavesdropper.rest()


def violation(what: str, subject: str) -> str:
    return f'Permissions Violation for {what} to "{subject}"'


def refusal(port: int, words: str) -> str:
    """What an engine says to a client that knows the password and sends these words."""
    with Peer(port) as peer:
        peer.send_bytes(nats.connect("x", "chat", "open sesame") + words.encode())
        peer.expect("-ERR '")
        return peer.line().rstrip("\r'")


@contextlib.contextmanager
def full_disk(node: ClusterNode) -> Iterator[int]:
    """Let a node's process write to no file any more; return its number."""
    assert node.process is not None
    pid = node.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    yield pid
    if node.process is not None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def test_a_primary_whose_disk_is_full_hands_over_and_waits(cluster: Cluster) -> None:
    full = cluster.primary()
    peer = serve_a_channel(full)
    say(peer, "before")
    with full_disk(full):
        peer.send("SAY garden stands")
        assert peer.rest() == b""
        full.wait_for("stepping down: the file refuses what is in the log")
        full.wait_for("waiting until the database can be written")
        next_one = wait_for(
            lambda: next((node for node in cluster.nodes if node is not full and node.serves), None), "a new primary"
        )
        other = log_in(next_one)
        assert texts(other) == ["before", "stands"]
        assert not full.serves
    full.wait_for(f"{next_one.name} leads")
    say(other, "after")
    agree(*cluster.nodes)
    assert in_log(cluster) == ["before", "stands", "after"]


def test_a_primary_that_waits_for_its_disk_can_be_stopped(cluster: Cluster) -> None:
    full = cluster.primary()
    peer = serve_a_channel(full)
    with full_disk(full):
        peer.send("SAY garden stands")
        full.wait_for("waiting until the database can be written")
        assert full.end(signal.SIGTERM) == 0


# ---- a partition ----


@pytest.mark.slow
def test_a_primary_whose_engine_is_cut_off_tells_nobody_anything(tmp_path: Path) -> None:
    with CutEngines(tmp_path / "engines") as engines, Cluster(tmp_path, engines, a_name(), count=1) as alone:
        cut_off = alone.primary()  # its first engine is the one that will be cut off
        with Cluster(tmp_path, engines, alone.name) as cluster:
            cluster.nodes[0].end()
            others = cluster.nodes[1:]
            peer = serve_a_channel(cut_off)
            say(peer, "before")
            agree(cut_off, *others)
            engines.cable.cut()
            peer.send("SAY garden lost", "HISTORY garden 9")
            next_one = wait_for(lambda: next((node for node in others if node.serves), None), "a new primary")
            other = log_in(next_one)
            say(other, "after")
            assert not cut_off.serves
            assert peer.rest() == b"", "it was closed without a word"
            cut_off.wait_for("stepping down: ")
            engines.cable.heal()
            say(other, "healed")
            agree(cut_off, *others)
            assert texts(other) == ["before", "after", "healed"]
