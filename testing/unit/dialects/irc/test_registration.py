"""The registration: the first word, guests, SASL, PASS, nicks, REGISTER (I1 to I13)."""

from __future__ import annotations

import pytest

from dialects.irc import channels, history, live, moderation, modes, monitor, status
from dialects.irc.welcome import SUPPORT
from domain.moderation import MAX_KEY, MAX_MASKS
from domain.modes import MASK_LISTS
from domain.topics import MAX_TOPIC
from support.irc import IrcClient, guest, plain, sasl, user
from support.world import World

WRONG = [":crosstalk 904 zoe :SASL authentication failed"]


@pytest.mark.parametrize("line", ["CAP LS 302", "NICK bob", "USER bob 0 * :Bob", "PASS secret", "AUTHENTICATE PLAIN"])
def test_a_word_in_capitals_chooses_irc(world: World, line: str) -> None:
    """(I1)"""
    chosen, other = world.client(), world.client()
    chosen.send(line)
    assert chosen.session.dialect.name == "irc"
    assert other.ask(line.lower()) == ["RESULT ERROR unknown type"]


@pytest.mark.parametrize("word", ["SERVER", "SERVICE", "PROTOCTL", "CAPAB", "WEBIRC", "PROXY"])
def test_servers_and_proxies_are_refused(world: World, word: str) -> None:
    """At a port for all they are unknown words of `result` (I1)."""
    client = IrcClient(world)
    assert client.ask(f"{word} a b c") == ["ERROR :Closing Link: * (no server links or proxies here)"]
    assert client.client.transport.finished
    assert world.client().ask(f"{word} a b c") == ["RESULT ERROR unknown type"]


def test_lines_that_are_too_long_or_not_utf8_are_answered(world: World) -> None:
    """(I2)"""
    bob = guest(world, "bob")
    assert bob.ask("PING " + "x" * 506) == [":crosstalk 417 bob :Input line was too long"]
    bob.client.send(b"PRIVMSG bob :\xff\r\n")
    assert bob.heard() == [":crosstalk FAIL PRIVMSG INVALID_UTF8 :Your line is not UTF-8"]
    assert bob.codes("PRIVMSG bob :" + "x" * 490) == ["417"], "it would be cut at its receiver"
    assert bob.codes("PING x") == ["PONG"]


def test_a_long_line_is_taken_whatever_max_line_says(world: World) -> None:
    """(I2)"""
    client = world.client()
    client.session.set_link_limits(512, 10**6, "")
    assert [plain(line) for line in client.ask("CAP LIST", "@+a=" + "x" * 4000 + " PING x")] == [
        ":crosstalk CAP * LIST :", ":crosstalk PONG crosstalk :x",
    ]  # fmt: skip


def test_verbs_have_any_case_and_need_their_words(world: World) -> None:
    """(I3)"""
    bob = guest(world, "bob")
    assert bob.ask("ping x extra") == [":crosstalk PONG crosstalk :x"]
    assert bob.ask("WHOIS", "FOO :x") == [
        ":crosstalk 461 bob WHOIS :Not enough parameters", ":crosstalk 421 bob FOO :Unknown command",
    ]  # fmt: skip


def test_before_the_welcome_few_verbs_are_known(world: World) -> None:
    """(I3)"""
    client = IrcClient(world)
    assert client.codes("JOIN #x", "FOO", "WHOIS", "PRIVMSG") == ["451", "451", "451", "451"]
    assert client.codes("PING x", "PONG x", "CAP LIST", "AUTHENTICATE *") == ["PONG", "CAP", "906"]


def test_the_welcome_of_a_guest(world: World) -> None:
    """(I6)"""
    codes = IrcClient(world).codes("NICK bob", "USER bob 0 * :Bob")
    assert codes[:4] == ["001", "002", "003", "004"]
    assert codes[-1] == "422"
    assert world.guest("zoe").ask("LIST") == ["LIST-OK bob,zoe"]


def test_guests_can_be_refused(world: World) -> None:
    """(I6)"""
    with World(settings=world.node.settings._replace(irc_guests="off", channel=())) as closed:
        client = IrcClient(closed)
        assert client.ask("NICK bob", "USER bob 0 * :Bob") == ["ERROR :Closing Link: * (log in with SASL)"]
        assert user(closed, "ann").codes("PING x") == ["PONG"]


