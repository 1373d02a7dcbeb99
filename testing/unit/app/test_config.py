"""config.py: the settings and their file."""

from __future__ import annotations

import errno
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import decode_content, read_content
from app.consistency import BindAddress
from app.directives import DIRECTIVES, PEER, ConfigError, field_of
from app.options import parse_command_line, read_options
from net.listener import bound_socket
from settings import EngineAddress, HostedChannel, Listen, PeerConfig, Settings
from support.configs import errors_of, parse_config
from support.examples import EXAMPLES


def refusal(text: str) -> str:
    """What a config is refused for."""
    message = errors_of(text)[0]
    assert "\n" not in message
    return message


def read_config(path: Path) -> Settings:
    """The settings of a file."""
    return parse_config(decode_content(read_content(str(path)), str(path)), str(path))


def directive_of(line: str) -> str:
    """The directive of a line: one that begins with a place has none but that."""
    word = line.split()[0]
    return PEER if ":" in word else word


RANGES = {
    name: (int(match[1]), int(match[2]))
    for name, directive in DIRECTIVES.items()
    if (match := re.fullmatch(r"a whole number from (\d+) to (\d+)", directive.expects))
}

GOOD: list[tuple[str, Any]] = [
    *[(f"{name} {number}", number) for name, (least, most) in RANGES.items() for number in (least, least + 1, most)],
    ("address 127.0.0.1", "127.0.0.1"),
    ("address ::1", "::1"),
    ("metrics 9464", Listen("127.0.0.1", 9464, "metrics")),
    ("metrics 0.0.0.0:0", Listen("0.0.0.0", 0, "metrics")),
    ("metrics [::1]:65535", Listen("::1", 65535, "metrics")),
    ("listen 5050 auto", (Listen(None, 5050, "auto"),)),
    ("listen 0 hello", (Listen(None, 0, "hello"),)),
    ("listen 127.0.0.1:65535 result", (Listen("127.0.0.1", 65535, "result"),)),
    ("listen [0:0::1]:5050 hello", (Listen("::1", 5050, "hello"),)),
    ("address 0:0:0:0:0:0:0:1", "::1"),
    ("max-address-connections 20", 20),
    ("connection-rate 60", 60),
    ("max-account-clients 3", 3),
    ("line-burst 1", 1),
    ("line-rate 0", 0),
    ("max-login-failures 10", 10),
    ("max-account-failures 5", 5),
    ("exempt none", ()),
    ("exempt links", ("links",)),
    ("exempt 192.0.2.0/24 loopback 2001:db8::1", ("loopback", "192.0.2.0/24", "2001:db8::1/128")),
    ("hangup end", "end"),
    ("hangup reload", "reload"),
    ("log-level debug", "debug"),
    ("log-level error", "error"),
    ("log-format json", "json"),
    ("web-host chat.example WWW.Chat.Example", ("chat.example", "www.chat.example")),
    ("web-origin https://Other.example http://[::1]:8080", ("https://other.example", "http://[::1]:8080")),
    ("web-proxy 127.0.0.1 10.0.0.0/8 fd00::/8", ("127.0.0.1/32", "10.0.0.0/8", "fd00::/8")),
    ("web-title The garden, at night", "The garden, at night"),
    ("database chat.db", "chat.db"),
    ("database :memory:", ":memory:"),
    ("database /var/lib/my chat.db", "/var/lib/my chat.db"),
    ("control /run/chat/my control", "/run/chat/my control"),
    ("control none", "none"),
    ("registration open", "open"),
    ("registration invite", "invite"),
    ("registration closed", "closed"),
    ("operator root", ("root",)),
    ("operator Cafe\u0301", ("Caf\u00e9",)),
    ("channels open", "open"),
    ("channels members", "members"),
    ("channels-reply all", "all"),
    *[(f"irc-guests {choice}", choice) for choice in ("on", "off")],
    *[(f"guest-history {choice}", choice) for choice in ("on", "off")],
    *[(f"irc-create {choice}", choice) for choice in ("all", "accounts", "nobody")],
    ("listen 6667 irc", (Listen(None, 6667, "irc"),)),
    ("mailbox-ids secret", "secret"),
    ("mailbox-ids classic", "classic"),
    ("listen 6666 mailbox", (Listen(None, 6666, "mailbox"),)),
    ("channel lobby 6001 5", None),
    ("channels-reply joined", "joined"),
    ("hostname server1.com", "server1.com"),
    ("hostname A-1." + "x" * 60, "A-1." + "x" * 60),
    *[(f"federation {policy}", policy) for policy in ("local", "open", "listed", "off")],
    ("listen 6667 federation", (Listen(None, 6667, "federation"),)),
    ("192.168.1.1:4400", (PeerConfig("192.168.1.1", 4400, None),)),
    ("127.0.0.1:65535 server2.com", (PeerConfig("127.0.0.1", 65535, "server2.com"),)),
    ("[0:0::1]:1 server2.com # far away", (PeerConfig("::1", 1, "server2.com"),)),
    ("chat.example.org:5050", (PeerConfig("chat.example.org", 5050, None),)),
    ("listen [::1]:6697 auto tls", (Listen("::1", 6697, "auto", tls=True),)),
    ("127.0.0.1:5050 tls", (PeerConfig("127.0.0.1", 5050, None, tls=True),)),
    ("a.example:5050 b.example tls # far away", (PeerConfig("a.example", 5050, "b.example", tls=True),)),
    ("127.0.0.1:5050 tls tls", (PeerConfig("127.0.0.1", 5050, "tls", tls=True),)),
    ("tls-certificate my own.pem", "my own.pem"),
    ("tls-key key.pem", "key.pem"),
    ("tls-ca ca.pem", "ca.pem"),
    ("node c1", "c1"),
    ("node A-1" + "x" * 61, "A-1" + "x" * 61),
    ("cluster two", "two"),
    ("engine 127.0.0.1:4222", (EngineAddress("127.0.0.1", 4222),)),
    ("engine [::1]:4222 tls", (EngineAddress("::1", 4222, tls=True),)),
    *[
        (f"engine {' '.join(f'[::{number}]:{number}' for number in range(1, count + 1))}", tuple(
            EngineAddress(f"::{number}", number) for number in range(1, count + 1)
        ))
        for count in (3, 5)
    ],
]  # fmt: skip

