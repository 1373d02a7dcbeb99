"""The client with --tls: on a terminal, in pipes and in scripts, and whom it does not trust."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.servers import ServerProcess, free_ports
from support.certificates import Authority, Certificate
from support.clients import OnTerminal, Piped


class Ports(NamedTuple):
    """Ports of a server: all but the first speak TLS."""

    plain: int
    auto: int
    mailbox: int
    lobby: int


@contextlib.contextmanager
def serving(directory: Path, certificate: Certificate) -> Iterator[tuple[ServerProcess, Ports]]:
    """Start a server, which logs the beginning of each connection."""
    directory.mkdir(exist_ok=True)
    channels = [
        f"channel {name} {port} 5 tls" for name, port in zip(("lobby", "den", "attic"), free_ports(3), strict=True)
    ]
    lines = [
        "database :memory:",
        "log-level debug",
        *certificate.directives,
        "listen 0 auto tls",
        "listen 0 mailbox tls",
        *channels,
    ]
    with ServerProcess(directory, *lines) as server:
        yield server, Ports(*server.ports[:4])


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory, certificate: Certificate) -> Iterator[Ports]:
    with serving(tmp_path_factory.mktemp("server"), certificate) as (_server, ports):
        yield ports


def piped(stack: contextlib.ExitStack, port: int | str, authority: Authority, *words: str) -> Piped:
    """Start the client in a pipe."""
    return stack.enter_context(contextlib.closing(Piped(port, "--tls", "--ca", authority.path, *words)))


def test_lines_in_a_pipe_are_answered_to_the_last(
    stack: contextlib.ExitStack, ports: Ports, authority: Authority
) -> None:
    """Also a great many, and those that come after the client's half-close."""
    client = piped(stack, ports.auto, authority)
    client.send("REGISTER alice a\nLOGIN alice a\n" + "PING\n" * 5000)
    client.end_input()
    assert client.output.rest() == "RESULT REGISTER 1\nRESULT LOGIN 1\n" + "RESULT PING 1\n" * 5000
    assert (client.status(), client.errors()) == (0, "")


def test_every_dialect_can_be_spoken(stack: contextlib.ExitStack, ports: Ports, authority: Authority) -> None:
    hello = piped(stack, ports.auto, authority, "--dialect", "hello", "--name", "ann")
    hello.send("!who\n!quit\n")
    assert "ann" in hello.output.rest()
    mailbox = piped(stack, ports.mailbox, authority, "--dialect", "mailbox")
    mailbox.send("bye\n")
    assert mailbox.output.rest().startswith("To get started")
    guest = piped(stack, ports.lobby, authority, "--dialect", "rooms", "--name", "zoe")
    guest.output.expect("zoe has joined")
    guest.send("/quit\n")
    assert [client.status() for client in (hello, mailbox, guest)] == [0, 0, 0]


def test_a_terminal_and_a_script(stack: contextlib.ExitStack, ports: Ports, authority: Authority) -> None:
    words = ("--tls", "--ca", authority.path)
    terminal = stack.enter_context(contextlib.closing(OnTerminal(ports.auto, *words)))
    terminal.enter("REGISTER bob secret", "You are registered")
    terminal.enter("/quit", "")
    assert terminal.status() == 0
    os.environ["CROSSTALK_PASSWORD"] = "secret"
    try:
        script = piped(stack, ports.auto, authority, "--user", "bob", "--to", "bob", "hi", "--json")
        assert '"text": "hi"' in script.output.rest()
        assert script.status() == 0
    finally:
        del os.environ["CROSSTALK_PASSWORD"]


@pytest.mark.parametrize(
    ("words", "days", "reason"),
    [
        (
            ["--host", "127.0.0.2"],
            30,
            "the certificate is not accepted: IP address mismatch, certificate is not valid ",
        ),
        ([], -1, "the certificate is not accepted: certificate has expired"),
    ],
)
def test_a_server_that_does_not_prove_its_name_gets_no_word(
    stack: contextlib.ExitStack, tmp_path: Path, authority: Authority, words: list[str], days: int, reason: str
) -> None:
    server, ports = stack.enter_context(serving(tmp_path, authority.issue(days=days)))
    client = piped(stack, ports.auto, authority, *words)
    assert client.errors().startswith(
        f"client.py: cannot connect to 127.0.0.{2 if words else 1}:{ports.auto}: {reason}"
    )
    assert client.status() == 1
    assert not [line for line in server.log if "registered" in line]


