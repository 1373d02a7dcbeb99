"""What an account's clients have by themselves: tokens, invitations, and markers (I30, I36, W12)."""

from __future__ import annotations

import pytest

from support.irc import IrcClient, guest, sasl, user
from support.world import World


def token_of(answer: list[str]) -> str:
    """Return the token in the answer to TOKEN NEW."""
    (line,) = answer
    server, verb, kind, token, end = line.split()
    assert (server, verb, kind, end[-1]) == (":crosstalk", "TOKEN", "NEW", "Z")
    return token


def logs_in(world: World, name: str, token: str) -> bool:
    """Tell whether a new client can log in with a token in the place of the password."""
    client = IrcClient(world)
    client.ask("CAP REQ :sasl", f"NICK {name}", f"USER {name} 0 * :x", "AUTHENTICATE PLAIN")
    return "903" in client.codes(f"AUTHENTICATE {sasl(name, token)}")


@pytest.mark.parametrize("words", ["NEW", "new", "NEW LASTING", "new lasting"])
def test_a_token_logs_in_until_it_is_dropped(world: World, words: str) -> None:
    """(W12)"""
    ann = user(world, "ann")
    token = token_of(ann.ask(f"TOKEN {words}"))
    assert logs_in(world, "ann", token)
    assert ann.ask("TOKEN DROP") == [":crosstalk TOKEN DROP"], "its own one, without a word"
    assert not logs_in(world, "ann", token)
    assert ann.ask("TOKEN DROP")[0].startswith(":crosstalk FAIL TOKEN NO_SUCH_TOKEN")


def test_a_token_is_dropped_by_another_client_of_its_account(world: World) -> None:
    """(W12)"""
    token = token_of(user(world, "ann").ask("TOKEN NEW LASTING"))
    assert user(world, "bob").ask(f"TOKEN DROP {token}")[0].startswith(":crosstalk FAIL TOKEN NO_SUCH_TOKEN")
    assert logs_in(world, "ann", token)
    assert user(world, "ann").ask(f"TOKEN DROP {token}") == [":crosstalk TOKEN DROP"]
    assert not logs_in(world, "ann", token)


@pytest.mark.parametrize("words", ["NEW FOR_EVER", "FOO", "FOO \x02bar"])
def test_other_words_after_token(world: World, words: str) -> None:
    """(W12)"""
    (answer,) = user(world, "ann").ask(f"TOKEN {words}")
    assert answer.startswith(f":crosstalk FAIL TOKEN INVALID_PARAMS {words.split()[0]} :TOKEN NEW [LASTING], or")
    assert guest(world, "bob").ask(f"TOKEN {words}") == [
        ":crosstalk FAIL TOKEN ACCOUNT_REQUIRED :Only an account has tokens"
    ]


def test_a_disk_that_refuses_is_a_failure_of_each_command(world: World) -> None:
    """C47."""
    ann, bob = user(world, "ann"), user(world, "bob")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden"), ann.ask("TOKEN NEW")
    bob.heard()
    world.let_database_take(anything=False)
    answers = {
        "TOKEN NEW": "FAIL TOKEN TEMPORARILY_UNAVAILABLE :No token can be made now; try again later",
        "TOKEN DROP": "FAIL TOKEN TEMPORARILY_UNAVAILABLE :No token can be dropped now; try again later",
        "TOPIC #garden :x": "482 ann #garden :The topic could not be kept; try again later",
        "KICK #garden bob": "441 ann bob #garden :It could not be kept; try again later",
        "PRIVMSG #garden :x": "404 ann #garden :Cannot send to channel: it could not be kept; try again later",
        "MARKREAD #garden timestamp=1970-01-01T00:00:01.000Z": (
            "FAIL MARKREAD INTERNAL_ERROR #garden :The marker could not be set"
        ),
    }
    assert {line: ann.ask(line) for line in answers} == {line: [f":crosstalk {end}"] for line, end in answers.items()}
    assert bob.heard() == []
    world.let_database_take(anything=True)
    assert ann.codes("TOPIC #garden :x", "KICK #garden bob", "TOKEN NEW") == ["TOPIC", "KICK", "TOKEN"]