NO_NUMBERS = ["x", "-1", "+1", "1.5", "0x10", "1_0", "1 2", "\u0663", "\u00b2", "10000000000", "9" * 5000]

BAD = [
    *[(name, "") for name in DIRECTIVES if name != PEER],
    *[(name, word) for name in RANGES for word in NO_NUMBERS],
    *[(name, str(least - 1)) for name, (least, _most) in RANGES.items()],
    *[(name, str(most + 1)) for name, (_least, most) in RANGES.items()],
    # Zeros in front make no number smaller than it is.
    *[(name, "0" * zeros + str(most + 1)) for name, (_least, most) in RANGES.items() for zeros in (9, 15, 18, 30)],
    ("address", "localhost"),
    ("address", "127.0.0.1:5050"),
    ("address", "300.0.0.1"),
    ("address", "127.0.0.1 ::1"),
    ("address", "1"),
    *[
        ("listen", f"{place} auto")
        for place in ("x", "-1", "65536", "localhost:1", "1.2.3:1", "127.0.0.1:", ":1", "::1:1")
    ],
    *[
        ("listen", f"{place} auto")
        for place in ("::1", "[::1]", "[]:1", "[[::1]]:1", "[::1:1", "127.0.0.1", "127.0.0.1:65536")
    ],
    *[("listen", words) for words in ("5050", "auto", "5050 rooms", "5050 AUTO", "5050 auto hello", "auto 5050")],
    *[("metrics", word) for word in ("x", ":9464", "localhost:9464", "::1:9464", "65536", "-1", "9464 9465")],
    ("channels", "closed"),
    ("channels-reply", "none"),
    ("irc-guests", "yes"),
    ("guest-history", "all"),
    ("motd", "a\0b"),
    ("irc-create", "guests"),
    ("web-host", "a/b"),
    ("web-host", "chat.example:80"),
    ("web-origin", "chat.example"),
    ("web-origin", "https://chat.example/"),
    ("web-origin", "ftp://chat.example"),
    ("web-origin", "https://chat.example null"),
    ("web-origin", "https://chat.example:99999"),
    ("web-proxy", "proxy.example"),
    ("web-proxy", "10.0.0.1/8"),
    ("web-title", "x" * 101),
    ("web-title", "a\0b"),
    ("exempt", ""),
    ("exempt", "none loopback"),
    ("exempt", "localhost"),
    ("exempt", "192.0.2.1/24"),
    ("hangup", "ignore"),
    ("hangup", "END"),
    ("log-level", "WARNING"),
    ("log-level", "critical"),
    ("log-format", "xml"),
    ("mailbox-ids", "guess"),
    ("channel", "lobby 6001"),
    ("channels-reply", "ALL"),
    ("channels-reply", "all joined"),
    *[(name, "a\0b") for name in ("database", "control", "tls-certificate", "tls-key", "tls-ca")],
    *[("listen", words) for words in ("5050 tls", "5050 auto TLS", "5050 auto tls tls", "5050 tls auto")],
    ("registration", "off"),
    ("registration", "open closed"),
    ("operator", ""),
    ("operator", "a b"),
    ("operator", "a@b"),
    *[("hostname", word) for word in ("a_b", "a b", "a:b", "a@b", "\u4e2d", "x" * 65)],
    *[("federation", word) for word in ("yes", "OPEN", "open listed")],
    *[(name, word) for name in ("node", "cluster") for word in ("a b", "a.b", "a>", "*", "\u4e2d", "x" * 65)],
    ("engine-password-file", "a\0b"),
    ("engine", "127.0.0.1:1 127.0.0.1:2"),
    *[("engine", word) for word in ("4222", "tls", ":4222", "localhost:4222", "127.0.0.1", "127.0.0.1:0", "::1:4222")],
]

