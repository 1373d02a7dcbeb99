"""Messages in IRC: to channels, to users, echoes, labels, tags, kinds (I4, I23 to I29, I34)."""

from __future__ import annotations

import pytest

from support.irc import guest, user
from support.world import World


def test_a_message_to_a_channel_reaches_all_dialects(world: World) -> None:
    """(I23)"""
    ann, bob = user(world, "ann"), world.user("bob")
    ann.ask("JOIN #lobby"), bob.ask("JOIN lobby")
    (kim,) = world.room("lobby", "kim")
    ann.heard(), bob.heard()
    assert ann.ask("PRIVMSG #lobby :hi all") == []
    assert bob.heard() == ["RECV ann lobby hi all"]
    assert kim.saw() == ["[ann] hi all"]
    assert world.printed() == ["[ann] hi all"]
    bob.ask("SAY lobby ho"), kim.ask("hey")
    assert ann.heard() == [":bob!bob@account PRIVMSG #lobby :ho", ":kim!rooms@room PRIVMSG #lobby :hey"]


def test_a_guest_of_irc_talks_with_everyone(world: World) -> None:
    """(I6, I23, I24)"""
    ann, hal, nora = world.user("ann", "garden"), world.guest("hal"), world.mailbox_user("nora")
    bob = guest(world, "bob")
    bob.ask("JOIN #garden", "PRIVMSG #garden :hi", "PRIVMSG ann :a", "PRIVMSG hal :b", "PRIVMSG nora :c")
    assert ann.heard() == ["RECV bob garden hi", "RECV bob @bob a"]
    assert hal.heard() == ["DELIVERY bob b"]
    assert nora.heard() == ["bob: c"]
    ann.ask("SAY @bob x"), hal.ask("SEND bob y"), nora.ask("3|bob|z")
    assert [line.partition(" PRIVMSG ")[2] for line in bob.heard()] == ["bob :x", "bob :y", "bob :z"]


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("PRIVMSG #none :x", ["403"]), ("PRIVMSG #garden :x", ["404"]), ("PRIVMSG nobody :x", ["401"]),
        ("PRIVMSG #garden :\x02\x0304", ["412"]), ("PRIVMSG #garden", ["461"]), ("PRIVMSG", ["461"]),
        ("PRIVMSG a,b,c,d,e :x", ["407"]), ("PRIVMSG #none,nobody :x", ["401", "403"]),
        ("PRIVMSG ann :x", ["531"]), ("PRIVMSG @#garden :x", ["404"]), ("PRIVMSG bob :\x01VERSION\x01", []),
        ("PRIVMSG bob :\x01DCC SEND x\x01", []),
        ("NOTICE #none :x", []), ("NOTICE nobody :x", []), ("NOTICE #garden", []), ("NOTICE", []),
        ("NOTICE ann :x", []), ("NOTICE a,b,c,d,e :x", []), ("NOTICE #garden :", []),
    ],
)  # fmt: skip
def test_what_is_refused_and_what_is_not_answered(world: World, line: str, codes: list[str]) -> None:
    """(I23 to I25)"""
    world.user("ann", "garden").ask("QUIT")
    assert guest(world, "bob").codes(line) == codes


def test_a_message_for_an_account_that_is_away_waits(world: World) -> None:
    """It comes with its time and ID; a notice is not kept (I24, I29)."""
    world.client().ask("REGISTER bob bob")
    ann = user(world, "ann")
    assert ann.ask("PRIVMSG bob :hi", "PRIVMSG bob :\x01ACTION waves\x01") == [
        ":crosstalk 301 ann bob :not here; your message waits", ":crosstalk 301 ann bob :not here; your message waits",
    ]  # fmt: skip
    assert ann.ask("NOTICE bob :x") == []