def test_sasl_logs_in_before_the_welcome(world: World) -> None:
    """The nick is the account's name (I7, I9)."""
    world.user("ann", "garden").ask("LOGOUT")
    client = IrcClient(world)
    assert client.ask("CAP REQ :sasl", "NICK other", "USER x 0 * :X", "AUTHENTICATE PLAIN")[-1] == "AUTHENTICATE +"
    assert client.ask(f"AUTHENTICATE {sasl('ann', 'ann')}") == [
        ":crosstalk 900 * ann!ann@account ann :You are now logged in as ann",
        ":crosstalk 903 * :SASL authentication successful",
    ]
    assert client.ask("CAP END")[0] == ":crosstalk 001 ann :Welcome to crosstalk, ann"
    assert client.codes("NICK zoe", "AUTHENTICATE PLAIN", "PASS x", "USER a b c d") == ["447", "462", "462", "462"]


@pytest.mark.parametrize(
    "message",
    [sasl("ann", "wrong"), sasl("nobody", "x"), sasl("ann", ""), sasl("", "ann"), "!!!!", "AAA=", "////",
     "YW5uAGFubgBiYWQAYW5u", "Ym9iAGFubgBhbm4="],
)  # fmt: skip
def test_a_login_that_is_wrong_or_malformed_fails(world: World, message: str) -> None:
    """(I7)"""
    world.user("ann").ask("QUIT")
    client = IrcClient(world)
    assert client.codes("NICK zoe", f"AUTHENTICATE PLAIN\nAUTHENTICATE {message}")[-1] == "904"
    assert "001" in client.codes("USER z 0 * :Z")


def test_five_failures_close(world: World) -> None:
    """(I7)"""
    client = IrcClient(world)
    for _ in range(5):
        assert not client.client.transport.finished
        assert client.codes("AUTHENTICATE PLAIN", "AUTHENTICATE AAAA")[1] == "904"
    assert client.client.transport.finished


def test_the_end_of_sasl_without_a_login(world: World) -> None:
    """(I7)"""
    client = IrcClient(world)
    assert client.codes("CAP REQ :sasl", "NICK zoe", "USER z 0 * :Z") == ["CAP"]
    assert client.codes("AUTHENTICATE SCRAM-SHA-256", "AUTHENTICATE PLAIN", "AUTHENTICATE *") == [
        "908", "904", "AUTHENTICATE", "906",
    ]  # fmt: skip
    assert client.codes("AUTHENTICATE PLAIN", f"AUTHENTICATE {'A' * 401}") == ["AUTHENTICATE", "905"]
    pieces = [f"AUTHENTICATE {'A' * 400}"] * 3
    assert client.codes("AUTHENTICATE PLAIN", *pieces, "AUTHENTICATE A") == ["AUTHENTICATE", "905"]
    assert client.codes("AUTHENTICATE PLAIN", "CAP END")[:3] == ["AUTHENTICATE", "906", "001"]


def test_a_message_of_exactly_400_characters_ends_with_a_plus(world: World) -> None:
    """(I7)"""
    password = "x" * (300 - len("\0ann\0"))
    world.client().ask(f"REGISTER ann {password}")
    message = sasl("ann", password)
    assert len(message) == 400
    codes = IrcClient(world).codes("NICK zoe", "AUTHENTICATE PLAIN", f"AUTHENTICATE {message}", "AUTHENTICATE +")
    assert codes == ["AUTHENTICATE", "900", "903"]


@pytest.mark.parametrize(("password", "nick"), [("ann", "ann"), ("ann", "ANN"), ("ann:ann", "zoe")])
def test_pass_logs_in(world: World, password: str, nick: str) -> None:
    """(I8)"""
    world.client().ask("REGISTER ann ann")
    lines = IrcClient(world).ask(f"PASS {password}", f"NICK {nick}", "USER a 0 * :A")
    assert ":crosstalk 001 ann :Welcome to crosstalk, ann" in lines


def test_a_wrong_pass_closes_and_one_for_nobody_means_nothing(world: World) -> None:
    """(I8)"""
    world.client().ask("REGISTER ann ann")
    client = IrcClient(world)
    assert client.ask("PASS wrong", "NICK ann", "USER a 0 * :A") == [
        ":crosstalk 464 * :Password incorrect", "ERROR :Closing Link: * (wrong password)",
    ]  # fmt: skip
    assert "001" in IrcClient(world).codes("PASS wrong", "NICK zoe", "USER a 0 * :A")