BAD_PEERS = [
    *["127.0.0.1:", "127.0.0.1:x", "127.0.0.1:0", "127.0.0.1:65536", ":5050", "::1:5050", "[::1]", "[x]:5050"],
    *["256.0.0.1:5050", "1.2.3:5050", "1:5050", "a_b:5050", "a,b:5050", "127.0.0.1:5050 a_b", "127.0.0.1:5050 a b"],
    *["192.168.1.1:4400192.168.1.2:4400", "hostname: server1.com"],
]

ATTIC, CELLAR = "channel attic 5052 5", "channel cellar 5053 9"
CHANNEL_PORT = "the port of a channel is a whole number from 1 to 65535, not "
CHANNEL_CAPACITY = "the capacity of a channel is a whole number from 5 to 1000000000, not "
NO_CHANNEL_NAME = "cannot be a channel with a port: it begins with a digit, or is no name"

BAD_CHANNELS = [
    (["channel lobby 5051 5"], ":1: channel stands 1 times; it needs 3 or more, or none"),
    (["channel lobby 5051 5", ATTIC], ":2: channel stands 2 times; it needs 3 or more, or none"),
    ([ATTIC, CELLAR, "channel"], ":3: channel needs <name> <port> <capacity> [tls], not nothing"),
    ([ATTIC, CELLAR, "channel lobby 5051"], ":3: channel needs <name> <port> <capacity> [tls], not 'lobby 5051'"),
    (
        [ATTIC, CELLAR, "channel lobby 5051 5 5"],
        ":3: channel needs <name> <port> <capacity> [tls], not 'lobby 5051 5 5'",
    ),
    ([ATTIC, CELLAR, "channel lobby 5051 many"], f":3: {CHANNEL_CAPACITY}'many'"),
    ([ATTIC, CELLAR, "channel lobby 5051 -5"], f":3: {CHANNEL_CAPACITY}'-5'"),
    ([ATTIC, CELLAR, "channel lobby 5051 4"], f":3: {CHANNEL_CAPACITY}'4'"),
    ([ATTIC, CELLAR, "channel lobby tea 5"], f":3: {CHANNEL_PORT}'tea'"),
    ([ATTIC, CELLAR, "channel lobby 0 5"], f":3: {CHANNEL_PORT}'0'"),
    ([ATTIC, CELLAR, "channel lobby 65536 5"], f":3: {CHANNEL_PORT}'65536'"),
    ([ATTIC, CELLAR, "channel 1lobby 5051 5"], f":3: '1lobby' {NO_CHANNEL_NAME}"),
    ([ATTIC, CELLAR, "channel @lobby 5051 5"], f":3: '@lobby' {NO_CHANNEL_NAME}"),
    ([ATTIC, CELLAR, "channel lobby 5052 5"], ":3: port 5052 stands in line 1 already; remove one of them"),
    (["listen 5052 auto", CELLAR, ATTIC], ":3: port 5052 stands in line 1 already; remove one of them"),
    ([ATTIC, "channel th\u00e9 5051 5", "channel the\u0301 5053 9"], ":3: channel th\u00e9 stands in line 2 already"),
    ([ATTIC, CELLAR, "chanel lobby 5051 5"], ":3: unknown directive 'chanel'"),
]