def test_mail_comes_with_the_welcome(world: World) -> None:
    """(I24)"""
    world.client().ask("REGISTER bob bob")
    user(world, "ann").ask("PRIVMSG bob :hi", "PRIVMSG bob :\x01ACTION waves\x01")
    lines = world.client(world.node.dialects["irc"]).ask(
        "PASS bob", "CAP REQ :server-time message-tags", "NICK bob", "USER b 0 * :B", "CAP END"
    )
    mail = [line.rstrip("\r") for line in lines if " PRIVMSG bob :" in line]
    assert [line.partition(" ")[2] for line in mail] == [
        ":ann!ann@account PRIVMSG bob :hi", ":ann!ann@account PRIVMSG bob :\x01ACTION waves\x01",
    ]  # fmt: skip
    assert all(line.startswith("@time=1970-01-01T00:16:40.000Z;msgid=d") for line in mail)


def test_an_action_is_seen_everywhere(world: World) -> None:
    """(I25)"""
    ann, bob, zoe = world.user("ann", "garden"), guest(world, "bob"), guest(world, "zoe")
    bob.ask("JOIN #garden"), zoe.ask("JOIN #garden"), bob.heard()
    bob.ask("PRIVMSG #garden :\x01ACTION waves \x0304red\x03\x01", "NOTICE #garden :beep")
    assert ann.heard() == ["RECV bob garden * waves red", "RECV bob garden beep"]
    assert [line.partition(" ")[2] for line in zoe.heard()] == [
        "PRIVMSG #garden :\x01ACTION waves red\x01", "NOTICE #garden :beep",
    ]  # fmt: skip


def test_an_echo_comes_in_the_order_of_all(world: World) -> None:
    """(I26)"""
    ann, bob = user(world, "ann", "echo-message"), user(world, "bob", "echo-message")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden"), ann.heard()
    for client, number in ((ann, 1), (bob, 2), (ann, 3)):
        client.client.send(f"PRIVMSG #garden :{number}")
    heard = ann.heard()
    assert [line[-1] for line in heard] == ["1", "2", "3"]
    assert bob.heard() == heard


@pytest.mark.parametrize("capabilities", [(), ("message-tags",), ("echo-message",), ("echo-message", "message-tags")])
def test_messages_of_several_senders_in_one_turn(world: World, capabilities: tuple[str, ...]) -> None:
    """Each client gets those of others, in the order of all, and its own only as an echo. It may have several (I26)."""
    twins = [user(world, "ann", *capabilities) for _ in range(2)]
    bob, zoe, eve = (guest(world, name, *capabilities) for name in ("bob", "zoe", "eve"))
    senders = [twins[0], bob, zoe, twins[1], bob, twins[0], zoe]
    for client in (*twins, bob, zoe, eve):
        client.ask("JOIN #garden")
    for client in (*twins, bob, zoe, eve):
        client.heard()
    for number, client in enumerate(senders):
        client.client.send(f"PRIVMSG #garden :{number}")
    numbers = {client: [int(line[-1]) for line in client.heard()] for client in (*twins, bob, zoe, eve)}
    everything = list(range(len(senders)))
    assert numbers[eve] == everything
    if "echo-message" in capabilities:
        assert all(heard == everything for heard in numbers.values())
    else:
        assert numbers[twins[0]] == numbers[twins[1]] == [1, 2, 4, 6]
        assert (numbers[bob], numbers[zoe]) == ([0, 2, 3, 5, 6], [0, 1, 3, 4, 5])


def test_labels_and_tags_among_other_messages_of_a_turn(world: World) -> None:
    """A label and client tags belong to their own message alone (I26, I29, I34)."""
    ann = user(world, "ann", "echo-message", "labeled-response", "message-tags")
    bob = guest(world, "bob", "message-tags", "echo-message")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden"), ann.heard()
    lines = ("PRIVMSG #garden :1", "@label=x;+a=b PRIVMSG #garden :2", "@+c PRIVMSG #garden :3", "PRIVMSG #garden :4")
    for number, line in enumerate(lines):
        ann.client.send(line)
        bob.client.send(f"PRIVMSG #garden :b{number}")
    body = ":ann!ann@account PRIVMSG #garden"
    own = [line for line in ann.heard() if ":ann!" in line]
    assert own == [f"@msgid=m1 {body} :1", f"@label=x;+a=b;msgid=m3 {body} :2", f"@+c;msgid=m5 {body} :3",
                   f"@msgid=m7 {body} :4"]  # fmt: skip
    heard = [line for line in bob.heard() if ":ann!" in line]
    assert heard == [line.replace("label=x;", "") for line in own]