@pytest.mark.parametrize("nick", ["ann", "ANN", "kim", "Kim", "zoe", "ZOE"])
def test_a_nick_that_is_taken_or_alike_is_refused(world: World, nick: str) -> None:
    """By an account, a room guest, or a guest (I10)."""
    world.client().ask("REGISTER ann ann")
    world.room("lobby", "kim")
    guest(world, "zoe")
    client = IrcClient(world)
    assert client.codes(f"NICK {nick}", "USER a 0 * :A")[-1] == "433"
    assert "001" in client.codes("NICK free")
    assert client.codes(f"NICK {nick}") == ["433"]


@pytest.mark.parametrize("nick", ["*", "a!b", "#a", "a@b", "a,b", "a:b", "+a", "a|b", "NickServ", "chanserv", "GLOBAL"])
def test_what_can_be_no_nick_is_refused(world: World, nick: str) -> None:
    """(I10, I13)"""
    assert IrcClient(world).codes(f"NICK {nick}") == ["432"]


@pytest.mark.parametrize("line", ["REGISTER NickServ x", "REGISTER memoserv x"])
def test_nobody_new_is_called_as_a_service(world: World, line: str) -> None:
    """In no dialect (I13)."""
    assert world.client().ask(line) == ["RESULT REGISTER 0"]
    assert world.client(world.hello).ask("HELLO-FROM nickserv") == ["BAD-RQST-BODY"]


def test_a_message_to_a_service_says_how_to_log_in(world: World) -> None:
    """(I13)"""
    bob = guest(world, "bob")
    assert bob.codes("PRIVMSG NickServ :IDENTIFY secret") == ["401", "NOTICE"]
    assert bob.codes("NOTICE NickServ :x") == []


def test_a_guest_makes_an_account_of_its_name(world: World) -> None:
    """It stays in its channels, for good (I11)."""
    user(world, "ann").ask("JOIN #garden")
    bob = guest(world, "bob", "draft/account-registration")
    other = guest(world, "kim", "account-notify")
    bob.ask("JOIN #garden"), other.ask("JOIN #garden"), bob.heard()
    assert bob.ask("REGISTER zoe * pw") == [
        ":crosstalk FAIL REGISTER ACCOUNT_NAME_MUST_BE_NICK zoe :Your account must have the name that is your nick"
    ]
    assert bob.ask("REGISTER * * ")[0].startswith(":crosstalk 461")
    assert bob.ask("REGISTER * * pw") == [
        ":crosstalk REGISTER SUCCESS bob :Account created",
        ":crosstalk 900 bob bob!bob@account bob :You are now logged in as bob",
    ]
    assert ":bob!bob@account ACCOUNT bob" in other.heard()
    bob.client.leave()
    assert world.client().ask("LOGIN bob pw", "JOINED") == ["RESULT LOGIN 1", "RESULT JOINED garden"]


def test_an_account_can_be_made_before_the_welcome(world: World) -> None:
    """(I11)"""
    client = IrcClient(world)
    assert client.ask("REGISTER * * pw") == [":crosstalk FAIL REGISTER NEED_NICK * :Choose a nick first"]
    assert client.codes("CAP LS 302", "NICK ann", "USER a 0 * :A") == ["CAP"]
    assert client.codes("REGISTER * * pw", "REGISTER * * pw") == ["REGISTER", "900", "FAIL"]
    assert client.codes("CAP END")[0] == "001"
    world.client().ask("REGISTER bob bob")
    late = IrcClient(world)
    assert late.ask("CAP LS", "NICK bob", "REGISTER * * pw")[-1].startswith(
        ":crosstalk FAIL REGISTER ACCOUNT_EXISTS bob"
    )


def test_an_account_has_several_clients(world: World) -> None:
    """Each hears everything; what another has sent comes with echo-message (I12)."""
    elsewhere = world.user("ann", "garden")
    first, second = user(world, "ann", "echo-message"), user(world, "ann")
    first.heard(), second.heard()
    elsewhere.ask("SAY garden hi")
    assert first.heard() == [":ann!ann@account PRIVMSG #garden :hi"]
    assert second.heard() == []
    assert second.ask("PRIVMSG #garden :ho") == []
    assert first.heard() == [":ann!ann@account PRIVMSG #garden :ho"]
    assert elsewhere.heard() == ["RECV ann garden ho"]
    bob = guest(world, "bob")
    bob.ask("PRIVMSG ann :psst")
    assert first.heard() == second.heard() == [":bob!~bob@<hex>.guest PRIVMSG ann :psst"]
    assert world.client().ask("LOGIN ann ann") == ["RESULT LOGIN 0"]


