"""Proofs (peering/proof.py, links.py): how a server proves its name, and that nothing else gets it that name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.directives import MAX_SECRET, ConfigError, read_secret
from harness.processes import ROOT
from peering.proof import Handshake, is_nonce, make_nonce
from settings import PeerConfig, Secret, Settings
from support.examples import EXAMPLES
from support.world import Client, World

KEY = "0123456789abcdef"
SECRET = Secret(KEY.encode())
ONE = Settings(hostname="one")
TWO = PeerConfig("127.0.0.2", 5051, "two", SECRET)
UNDIALLED = TWO._replace(port=0)

# What `openssl dgst -sha256 -hmac 0123456789abcdef` makes of the words of PROTOCOL.md. "one" is the server that is
# tested, and 1 the first nonce that it makes in a test.
ITS_NONCE = f"{1:032x}"
OUR_NONCE = "f" * 32
PROOF_OF_TWO = "094d789fb4eaeb873887bdaf178bb131c1796e8ab1e0528f797eb9a4a777520d"
CONFIRMATION_FOR_TWO = "17296ffbc26eb8635617ea816eb7bda5c1bfbf33039fdc3dde02313051a4005d"
PROOF_OF_ONE = "4685e95b0314b3d9cf56fc3608e3e7d2720e7d353b30e5267cf7f9aad30224b4"
CONFIRMATION_FOR_ONE = "5d8e721cdd711e1ad96b7b09925e9e33ca80b387c7543503458644611c4d5f87"


def is_closed(peer: Client) -> bool:
    """Whether the server has ended the link."""
    peer.world.settle()
    return peer.transport.refused == 1


def caller(world: World, name: str = "two", address: str = "127.0.0.9") -> Client:
    """Return a server that has dialled with a name and was asked for a proof."""
    peer = world.client(remote_address=(address, 40000))
    (line,) = peer.ask(f"FEDERATE-OUT {name}")
    assert line.startswith("FEDERATE-PROVE ")
    return peer


def proof(nonce: str, dialer: str = "two", step: str = "proof") -> str:
    """Return what the server `two`, which has dialled, says in answer to a nonce."""
    return f"FEDERATE-PROOF {Handshake(SECRET, dialer, 'one', nonce, OUR_NONCE).mac(step)} {OUR_NONCE}"


def proven(world: World, address: str = "127.0.0.9") -> Client:
    """Return the server `two` on a link that is up."""
    peer = world.client(remote_address=(address, 40000))
    (line,) = peer.ask("FEDERATE-OUT two")
    confirmed, channels, *_joins = peer.ask(proof(line.split()[1]))
    assert confirmed.startswith("FEDERATE-CONFIRM one ")
    assert channels.startswith("FEDCHANNELS")
    return peer


def asked_for_proof(world: World) -> Client:
    """Return the server that has been dialled and has asked for a proof, which it has got."""
    peer = world.dialled()
    assert peer.ask(f"FEDERATE-PROVE {OUR_NONCE}") == [f"FEDERATE-PROOF {PROOF_OF_ONE} {ITS_NONCE}"]
    return peer


# ---- the secret ----


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"x" * 16, b"x" * 16),
        (b"x" * 16 + b"\n", b"x" * 16),
        (b"x" * 15 + b"\n\n", b"x" * 15 + b"\n"),
        (b"x" * 16 + b"\r\n", b"x" * 16 + b"\r"),
        (b"\n" + b"\xff\x00" * 8, b"\n" + b"\xff\x00" * 8),
        (b"x" * MAX_SECRET + b"\n", b"x" * MAX_SECRET),
    ],
)
def test_a_secret_is_the_file_without_the_newline_at_its_end(tmp_path: Path, content: bytes, key: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert read_secret(str(tmp_path / "secret")).mac("words") == Secret(key).mac("words")


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 15, b"x" * 15 + b"\n", b"x" * (MAX_SECRET + 1)])
def test_a_secret_of_another_length_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigError, match=f"must have 16 to {MAX_SECRET} bytes"):
        read_secret(str(tmp_path / "secret"))


def test_a_secret_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for name, reason in (("missing", "No such file"), (".", "directory")):
        with pytest.raises(ConfigError, match=f"cannot read the secret .*{reason}"):
            read_secret(str(tmp_path / name))
    with pytest.raises(ConfigError, match="must have"):
        read_secret("/dev/zero")


def test_a_secret_that_other_users_can_read_is_told_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, names = tmp_path / "secret", list[str]()
    path.write_text(KEY)
    for mode in (0o600, 0o400, 0o640, 0o604, 0o644, 0o620):
        path.chmod(mode)
        names.append(f"mode-{mode:o}")
        World(settings=ONE, listed=[UNDIALLED._replace(name=names[-1], secret=read_secret(str(path)))]).close()
    is_of_roots_group = path.stat().st_gid == 0  # the group of root has root's rights anyway
    exposed = ["mode-604", "mode-644"] if is_of_roots_group else names[2:]
    warned = [record.getMessage() for record in caplog.records]
    assert warned == [
        f"other users can read the secret of {name}; keep it from them: chmod 600 its file" for name in exposed
    ]


def test_a_secret_shows_itself_nowhere() -> None:
    handshake = Handshake(SECRET, "two", "one", ITS_NONCE)
    assert KEY not in f"{SECRET} {SECRET!r} {handshake} {TWO} {Settings(peers=(TWO,))}"


# ---- nonces and macs ----


def test_a_nonce_is_16_random_bytes_in_hex() -> None:
    nonces = {make_nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert all(is_nonce(nonce) and len(bytes.fromhex(nonce)) == 16 for nonce in nonces)
    for word in ("", "f" * 31, "f" * 33, "g" * 32, "f" * 31 + "\n", "\uff11" * 32):
        assert not is_nonce(word)


def test_the_macs_are_those_of_the_protocol() -> None:
    as_receiver = Handshake(SECRET, "two", "one", ITS_NONCE, OUR_NONCE)
    as_dialer = Handshake(SECRET, "one", "two", OUR_NONCE, ITS_NONCE)
    assert as_receiver.mac("proof") == PROOF_OF_TWO
    assert as_receiver.mac("confirm") == CONFIRMATION_FOR_TWO
    assert as_dialer.mac("proof") == PROOF_OF_ONE
    assert as_dialer.mac("confirm") == CONFIRMATION_FOR_ONE


def test_the_example_of_the_protocol_document() -> None:
    lines = (
        (ROOT / "PROTOCOL.md")
        .read_text(encoding="utf-8")
        .split("### Names that are proven")[1]
        .split("\n#")[0]
        .splitlines()
    )
    said = [line.split()[2:] for line in lines if line.startswith(("> FEDERATE-", "< FEDERATE-"))]
    (dialer,), (receiver_nonce,), (proof, dialer_nonce), (receiver, confirmation) = said
    handshake = Handshake(SECRET, dialer, receiver, receiver_nonce, dialer_nonce)
    assert (proof, confirmation) == (handshake.mac("proof"), handshake.mac("confirm"))


@EXAMPLES
@given(st.one_of(st.text(max_size=70), st.text("0123456789abcdefABCDEF", min_size=64, max_size=64)))
def test_no_other_mac_is_right(mac: str) -> None:
    handshake = Handshake(SECRET, "two", "one", ITS_NONCE, OUR_NONCE)
    assert handshake.is_right("proof", mac) == (mac.lower() == PROOF_OF_TWO)
    assert handshake.is_right("proof", PROOF_OF_TWO.upper())


# ---- a server that dials proves its name ----


@pytest.mark.parametrize("listed", [TWO, UNDIALLED])
def test_a_name_with_a_secret_is_configured_while_its_server_is_away(listed: PeerConfig) -> None:
    with World(settings=ONE, listed=[listed]) as world:
        assert [world.federation.servers.is_unlisted(name) for name in ("two", "three")] == [False, True]


@pytest.mark.parametrize("listed", [TWO, UNDIALLED])
def test_a_proven_name_is_configured_from_any_address(listed: PeerConfig) -> None:
    with World(settings=ONE._replace(federation="listed", max_peers=1), listed=[listed]) as world:
        assert len(world.dials) == bool(listed.port)
        peer = world.client(remote_address=("127.0.0.9", 40000))
        assert peer.ask("FEDERATE-OUT two") == [f"FEDERATE-PROVE {ITS_NONCE}"]
        assert not world.federation.peers
        assert peer.ask(f"FEDERATE-PROOF {PROOF_OF_TWO} {OUR_NONCE}") == [
            f"FEDERATE-CONFIRM one {CONFIRMATION_FOR_TWO}",
            "FEDCHANNELS",
        ]
        assert world.federation.peers["two"].configured
        elsewhere = proven(world, "127.0.0.10")
        assert elsewhere.ask("FEDNEW tea") == []
        assert world.client().ask("CHANNELS") == ["RESULT CHANNELS tea:two"]
        assert len(world.federation.peers["two"].links) == 2


def test_a_server_that_has_proven_its_name_is_dialled_at_once() -> None:
    with World(settings=ONE, listed=[TWO]) as world:
        world.dials.pop().failed("Connection refused")
        caller(world)
        assert not world.dials
        proven(world)
        assert [dial.host for dial in world.dials] == ["127.0.0.2"]


WRONG_PROOFS = [
    "FEDERATE-PROOF",
    f"FEDERATE-PROOF {PROOF_OF_TWO}",
    f"FEDERATE-PROOF {OUR_NONCE}",
    f"FEDERATE-PROOF {PROOF_OF_TWO} {OUR_NONCE} {OUR_NONCE}",
    f"FEDERATE-PROOF {OUR_NONCE} {PROOF_OF_TWO}",
    f"FEDERATE-PROOF {PROOF_OF_TWO} {ITS_NONCE}",
    f"FEDERATE-PROOF {PROOF_OF_TWO} {OUR_NONCE[1:]}",
    f"FEDERATE-PROOF {PROOF_OF_TWO} {OUR_NONCE.upper()}",
    f"FEDERATE-PROOF {PROOF_OF_TWO[:-1]} {OUR_NONCE}",
    f"FEDERATE-PROOF {PROOF_OF_TWO}0 {OUR_NONCE}",
    f"FEDERATE-PROOF {PROOF_OF_ONE} {OUR_NONCE}",
    f"FEDERATE-PROOF {CONFIRMATION_FOR_TWO} {OUR_NONCE}",
    f"FEDERATE-PROOF {CONFIRMATION_FOR_ONE} {ITS_NONCE}",
    f"FEDERATE-PROOF \uff41 {OUR_NONCE}",
    f"FEDERATE-PROVE {OUR_NONCE}",
]


@pytest.mark.parametrize("line", WRONG_PROOFS)
def test_a_wrong_proof_closes_the_link(line: str, caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[UNDIALLED]) as world:
        peer = caller(world)
        assert peer.ask(line, proof(ITS_NONCE)) == []
        assert is_closed(peer)
        assert not world.federation.peers
        assert "closing the link with a server (127.0.0.9 port 40000): it " in caplog.text
        assert KEY not in caplog.text
        assert PROOF_OF_TWO not in caplog.text


def test_another_secret_proves_nothing() -> None:
    with World(settings=ONE, listed=[UNDIALLED._replace(secret=Secret(b"another secret..."))]) as world:
        peer = caller(world)
        assert peer.ask(f"FEDERATE-PROOF {PROOF_OF_TWO} {OUR_NONCE}") == []
        assert is_closed(peer)


def test_a_proof_holds_for_its_own_link_alone() -> None:
    """What was said on one link is said again on another, whose nonce is another one."""
    with World(settings=ONE, listed=[UNDIALLED]) as world:
        first, second = caller(world), caller(world)
        assert second.ask(proof(ITS_NONCE)) == []
        assert is_closed(second)
        assert first.ask(proof(ITS_NONCE))[0].startswith("FEDERATE-CONFIRM one ")
        third = caller(world)
        assert third.ask(proof(ITS_NONCE)) == []
        assert is_closed(third)


def test_the_server_s_own_macs_are_of_no_use_to_who_has_no_secret() -> None:
    """Somebody sits where the peer is dialled, and has the server answer the nonce that it has sent on another link."""
    with World(settings=ONE, listed=[TWO]) as world:
        inbound = caller(world)
        dialled = world.dialled()
        (line,) = dialled.ask(f"FEDERATE-PROVE {ITS_NONCE}")
        _verb, mac, nonce = line.split()
        assert inbound.ask(f"FEDERATE-PROOF {mac} {nonce}") == []
        assert is_closed(inbound)
        dialled.send(f"FEDERATE-CONFIRM two {mac}")
        assert is_closed(dialled)
        assert not world.federation.peers


def test_a_proof_for_one_name_is_none_for_another() -> None:
    three = PeerConfig("127.0.0.3", 0, "three", SECRET)
    with World(settings=ONE, listed=[UNDIALLED, three]) as world:
        peer = caller(world, "three")
        assert peer.ask(proof(ITS_NONCE)) == []
        assert is_closed(peer)


def test_until_it_is_proven_a_link_runs_no_other_line(caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[UNDIALLED]) as world:
        alice = world.user("alice", "tea")
        peer = caller(world)
        lines = (
            "FEDERATE-OUT two", "FEDERATE-OUT three", "FEDERATE-OUT", "FEDERATE-CONFIRM two", "FEDCHANNELS a, b",
            "FEDNEW c", "FEDJOIN bob@two tea", "FEDSAY bob@two tea hi", "FEDMSG bob@two alice hi",
            "FEDRECV alice bob@two tea hi", "FEDRESULT alice KICKED tea", "FEDLEAVE bob@two tea",
        )  # fmt: skip
        assert peer.ask(*lines) == []
        assert not world.federation.peers
        assert alice.ask("CHANNELS", "USERS tea") == ["RESULT CHANNELS tea", "RESULT USERS tea alice"]
        assert peer.ask(proof(ITS_NONCE))[1:] == ["FEDCHANNELS tea"]
        assert alice.ask("CHANNELS") == ["RESULT CHANNELS tea"]


def test_who_proves_nothing_is_closed_in_time(caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[UNDIALLED]) as world:
        at_any_port, at_port_for_links = caller(world), world.caller()
        at_port_for_links.send("FEDERATE-OUT two")
        up = proven(world)
        world.timers.let_pass(ONE.federation_seconds)
        assert is_closed(at_any_port)
        assert is_closed(at_port_for_links)
        assert not is_closed(up)
        assert "it has sent no FEDERATE-PROOF within 10 seconds" in caplog.text


def test_a_second_proof_closes_the_link() -> None:
    with World(settings=ONE, listed=[UNDIALLED]) as world:
        for line in (proof(ITS_NONCE), f"FEDERATE-PROVE {OUR_NONCE}"):
            peer = proven(world)
            peer.send(line)
            assert is_closed(peer)
    with World(settings=ONE, listed=[TWO]) as world:
        peer = asked_for_proof(world)
        peer.ask(f"FEDERATE-CONFIRM two {CONFIRMATION_FOR_ONE}")
        peer.send(f"FEDERATE-PROVE {OUR_NONCE}")
        assert is_closed(peer)


@pytest.mark.parametrize("line", ["FEDERATE-PROVE", f"FEDERATE-PROVE {OUR_NONCE}", "FEDERATE-PROOF a b"])
def test_words_of_a_proof_close_a_link_where_there_is_no_secret(line: str, caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, "two")]) as world:
        dialled, confirmed = world.dialled(), world.peer("two", "127.0.0.2")
        for peer in (dialled, confirmed):
            assert peer.ask(line) == []
            assert is_closed(peer)
        assert "closing the link with two (127.0.0.2 port 40000): it " in caplog.text


# ---- and nothing else gets it that name ----


def test_an_address_proves_nothing() -> None:
    """Somebody at the near end of the tunnel that leads to the peer."""
    with World(settings=ONE, listed=[TWO]) as world:
        nameless, named = world.peer("", "127.0.0.2"), world.peer("three", "127.0.0.2")
        assert [*world.federation.peers] == ["127.0.0.2", "three"]
        assert not any(peer.configured for peer in world.federation.peers.values())
        world.user("alice", "tea")
        for peer in (nameless, named):
            peer.send("FEDJOIN bob@two tea")
            assert is_closed(peer)
    with World(settings=ONE._replace(federation="listed"), listed=[TWO]) as world:
        for name in ("", "three"):
            peer = world.client(remote_address=("127.0.0.2", 40000))
            peer.send(f"FEDERATE-OUT {name}")
            assert is_closed(peer)


def test_another_line_of_the_config_does_not_lead_to_the_name() -> None:
    for listed in (TWO, UNDIALLED):
        with World(settings=ONE, listed=[PeerConfig("127.0.0.3", 5051, None), listed]) as world:
            peer = world.dialled()
            peer.send("FEDERATE-CONFIRM two")
            assert is_closed(peer)


def test_a_name_that_looks_like_an_address_is_no_address() -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.3", 0, "127.0.0.2", SECRET)]) as world:
        peer = world.client(remote_address=("127.0.0.2", 40000))
        peer.send("FEDERATE-OUT")
        assert is_closed(peer)
        assert not is_closed(caller(world, "127.0.0.2"))


def test_each_of_two_links_is_proven_by_itself() -> None:
    with World(settings=ONE, listed=[TWO]) as world:
        dialled = asked_for_proof(world)
        dialled.ask(f"FEDERATE-CONFIRM two {CONFIRMATION_FOR_ONE}")
        second = caller(world, address="127.0.0.2")
        assert second.ask("FEDNEW tea") == []
        second.send("FEDERATE-PROOF a b")
        assert is_closed(second)
        (peer,) = world.federation.peers.values()
        assert len(peer.links) == 1
        assert not peer.channels


# ---- a server that is dialled proves its name ----


def test_the_server_proves_its_own_name_and_has_the_other_prove_its_own() -> None:
    with World(settings=ONE, listed=[TWO]) as world:
        peer = asked_for_proof(world)
        assert not world.federation.peers
        assert peer.ask(f"FEDERATE-CONFIRM two {CONFIRMATION_FOR_ONE}") == ["FEDCHANNELS"]
        assert world.federation.peers["two"].configured


@pytest.mark.parametrize(
    "line",
    [
        "FEDERATE-CONFIRM", "FEDERATE-CONFIRM two", f"FEDERATE-CONFIRM {CONFIRMATION_FOR_ONE}",
        f"FEDERATE-CONFIRM two {PROOF_OF_ONE}", f"FEDERATE-CONFIRM two {CONFIRMATION_FOR_TWO}",
        f"FEDERATE-CONFIRM three {CONFIRMATION_FOR_ONE}", f"FEDERATE-CONFIRM two {CONFIRMATION_FOR_ONE} more",
        f"FEDERATE-CONFIRM {CONFIRMATION_FOR_ONE} two", f"FEDERATE-PROVE {OUR_NONCE}", "FEDERATE-PROVE",
        f"FEDERATE-PROOF {PROOF_OF_ONE} {ITS_NONCE}",
    ],
)  # fmt: skip
def test_who_does_not_confirm_with_the_right_mac_is_closed(line: str, caplog: pytest.LogCaptureFixture) -> None:
    with World(settings=ONE, listed=[TWO]) as world:
        peer = asked_for_proof(world)
        assert peer.ask(line, f"FEDERATE-CONFIRM two {CONFIRMATION_FOR_ONE}") == []
        assert is_closed(peer)
        assert not world.federation.peers
        assert "no link with 127.0.0.2 port 5051 (two): it " in caplog.text
        assert KEY not in caplog.text


@pytest.mark.parametrize("line", ["FEDERATE-CONFIRM two", f"FEDERATE-CONFIRM two {CONFIRMATION_FOR_ONE}"])
def test_who_confirms_without_asking_for_a_proof_is_closed(line: str) -> None:
    with World(settings=ONE, listed=[TWO]) as world:
        peer = world.dialled()
        assert peer.ask(line) == []
        assert is_closed(peer)


@pytest.mark.parametrize("nonce", ["", "f" * 31, "g" * 32, f"{OUR_NONCE} {OUR_NONCE}", "f" * 8000])
def test_what_is_no_nonce_is_not_answered(nonce: str) -> None:
    with World(settings=ONE, listed=[TWO]) as world:
        peer = world.dialled()
        assert peer.ask(f"FEDERATE-PROVE {nonce}") == []
        assert is_closed(peer)


def test_without_a_secret_nothing_is_said_of_proofs() -> None:
    with World(settings=ONE, listed=[PeerConfig("127.0.0.2", 5051, "two")]) as world:
        peer = world.dialled()
        assert peer.ask("FEDERATE-CONFIRM two") == ["FEDCHANNELS"]
        accepted = world.client(remote_address=("127.0.0.2", 40000))
        assert accepted.ask("FEDERATE-OUT two") == ["FEDERATE-CONFIRM one", "FEDCHANNELS"]


# ---- whatever is said ----

HANDSHAKE_LINES = [
    "FEDERATE-OUT two", "FEDERATE-OUT", "FEDERATE-OUT three", "FEDERATE-CONFIRM two", "FEDERATE-CONFIRM",
    f"FEDERATE-CONFIRM two {CONFIRMATION_FOR_ONE}", f"FEDERATE-CONFIRM two {CONFIRMATION_FOR_TWO}",
    f"FEDERATE-CONFIRM one {CONFIRMATION_FOR_TWO}", f"FEDERATE-CONFIRM two {PROOF_OF_TWO}",
    "FEDJOIN bob@two tea", "FEDJOIN bob tea", "FEDNEW garden", "FEDMSG bob@two alice hi",
    f"FEDERATE-PROVE {ITS_NONCE}", f"FEDERATE-PROVE {OUR_NONCE}", f"FEDERATE-PROVE {2:032x}", "FEDERATE-PROVE",
    *WRONG_PROOFS,
]  # fmt: skip


@EXAMPLES
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(HANDSHAKE_LINES)), max_size=25),
    st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), max_size=3),
)
def test_no_line_but_the_right_proof_gets_a_name(lines: Sequence[tuple[int, str]], guesses: Sequence[str]) -> None:
    """An attacker without the secret plays two links that were dialled and two that dial, from the peer's address.

    It replays whatever the server sends wherever that could fit.
    """
    with World(settings=ONE, listed=[TWO, PeerConfig("127.0.0.2", 5052, None)]) as world:
        world.user("alice", "tea")
        links = [world.dialled(), world.dialled()]
        links += [world.caller(("127.0.0.2", 40000)), world.client(remote_address=("127.0.0.2", 40001))]
        heard = [f"FEDERATE-PROOF {guess} {OUR_NONCE}" for guess in guesses]
        for number, line in lines:
            for said in (line, *heard[-4:]):
                for answer in links[number].ask(said) if not links[number].transport.refused else ():
                    verb, *words = answer.split()
                    if verb == "FEDERATE-PROVE":
                        heard.append(answer)
                    elif verb == "FEDERATE-PROOF":
                        heard += [answer, f"FEDERATE-CONFIRM two {words[0]}"]
            assert "two" not in world.federation.peers
        assert not world.remote_members()


@EXAMPLES
@given(
    st.lists(
        st.sampled_from([line for line in HANDSHAKE_LINES if "PRO" not in line and " bob" not in line]), max_size=6
    ),
    st.sampled_from(["127.0.0.2", "127.0.0.9"]),
)
def test_the_right_proof_gets_it_whatever_was_said_before(lines: Sequence[str], address: str) -> None:
    with World(settings=ONE, listed=[UNDIALLED]) as world:
        peer = caller(world, address=address)
        assert peer.ask(*lines) == []
        assert peer.ask(proof(ITS_NONCE))[0] == f"FEDERATE-CONFIRM one {CONFIRMATION_FOR_TWO}"
        assert [*world.federation.peers] == ["two"]


@pytest.fixture(autouse=True)
def all_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Also what would be left out of a log, so that the secret is looked for there, too."""
    caplog.set_level(logging.DEBUG)