def test_what_else_cannot_be(stack: contextlib.ExitStack, ports: Ports, authority: Authority) -> None:
    rows = [
        (ports.auto, ["--tls"], "unable to get local issuer certificate"),
        (ports.plain, ["--tls", "--ca", authority.path], "during the TLS handshake; perhaps the port speaks no TLS"),
        (ports.auto, ["--ca", authority.path], "--ca is for --tls"),
        (ports.auto, ["--tls", "--ca", "missing"], "--ca: cannot read the certificates missing: No such file"),
        (ports.auto, ["--dialect", "hello", "--name", "x"], f"client.py {ports.auto} --host 127.0.0.1 --tls"),
        (ports.auto, ["--dialect", "hello", "--name", "x", "--retry", "9"], f"{ports.auto} --host 127.0.0.1 --tls"),
    ]  # fmt: skip
    clients = [stack.enter_context(contextlib.closing(Piped(port, *words))) for port, words, _reason in rows]
    for client, (_port, _words, reason) in zip(clients, rows, strict=True):
        assert reason in client.errors()
        assert client.status() == 1


@pytest.mark.parametrize("words", [[], ["--stay"], ["--retry", "9"], ["--dialect", "mailbox"]])
def test_a_pipe_without_tls_is_told_how_to_start(stack: contextlib.ExitStack, ports: Ports, words: list[str]) -> None:
    """Also when its input has ended long before the answer, and when it looks for a server anew after a loss."""
    plain = stack.enter_context(contextlib.closing(Piped(ports.auto, *words)))
    plain.send("PING\n")
    plain.end_input()
    assert plain.output.rest() == "This port speaks TLS only: connect with TLS.\n"
    start = f"python3 client.py {ports.auto} --host 127.0.0.1 --tls"
    assert (plain.status(), plain.errors()) == (1, f"client.py: Start the client with: {start}\n")


def test_a_terminal_without_tls_is_told_how_to_start(stack: contextlib.ExitStack, ports: Ports) -> None:
    """It does not dial again and again."""
    terminal = stack.enter_context(contextlib.closing(OnTerminal(ports.auto)))
    terminal.expect("This port speaks TLS only")
    terminal.expect(f"client.py {ports.auto} --host 127.0.0.1 --tls")
    assert terminal.status() == 1


def test_the_next_server_takes_over_if_it_proves_its_name(
    stack: contextlib.ExitStack, tmp_path: Path, authority: Authority, certificate: Certificate
) -> None:
    """The first of three cannot, the second is lost."""
    wrong = stack.enter_context(serving(tmp_path / "one", authority.issue("DNS:other.example")))[1]
    first, second = (stack.enter_context(serving(tmp_path / name, certificate)) for name in ("two", "three"))
    client = piped(stack, f"{wrong.auto},{first[1].auto},{second[1].auto}", authority)
    client.send("PING\n")
    client.output.expect("RESULT PING 1\n")
    first[0].close()
    second[0].wait_for("connection opened")
    client.send("REGISTER ann a\nLOGIN ann a\n")
    client.output.expect("RESULT LOGIN 1\n")


def test_the_settings_file_can_ask_for_it(
    stack: contextlib.ExitStack, tmp_path: Path, ports: Ports, authority: Authority
) -> None:
    place = tmp_path / ".config" / "crosstalk"
    place.mkdir(parents=True)
    Path(tmp_path / "ca.pem").write_bytes(Path(authority.path).read_bytes())
    (place / "client.toml").write_text(
        f'[servers.home]\nport = {ports.auto}\nhost = "127.0.0.1"\ntls = true\nca = "~/ca.pem"\n'
    )
    terminal = stack.enter_context(contextlib.closing(OnTerminal("home", home=tmp_path)))
    terminal.enter("/quit", "")
    assert terminal.status() == 0