def test_nobodys_address_is_shown(world: World) -> None:
    """(I14)"""
    world.guest("hal"), world.room("lobby", "kim"), world.client().ask("REGISTER ann ann")
    bob = guest(world, "bob")
    bob.ask("JOIN #lobby")
    for name, host in {
        "hal": "hello <hex>.guest", "kim": "rooms room", "ann": "ann account", "bob": "~bob <hex>.guest",
    }.items():  # fmt: skip
        assert bob.ask(f"WHOIS {name}")[0].startswith(f":crosstalk 311 bob {name} {host} * :")


def test_the_login_time_out_ends_with_the_welcome(world: World) -> None:
    """(C18, I5)"""
    client = IrcClient(world)
    client.ask("CAP LS 302", "NICK bob", "USER bob 0 * :Bob")
    assert client.client.transport.spoken == 0
    client.ask("CAP END")
    assert client.client.transport.spoken == 1


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        (["CAP REQ :sasl", "AUTHENTICATE PLAIN", f"AUTHENTICATE {sasl('ann', 'ann')}"], "903"),
        (["CAP REQ :sasl", "AUTHENTICATE PLAIN", f"AUTHENTICATE {sasl('ann', 'wrong')}"], "904"),
        (["PASS wrong", "NICK ann", "USER ann 0 * :Ann"], "ERROR"),
        (["CAP REQ :draft/account-registration", "NICK zoe", "REGISTER * * secret"], "900"),
    ],
)
def test_the_login_time_out_stands_still_while_a_password_waits(world: World, lines: list[str], last: str) -> None:
    """(I5)"""
    world.client().ask("REGISTER ann ann")
    client = IrcClient(world)
    transport = client.client.transport
    world.passwords.later = True
    client.ask(*lines[:-1])
    assert not transport.holds_login
    client.client.send(lines[-1])
    assert transport.holds_login
    world.passwords.answer()
    assert client.parsed("PING x")[-2 if last != "ERROR" else -1].command == last
    assert not transport.holds_login
    assert transport.spoken == 0


def test_the_welcome_ends_the_login_time_out_that_stood_still(world: World) -> None:
    """(I5)"""
    world.client().ask("REGISTER ann ann")
    client = IrcClient(world)
    world.passwords.later = True
    client.ask("PASS ann", "NICK ann", "USER ann 0 * :Ann")
    assert client.client.transport.holds_login
    world.passwords.answer()
    assert "001" in client.codes("PING x")
    assert (client.client.transport.spoken, client.client.transport.holds_login) == (1, False)


def log_in(world: World, name: str, secret: str) -> IrcClient:
    """Return a client that has tried to log in, and is not welcome yet."""
    client = IrcClient(world)
    client.ask("CAP REQ :sasl", f"NICK {name}", f"USER {name} 0 * :x", "AUTHENTICATE PLAIN")
    client.ask(f"AUTHENTICATE {sasl(name, secret)}")
    return client


@pytest.mark.parametrize(
    ("orders", "closes"),
    [
        ((), False),
        (("ban account bob", "ban account ann in garden"), False),
        (("reset-password ann ann",), True),
        (("delete-account ann", "register ann ann"), True),
        (("ban account ann", "unban account ann"), True),
    ],
)
def test_what_ends_the_tokens_of_an_account_and_closes_its_clients(
    world: World, orders: tuple[str, ...], closes: bool
) -> None:
    """(W12), C71, P33, P34"""
    world.client().ask("REGISTER bob bob", "LOGIN bob bob", "CREATE garden")
    clients = [world.user("ann").session, *(user(world, "ann").client.session for _ in range(2))]
    third = user(world, "ann")
    (token,) = (line.split()[3] for line in third.ask("TOKEN NEW"))
    clients.append(third.client.session)
    for order in orders:
        assert all(line.startswith("OK") for line in world.order(order)), order
    assert [client.over for client in clients] == [closes] * len(clients)
    client = IrcClient(world)
    client.ask("CAP REQ :sasl", "NICK zoe", "AUTHENTICATE PLAIN")
    assert client.codes(f"AUTHENTICATE {sasl('ann', token)}")[-1] == ("904" if closes else "903")