@pytest.mark.parametrize(("line", "value"), GOOD)
def test_a_directive_sets_its_setting_and_no_other(line: str, value: Any) -> None:
    field = field_of(directive_of(line))
    if line.startswith("channel "):
        line = f"{line}\nchannel attic 6002 9\nchannel \u674e 6003 5"
        value = (
            HostedChannel("lobby", 6001, 5), HostedChannel("attic", 6002, 9), HostedChannel("\u674e", 6003, 5),
        )  # fmt: skip
    settings = parse_config(f"# a config\n\n{line}\n", "my.conf")
    assert getattr(settings, field) == value
    assert settings == Settings()._replace(**{field: value})


@pytest.mark.parametrize(("name", "words"), BAD, ids=lambda words: words[:20] or "nothing")
def test_a_wrong_value_is_refused_with_the_place_and_what_would_be_right(name: str, words: str) -> None:
    message = refusal(f"# a config\n\n{name} {words}\n")
    assert message.startswith(f"my.conf:3: {name} needs {DIRECTIVES[name].expects}, not ")
    assert message.endswith("nothing" if not words else repr(words))


@pytest.mark.parametrize("line", BAD_PEERS)
def test_a_place_that_is_none_is_refused(line: str) -> None:
    assert refusal(f"\n{line}\n") == f"my.conf:2: {PEER} needs {DIRECTIVES[PEER].expects}, not {line!r}"


@pytest.mark.parametrize(("lines", "reason"), BAD_CHANNELS, ids=str)
def test_channels_that_cannot_be_are_refused(lines: list[str], reason: str) -> None:
    """C50, C26, and C32 for a name that stands twice."""
    assert refusal("\n".join(lines)).startswith(f"my.conf{reason}")


def test_servers_to_federate_with() -> None:
    text = "192.168.1.1:4400\n168.172.3.23:2344 server2.com\n192.168.1.1:4401"
    assert parse_config(text, "").peers == (
        PeerConfig("192.168.1.1", 4400, None),
        PeerConfig("168.172.3.23", 2344, "server2.com"),
        PeerConfig("192.168.1.1", 4401, None),
    )
    assert refusal("127.0.0.1:1\n127.0.0.1:2\n127.0.0.1:1 a") == (
        "my.conf:3: server 127.0.0.1:1 stands in line 1 already; remove one of them"
    )
    assert refusal("127.0.0.1:1 a\n127.0.0.1:2 a") == (
        "my.conf:2: hostname a stands in line 1 already; remove one of them"
    )
    assert "hostname a is this server's own" in refusal("127.0.0.1:1 a\nhostname a")
    assert "federation is off" in refusal("listen 5050 federation\nfederation off")