@pytest.mark.parametrize("target", ["bob", "#garden", "ann"])
def test_an_echo_is_the_answer_to_a_label(world: World, target: str) -> None:
    """(I26, I34)"""
    ann, bob = user(world, "ann", "echo-message", "labeled-response"), user(world, "bob")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden"), ann.heard()
    lines = ann.ask(f"@label=x PRIVMSG {target} :hi")
    assert [line for line in lines if line.startswith("@label=x ")] == [
        f"@label=x :ann!ann@account PRIVMSG {target} :hi"
    ]
    assert len(lines) == (2 if target == "ann" else 1)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("@label=a PONG", ["@label=a :crosstalk ACK"]),
        ("@label=a PING x", ["@label=a :crosstalk PONG crosstalk :x"]),
        (r"@label=a\:b PING x", [r"@label=a\:b :crosstalk PONG crosstalk :x"]),
        ("@label=a FOO", ["@label=a :crosstalk 421 ann FOO :Unknown command"]),
        ("@label=a WHOIS", ["@label=a :crosstalk 461 ann WHOIS :Not enough parameters"]),
        ("@label=a PRIVMSG #garden :x", ["@label=a :crosstalk ACK"]),
        ("@label=a PRIVMSG #none :x", ["@label=a :crosstalk 403 ann #none :No such channel"]),
        (f"@label={'x' * 65} PING x", [":crosstalk PONG crosstalk :x"]),
        ("@label= PING x", [":crosstalk PONG crosstalk :x"]),
        ("@label=a NAMES #garden", [
            "@label=a BATCH +label labeled-response", "@batch=label :crosstalk 353 ann = #garden :@ann",
            "@batch=label :crosstalk 366 ann #garden :End of NAMES list", "BATCH -label",
        ]),
        ("@label=a JOIN #none,none", [
            "@label=a BATCH +label labeled-response", "@batch=label :ann!ann@account JOIN #none",
            "@batch=label :crosstalk 353 ann = #none :@ann", "@batch=label :crosstalk 366 ann #none :End of NAMES list",
            "@batch=label :crosstalk 403 ann none :No such channel", "BATCH -label",
        ]),
    ],
)  # fmt: skip
def test_the_answers_to_a_label_are_gathered(world: World, line: str, answer: list[str]) -> None:
    """(I34)"""
    ann = user(world, "ann", "labeled-response", "batch")
    ann.ask("JOIN #garden")
    assert ann.ask(line) == answer


def test_messages_follow_each_other_in_order(world: World) -> None:
    """Also behind what waits for the disk (I4)."""
    ann = user(world, "ann", "echo-message")
    ann.ask("JOIN #garden")
    lines = ("PRIVMSG #garden :1", "PRIVMSG #none :x", "PRIVMSG #garden :2", "PING x", "PRIVMSG #garden :3")
    assert ann.codes("\r\n".join(lines)) == ["PRIVMSG", "403", "PRIVMSG", "PONG", "PRIVMSG"]


def test_a_long_message_comes_in_lines(world: World) -> None:
    """Only the first one has the ID (I27)."""
    bob = world.user("bob", "garden")
    ann = user(world, "ann", "message-tags")
    ann.ask("JOIN #garden")
    text = "word " * 300 + "end"
    bob.ask(f"SAY garden {text}")
    lines = ann.heard()
    assert [line.startswith("@msgid=m1 ") for line in lines] == [True] + [False] * (len(lines) - 1)
    bodies = [line.partition(" ")[2] if line.startswith("@") else line for line in lines]
    assert all(len(body.encode()) <= 510 for body in bodies)
    assert " ".join(body.split(" :", 1)[1].rstrip() for body in bodies) == text