def test_a_topic_is_set_shown_and_cleared(world: World) -> None:
    ann, bob, zoe = user(world, "ann"), user(world, "bob"), guest(world, "zoe")
    ann.ask("JOIN #garden"), bob.ask("JOIN #garden"), ann.heard()
    assert bob.ask("TOPIC #garden") == [":crosstalk 331 bob #garden :No topic is set"]
    assert bob.ask("TOPIC #garden :\x02roses\x02 ") == [":bob!bob@account TOPIC #garden :roses"]
    assert ann.heard() == [":bob!bob@account TOPIC #garden :roses"]
    shown = [":crosstalk 332 zoe #garden :roses", ":crosstalk 333 zoe #garden bob 1000"]
    assert zoe.ask("TOPIC #garden") == shown
    assert zoe.codes("TOPIC #garden :tulips") == ["442"]
    assert bob.ask(f"TOPIC #garden :{'x' * 391}") == [
        ":crosstalk FAIL TOPIC INVALID_TOPIC #garden :This text cannot be a topic"
    ]
    ann.ask("MODE #garden +t")
    bob.heard()
    assert bob.codes("TOPIC #garden :mine") == ["482"]
    assert ann.ask("TOPIC #garden :") == [":ann!ann@account TOPIC #garden :"]
    assert zoe.codes("TOPIC #garden") == ["331"]


def test_an_invitation_lets_a_user_in_once_and_is_told_to_who_asked(world: World) -> None:
    ann, bob, kim = user(world, "ann"), user(world, "bob"), user(world, "kim", "invite-notify")
    ann.ask("JOIN #garden"), kim.ask("JOIN #garden")
    ann.ask("MODE #garden +i"), ann.heard(), kim.heard()
    assert bob.codes("JOIN #garden", "INVITE") == ["473", "337"]
    assert ann.ask("INVITE bob #garden") == [":crosstalk 341 ann bob #garden"]
    assert kim.heard() == [":ann!ann@account INVITE bob #garden"]
    assert bob.heard() == [":ann!ann@account INVITE bob #garden"]
    assert bob.ask("INVITE") == [":crosstalk 336 bob #garden", ":crosstalk 337 bob :End of INVITE list"]
    assert bob.codes("JOIN #garden", "PART #garden", "JOIN #garden")[-2:] == ["PART", "473"]
    ann.heard()
    for words, code in {
        "kim #garden": "443", "nobody #garden": "401", "bob #none": "403", "bob garden": "403", "bob": "461",
    }.items():  # fmt: skip
        assert ann.codes(f"INVITE {words}") == [code], words


def test_a_guests_markers_last_as_long_as_it_stays(world: World) -> None:
    """They only go forward (I36)."""
    user(world, "ann").ask("JOIN #garden")
    bob = guest(world, "bob", "draft/read-marker")
    bob.ask("JOIN #garden")
    marked = ":crosstalk MARKREAD {} timestamp=1970-01-01T00:00:09.000Z"
    for target in ("#garden", "ann"):
        assert bob.ask(f"MARKREAD {target}") == [f":crosstalk MARKREAD {target} *"]
        assert bob.ask(f"MARKREAD {target} timestamp=1970-01-01T00:00:09.000Z") == [marked.format(target)]
        assert bob.ask(f"MARKREAD {target} timestamp=1970-01-01T00:00:05.000Z") == [marked.format(target)]
    for target in ("#a:b", "nobody", "#lobby"):
        (answer,) = bob.ask(f"MARKREAD {target} timestamp=1970-01-01T00:00:09.000Z")
        assert answer.startswith(f":crosstalk FAIL MARKREAD INVALID_PARAMS {target} ")


def test_a_server_that_is_too_busy_says_so_and_counts_no_failure(world: World) -> None:
    """(C39, I7, I8)"""
    user(world, "ann")
    world.passwords.overloaded = True
    client = IrcClient(world)
    client.ask("CAP REQ :sasl", "NICK ann", "USER ann 0 * :x")
    for _ in range(7):
        answers = client.ask("AUTHENTICATE PLAIN", f"AUTHENTICATE {sasl('ann', 'ann')}")
        assert answers == ["AUTHENTICATE +", ":crosstalk 904 * :Too busy; try again later"]
    world.passwords.overloaded = False
    assert "903" in client.codes("AUTHENTICATE PLAIN", f"AUTHENTICATE {sasl('ann', 'ann')}", "CAP END")
    world.passwords.overloaded = True
    other = IrcClient(world)
    assert other.ask("PASS ann", "NICK ann", "USER ann 0 * :x")[0] == ":crosstalk 464 * :Too busy; try again later"