def test_servers_that_prove_their_names(tmp_path: Path) -> None:
    secret, short = tmp_path / "a secret", tmp_path / "short"
    secret.write_text("0123456789abcdef\n")
    short.write_text("0123456789abcde\n")
    head = "hostname me\n"
    (listed,) = parse_config(f"{head}127.0.0.1:5051 two secret={secret} # it calls us\n", "").peers
    assert listed[:3] == ("127.0.0.1", 5051, "two")
    assert listed.secret is not None
    undialled = parse_config("".join(f"127.0.0.1:0 {name} secret={secret}\n" for name in "ab") + head, "").peers
    assert [server.name for server in undialled] == ["a", "b"]
    expected = f"{PEER} needs {DIRECTIVES[PEER].expects}, not "
    for line, reason in {
        "127.0.0.1:5051 two secret=missing": "cannot read the secret missing: No such file or directory",
        f"127.0.0.1:5051 two secret={tmp_path}": f"cannot read the secret {tmp_path}: Is a directory",
        f"127.0.0.1:5051 two secret={short}": f"the secret {short} must have 16 to 65536 bytes",
        f"127.0.0.1:5051 secret={secret}": "secret= needs the name that it proves in front of it",
        f"127.0.0.1:0 secret={secret}": "secret= needs the name that it proves in front of it",
        "127.0.0.1:5051 two secret=": expected,
        "127.0.0.1:5051 two secret= x": "cannot read the secret x: ",
        "127.0.0.1:5051 two secret": expected,
        f"127.0.0.1:5051 secret={secret} two": "secret= needs the name that it proves in front of it",
        f"127.0.0.1:5051 two three secret={secret}": expected,
        f"127.0.0.1:5051 two Secret={secret}": expected,
        f"127.0.0.1:65536 two secret={secret}": expected,
        "127.0.0.1:0 two": expected,
        f"127.0.0.1:5051 two secret={secret}\0": expected,
    }.items():
        assert refusal(f"{head}{line}\n").startswith(f"my.conf:2: {reason}")
    (with_tls,) = parse_config(f"{head}127.0.0.1:5051 two secret={secret} tls", "").peers
    assert with_tls.secret is not None and with_tls.tls
    assert refusal(f"127.0.0.1:5051 two secret={secret}") == (
        "my.conf:1: secret= needs a name of this server's own, too; add hostname <name>"
    )
    assert "hostname a stands in line 2" in refusal(f"{head}127.0.0.1:1 a\n127.0.0.1:0 a secret={secret}")


def test_every_directive_is_tried() -> None:
    assert {directive_of(line) for line, _value in GOOD} == set(DIRECTIVES) - {"engine-password-file", "motd"}
    assert {name for name, words in BAD if words} == set(DIRECTIVES) - {PEER}


def test_directives_and_settings_are_the_same() -> None:
    assert [field_of(name) for name in DIRECTIVES] == list(Settings._fields)
    for directive in DIRECTIVES.values():
        assert directive.help
        assert directive.expects


def test_the_defaults_are_values_that_could_be_given() -> None:
    for name, value in Settings()._asdict().items():
        if value not in (None, ()):
            words = " ".join(map(str, value)) if isinstance(value, tuple) else value
            assert getattr(parse_config(f"{name.replace('_', '-')} {words}", ""), name) == value


def test_blanks_comments_and_empty_lines() -> None:
    text = "\n  \t\n# comment\n   # max-clients 1\n#max-clients 2\n\t bcrypt-cost \t 5  \r\nmax-mail 7"
    assert parse_config(text, "") == Settings(bcrypt_cost=5, max_mail=7)
    assert parse_config("", "") == Settings()
    assert parse_config("max-mail 7 # not 8\nbcrypt-cost 5 #9\ndatabase a#b # c", "") == Settings(
        bcrypt_cost=5, max_mail=7, database="a#b"
    )


def test_an_unknown_directive_is_refused_and_the_known_ones_are_named() -> None:
    message = refusal("bcrypt-cost 4\nmax-cleints 5\n")
    assert message.startswith("my.conf:2: unknown directive 'max-cleints'")
    for name in DIRECTIVES:
        assert name in message
    for name in ("bcrypt_cost", "Bcrypt-cost", "BCRYPT-COST"):
        assert "unknown directive" in refusal(f"{name} 4")


def test_a_directive_stands_once() -> None:
    message = refusal("bcrypt-cost 4\n\nmax-mail 1\nbcrypt-cost 4\n")
    assert message.startswith("my.conf:4: bcrypt-cost ")
    assert "line 1" in message


def test_a_directive_that_may_stand_more_than_once() -> None:
    text = "listen 5050 auto\nlisten 127.0.0.1:5050 auto\nlisten 5051 hello"
    assert parse_config(text, "").listen == (
        Listen(None, 5050, "auto"),
        Listen("127.0.0.1", 5050, "auto"),
        Listen(None, 5051, "hello"),
    )
    assert refusal("listen 5050 auto\nlisten  5050 hello") == (
        "my.conf:2: port 5050 stands in line 1 already; remove one of them"
    )
    assert refusal("listen 5050 auto\nlisten 5050 auto") == (
        "my.conf:2: port 5050 stands in line 1 already; remove one of them"
    )