def test_what_a_client_asks_for_is_before_a_message(world: World) -> None:
    """(I29)"""
    ann = user(world, "ann")
    ann.ask("JOIN #garden")
    readers = {
        tags: guest(world, name, *tags)
        for name, tags in {
            "a": ("server-time",), "b": ("message-tags",), "c": ("account-tag",), "d": ("server-time", "message-tags"),
        }.items()
    }  # fmt: skip
    for reader in readers.values():
        reader.ask("JOIN #garden")
    for reader in readers.values():
        reader.heard()
    ann.ask("@+typing=x;time=forged;msgid=forged PRIVMSG #garden :hi")
    body = " :ann!ann@account PRIVMSG #garden :hi"
    assert {tags: reader.heard() for tags, reader in readers.items()} == {
        ("server-time",): ["@time=1970-01-01T00:16:40.000Z" + body],
        ("message-tags",): ["@+typing=x;msgid=m1" + body],
        ("account-tag",): ["@account=ann" + body],
        ("server-time", "message-tags"): ["@time=1970-01-01T00:16:40.000Z;+typing=x;msgid=m1" + body],
    }


def test_what_is_not_kept_reaches_those_who_are_there(world: World) -> None:
    """(I28)"""
    ann, bob = user(world, "ann", "message-tags", "echo-message"), guest(world, "bob", "message-tags")
    zoe = guest(world, "zoe")
    for client in (ann, bob, zoe):
        client.ask("JOIN #garden")
    ann.heard(), bob.heard()
    echo = ann.ask("@+typing=active TAGMSG #garden")
    assert bob.heard() == echo
    assert zoe.heard() == []
    assert ann.codes("TAGMSG #garden", "@+a TAGMSG #none", "@+a TAGMSG nobody") == ["404", "401"]
    ann.ask("MODE #garden +v zoe")
    zoe.heard(), bob.heard()
    bob.ask("PRIVMSG +#garden :to some")
    assert [line.partition(" ")[2] for line in zoe.heard()] == ["PRIVMSG +#garden :to some"]
    assert world.chat.reading.last_number == 0


def test_outsiders_may_speak_without_the_mode(world: World) -> None:
    ann, bob = user(world, "ann"), guest(world, "bob")
    ann.ask("JOIN #garden", "MODE #garden -n")
    assert bob.codes("PRIVMSG #garden :from outside") == []
    assert ann.heard() == [":bob!~bob@<hex>.guest PRIVMSG #garden :from outside"]


@pytest.mark.parametrize(
    ("change", "restore", "reason"),
    [
        ("MODE #garden +b bob!*@*", "MODE #garden -b bob!*@*", "you are banned (+b)"),
        ("MODE #garden +m", "MODE #garden -m", "only voiced users may speak (+m)"),
        ("MUTE #garden bob 60", "UNMUTE #garden bob", "you are muted for 60 seconds"),
    ],
)
def test_who_may_not_speak_is_not_heard_in_any_way(world: World, change: str, restore: str, reason: str) -> None:
    """(C64, I28)"""
    ann, bob = user(world, "ann", "message-tags"), user(world, "bob", "message-tags")
    world.chat.users.operators = frozenset({"ann"})
    ann.ask("OPER ann ann", "JOIN #garden"), bob.ask("JOIN #garden")
    lines = ("PRIVMSG @#garden :x", "PRIVMSG +#garden :x", "@+typing=active TAGMSG #garden", "@+a TAGMSG @#garden")
    assert bob.codes(*lines) == []
    assert len(ann.heard()) == 1 + len(lines)
    ann.ask(change), bob.heard()
    assert {line.partition(" :")[2] for line in bob.ask(*lines)} == {f"Cannot send to channel: {reason}"}
    assert bob.ask("NOTICE @#garden :x") == []
    assert ann.heard() == []
    ann.ask(restore), bob.heard()
    assert bob.codes(*lines) == []