def test_a_new_password_ends_the_tokens_alone(world: World) -> None:
    """(W12)"""
    own, other = world.user("ann"), user(world, "ann")
    (token,) = (line.split()[3] for line in other.ask("TOKEN NEW"))
    waiting = log_in(world, "ann", token)
    assert own.ask("PASSWORD ann new") == ["RESULT PASSWORD 1"]
    assert not own.session.over
    assert not other.client.session.over
    assert "(log in again)" in waiting.ask("CAP END")[-1]
    assert "904" in IrcClient(world).codes("AUTHENTICATE PLAIN", f"AUTHENTICATE {sasl('ann', token)}")


@pytest.mark.parametrize("order", ["reset-password ann new", "delete-account ann", "ban account ann"])
def test_a_client_that_is_about_to_be_welcome_is_closed_too(world: World, order: str) -> None:
    """C71, P33, P34"""
    world.client().ask("REGISTER ann ann")
    client = log_in(world, "ann", "ann")
    world.order(order)
    (line,) = client.ask("CAP END")
    assert line.startswith("ERROR :Closing Link: ")
    assert client.client.transport.finished


def test_a_ban_that_is_over_keeps_no_client_out(world: World) -> None:
    """C71"""
    world.client().ask("REGISTER ann ann")
    client = log_in(world, "ann", "ann")
    world.order("ban account ann")
    world.order("unban account ann")
    assert "001" in client.codes("CAP END")


@pytest.mark.parametrize(
    "order", ["reset-password ann", "delete-account ann", "ban account ann", "ban account ann for 1h be kind"]
)
def test_clients_that_the_operator_closes_get_an_error(world: World, order: str) -> None:
    """Once, behind the reason; also while others are logged in to the account (I12)."""
    ann, other, bob = user(world, "ann"), user(world, "ann"), user(world, "bob")
    assert not any(line.startswith("ERROR") for line in world.order(order))
    for client in (ann, other):
        notice, error = client.heard()
        assert notice.startswith(":crosstalk NOTICE ann :")
        assert error == "ERROR :Closing Link: ann (logged out)"
        assert client.client.transport.finished
    assert bob.heard() == []


def test_a_guest_whose_address_is_banned_gets_an_error(world: World) -> None:
    zoe, ann = guest(world, "zoe"), user(world, "ann")
    world.order("announce hello")
    assert zoe.heard() == [":crosstalk NOTICE zoe :hello"]
    ann.heard()
    world.order(f"ban address {zoe.client.session.address}")
    assert zoe.heard()[-1] == "ERROR :Closing Link: zoe (logged out)"


@pytest.mark.parametrize("text", ["word " * 800 + "end", "\u00e9" * 2000])
def test_a_long_announcement_takes_several_lines(world: World, text: str) -> None:
    """P27, I27: a client cuts what is longer than 512 bytes."""
    zoe, ann = guest(world, "zoe"), user(world, "ann")
    world.order(f"announce {text}")
    lines = zoe.heard()
    head = ":crosstalk NOTICE zoe :"
    assert len(lines) > 1 and all(line.startswith(head) for line in lines)
    assert all(len(f"{line}\r\n".encode()) <= 512 for line in lines)
    assert "".join(line.removeprefix(head) for line in lines).replace(" ", "") == text.replace(" ", "")
    ann.heard()
    world.order(f"ban account ann {'be kind ' * 200}")
    *notices, error = ann.heard()
    assert len(notices) > 1 and all(len(f"{line}\r\n".encode()) <= 512 for line in notices)
    assert error.startswith("ERROR :Closing Link")


def test_the_bounds_in_005_are_those_in_force() -> None:
    targets = f"NAMES:{channels.MAX_NAMES},KICK:{moderation.MAX_KICKS}"
    messages = ",".join(f"{verb}:{live.MAX_TARGETS}" for verb in ("PRIVMSG", "NOTICE", "TAGMSG"))
    assert {
        f"AWAYLEN={status.MAX_AWAY}",
        f"CHATHISTORY={history.MAX_LIMIT}",
        f"KEYLEN={MAX_KEY}",
        f"KICKLEN={channels.MAX_REASON}",
        f"MAXLIST={''.join(MASK_LISTS)}:{MAX_MASKS}",
        f"MODES={modes.MAX_SWITCHES}",
        f"MONITOR={monitor.MAX_MONITORED}",
        f"TARGMAX=JOIN:,PART:,{targets},{messages}",
        f"TOPICLEN={MAX_TOPIC}",
    } <= {*SUPPORT}