def test_every_mistake_is_found_and_the_first_is_told() -> None:
    text = "max-mail x\nwhat\nmax-mail 1\nmax-mail 2\nhostname a\n127.0.0.1:1 a\nchannel lobby 1 5\nlog-bytes 70000\n"
    assert [":".join(error.split(":")[:2]) for error in errors_of(text)] == [
        *("my.conf:1", "my.conf:2", "my.conf:4"),
        *("my.conf:5", "my.conf:7", "my.conf:8"),
    ]
    assert refusal(text) == errors_of(text)[0]


def test_a_rule_is_told_with_a_line_that_it_concerns() -> None:
    (error,) = errors_of("\ntls-key key.pem")
    assert error.startswith("my.conf:2: tls-key is of no use without")


def test_what_only_follows_from_a_wrong_line_is_not_told() -> None:
    assert len(errors_of("channel lobby x 5\nchannel attic 1 5\nchannel cellar 2 5")) == 1
    assert len(errors_of("node a b\nlog-bytes 70000")) == 1


def test_a_line_ends_with_a_newline_and_nothing_else() -> None:
    """An editor counts so, and what stands in a comment stays there."""
    for character in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029":
        assert parse_config(f"# a comment{character}what\nbcrypt-cost 4\n", "").bcrypt_cost == 4
        assert refusal(f"# a comment{character}\nwhat\n").startswith("my.conf:2: ")