@pytest.mark.parametrize("verb", ["JOIN ,", "JOIN :", "PART ,,", "PRIVMSG , :x", "@+a TAGMSG ,", "PRIVMSG ,,, :"])
def test_a_request_without_a_target_is_answered(world: World, verb: str) -> None:
    """(I3, I4)"""
    assert guest(world, "bob", "message-tags").codes(verb, "NOTICE , :x") == ["461"]


def test_what_a_guest_has_said_is_not_the_words_of_an_account_of_its_name(world: World) -> None:
    """(I9, I29, I30)"""
    ann = user(world, "ann", "account-tag", "draft/chathistory")
    zoe, (kim,) = guest(world, "zoe"), world.room("lobby", "kim")
    ann.ask("JOIN #lobby"), zoe.ask("JOIN #lobby", "PRIVMSG #lobby :a"), kim.ask("b")
    zoe.ask("REGISTER * * secret", "PRIVMSG #lobby :c"), kim.ask("/quit")
    user(world, "kim").ask("JOIN #lobby", "PRIVMSG #lobby :d")
    live = [line for line in ann.heard() if "PRIVMSG" in line]
    assert [line.partition("!")[0] for line in live] == [":zoe", ":kim", "@account=zoe :zoe", "@account=kim :kim"]
    assert ann.ask("CHATHISTORY LATEST #lobby * 9") == [":zoe!zoe@guest PRIVMSG #lobby :a", *live[1:]]


@pytest.mark.parametrize(
    ("tags", "passed"),
    [
        ("+x=1;time=2000-01-01T00:00:00.000Z;msgid=m1;account=root;bot", "+x=1"),
        (r"+x=a\:b\s\\c\r\nd", r"+x=a\:b\s\\c\r\nd"),
        ("+x=\x1b[2J\x07\u202ered", "+x=[2Jred"),
        ("+x=\\n\x1b\\r", r"+x=\n\r"),
        ("+\x1b[2J=1;+draft/react=\u2764\ufe0f", "+draft/react=\u2764\ufe0f"),
        ("+=v;+", ""),
    ],
)
def test_tags_of_clients_are_passed_on_without_harm(world: World, tags: str, passed: str) -> None:
    """(I28)"""
    ann, bob = user(world, "ann", "message-tags"), guest(world, "bob")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden"), ann.heard()
    bob.ask(f"@{tags} PRIVMSG #garden :x")
    (line,) = ann.heard()
    assert line.partition(" ")[0].rpartition("msgid=")[0].strip("@;") == passed


def test_a_pong_has_no_controls(world: World) -> None:
    """(I31)"""
    assert guest(world, "bob").ask("PING :a \x01b\x1b[31m c") == [":crosstalk PONG crosstalk :a b[31m c"]


def test_messages_follow_each_other_and_each_refusal_has_its_place(world: World) -> None:
    """Messages to a channel do not wait for each other; whatever else the client asks for waits for them (I4)."""
    ann, bob = user(world, "ann", "echo-message"), user(world, "bob")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden")
    ann.heard(), bob.heard()
    said = ann.ask(
        "PRIVMSG #garden :one", "PRIVMSG #none :x", "PRIVMSG #garden :\x02", "PRIVMSG #garden :two",
        f"PRIVMSG #garden :{'x' * 495}", "NOTICE #garden :three", "PRIVMSG bob :four", "PRIVMSG #garden :five",
    )  # fmt: skip
    assert [line.split(" :")[-1] if "PRIVMSG" in line or "NOTICE" in line else line.split()[1] for line in said] == [
        "one", "403", "412", "two", "417", "three", "four", "five",
    ]  # fmt: skip
    assert [line.partition(" :")[2] for line in bob.heard()] == ["one", "two", "three", "four", "five"]