def test_reading_a_file(tmp_path: Path) -> None:
    path = tmp_path / "my.conf"
    path.write_bytes("# \u00fc\r\nbcrypt-cost 4\r\ndatabase \u4f60.db".encode())
    assert read_config(path) == Settings(bcrypt_cost=4, database="\u4f60.db")
    path.write_text("\nbcrypt-cost x")
    with pytest.raises(ConfigError, match=r"my\.conf:2: bcrypt-cost needs"):
        read_config(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"# \xfc\n")
    for name, reason in (("missing", "No such file"), (".", "directory"), ("latin", "UTF-8")):
        with pytest.raises(ConfigError) as caught:
            read_config(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


@EXAMPLES
@given(st.lists(st.one_of(st.text(max_size=30), st.sampled_from([line for line, _value in GOOD])), max_size=4))
def test_any_text_gives_settings_or_one_line_that_says_where(lines: list[str]) -> None:
    try:
        settings = parse_config("\n".join(lines), "my.conf")
    except ConfigError as error:
        assert str(error).startswith("my.conf:")
        assert len(str(error).splitlines()) == 1
    else:
        assert isinstance(settings, Settings)


def test_an_engine_stands_once() -> None:
    words = "127.0.0.1:1 127.0.0.1:2 127.0.0.1:1"
    assert refusal(f"engine {words}") == "my.conf:1: engine has an address twice; each stands for a copy of its own"


def test_the_password_of_the_engines_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a password"
    path.write_text("open sesame\n")
    assert parse_config(f"engine-password-file {path}", "").engine_password_file == "open sesame"


@pytest.mark.parametrize("content", ["", "\n", "two\nlines", "x" * 1025, "\t", "$2a$10$x", b"\xff"])
def test_a_password_that_no_engine_could_use_is_refused(content: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert f" the password {path}" in refusal(f"engine-password-file {path}")


def test_the_message_of_the_day_is_read_with_the_config(tmp_path: Path) -> None:
    path = tmp_path / "motd"
    path.write_bytes(b"\xef\xbb\xbfwelcome\r\n\nbe kind\n")
    assert parse_config(f"motd {path}", "").motd == ("welcome", "", "be kind")
    path.write_bytes(b"\xff")
    assert refusal(f"motd {path}") == f"my.conf:1: the message of the day {path} is not UTF-8"
    path.write_bytes(b"x" * 65537)
    assert refusal(f"motd {path}") == f"my.conf:1: the message of the day {path} has more than 65536 bytes"
    assert refusal("motd nowhere") == "my.conf:1: cannot read the message of the day nowhere: No such file or directory"


def test_a_password_file_that_is_missing_is_named() -> None:
    assert refusal("engine-password-file nowhere") == (
        "my.conf:1: cannot read the password nowhere: No such file or directory"
    )


NODE = "node c1\nlisten 6666 mailbox\n"


@pytest.mark.parametrize(
    ("config", "words", "reason"),
    [
        (NODE, ["--database", ":memory:"], "its database cannot be :memory:"),
        (f"{NODE}database :memory:", [], "its database cannot be :memory:"),
        (NODE, ["0"], "none can be 0"),
        (f"{NODE}listen 0 hello", [], "none can be 0"),
        ("engine 127.0.0.1:4222", ["5050"], "engine is for a node of a cluster; add node <name>, or remove it"),
        ("cluster x", ["5050"], "cluster is for a node"),
        ("log-bytes 70000", ["5050"], "log-bytes is for a node"),
    ],
)
def test_a_config_that_makes_no_node_is_refused(config: str, words: list[str], reason: str, tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text(config)
    (error,) = read_options(parse_command_line([*words, str(tmp_path / "my.conf")])).errors
    assert reason in error


def test_a_node_has_the_ports_of_its_config(tmp_path: Path) -> None:
    (tmp_path / "my.conf").write_text(NODE)
    settings = read_options(parse_command_line(["5051", str(tmp_path / "my.conf")])).settings
    assert (settings.node, [listen.port for listen in settings.listen]) == ("c1", [5051, 6666])


HALLS = "channel a 6001 5\nchannel b 6002 5\nchannel c 6003 5\n"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("listen 127.0.0.1:5050 auto\nlisten 5050 irc", "2: *:5050 cannot be opened, since 127.0.0.1:5050 is, too"),
        ("listen [::1]:5050 auto\nlisten 5050 irc", "2: *:5050 cannot be opened, since [::1]:5050 is, too"),
        ("address 127.0.0.1\nlisten 5050 auto\nlisten 0.0.0.0:5050 irc", "3: 0.0.0.0:5050 cannot be opened, since"),
        (f"listen 127.0.0.1:6002 auto\n{HALLS}", "1: *:6002 cannot be opened, since 127.0.0.1:6002 is, too"),
        ("listen 5050 auto\nmetrics 5050", "2: 127.0.0.1:5050 cannot be opened, since *:5050 is, too"),
        ("listen 5050 auto\nmetrics [::1]:5050", "2: [::1]:5050 cannot be opened, since *:5050 is, too"),
        (f"listen 5050 auto\n{HALLS}metrics 6003", "5: 127.0.0.1:6003 cannot be opened, since *:6003 is, too"),
        ("listen 127.0.0.1:5050 auto\nmetrics 127.0.0.2:5050", ""),
        ("address 127.0.0.2\nlisten 127.0.0.1:5050 auto\nlisten 5050 auto", ""),
        ("address ::1\nlisten 5050 auto\nmetrics 5050", ""),
        ("listen 0 auto\nlisten 0 hello\nmetrics 0", ""),
    ],
)
def test_a_check_finds_a_port_that_is_wanted_twice(config: str, reason: str, tmp_path: Path) -> None:
    """C52."""
    (tmp_path / "my.conf").write_text(config)
    path = str(tmp_path / "my.conf")
    errors = read_options(parse_command_line([path, "--check-config"])).errors
    assert [error.startswith(f"{path}:{reason}") for error in errors] == ([True] if reason else [])


ADDRESSES = (None, "0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1")


def refuses_both(first: str | None, second: str | None) -> bool:
    """Tell whether the operating system refuses one port at both addresses, whichever port it is.

    Another process may hold a port at one of them, but not each of several.
    """
    for _ in range(5):
        with bound_socket(first, 0) as sock:
            try:
                bound_socket(second, sock.getsockname()[1]).close()
            except OSError as error:
                assert error.errno == errno.EADDRINUSE
            else:
                return False
    return True


@pytest.mark.parametrize("first", ADDRESSES)
def test_the_operating_system_refuses_the_same_ports(first: str | None) -> None:
    """C52: a check that found too much would forbid what works."""
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    for second in ADDRESSES:
        assert refuses_both(first, second) == BindAddress(first, 1).clashes(BindAddress(second, 1)), second
