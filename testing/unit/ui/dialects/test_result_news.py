"""What is new for a user of `result`, without a server: the client's questions, and what it shows of the answers."""

from __future__ import annotations

import pytest

from support.lines import text_of
from ui.dialects.base import PROBE, Status
from ui.dialects.result import ResultClient
from ui.dialects.result_channels import MAX_CHANNELS, Tags, split_tags
from ui.rendering import Line

OLD = "RESULT ERROR unknown type"
"""The answer of a server without extensions."""


class Talk:
    """A conversation of ann with a server that says what the test says."""

    def __init__(self, *wanted: str) -> None:
        self.dialect = ResultClient(wanted=wanted)
        self.sent: list[str] = []
        self.send(self.dialect.begun().send)
        assert self.sent == [PROBE]

    def send(self, line: str) -> None:
        self.dialect.sent(line)
        self.sent.append(line)
        self._send_automatic_lines()

    def hear(self, *lines: str) -> str:
        """Take lines of the server; return what is shown."""
        shown = [text for line in lines if (text := text_of(self._hear(line)))]
        return "\n".join(shown)

    def _hear(self, line: str) -> list[Line]:
        shown = self.dialect.received(line)
        self._send_automatic_lines()
        return shown

    def log_in(self, joined: str = "garden", unread: str = "", *, tags: str = "RESULT TAGS 1") -> str:
        """Log in at a server that has extensions; return what is shown."""
        self.send("LOGIN ann hush")
        return self.hear(
            *([tags] if tags else []), "RESULT LOGIN 1", "RESULT PRESENCE 1",
            f"RESULT JOINED {joined}".rstrip(), f"RESULT UNREAD {unread}".rstrip(),
        )  # fmt: skip

    def _send_automatic_lines(self) -> None:
        lines, self.dialect.automatic_lines = self.dialect.automatic_lines, ()
        for line in lines:
            self.dialect.sent(line)
            self.sent.append(line)


def said(number: int, text: str, channel: str = "garden", sender: str = "bob") -> str:
    return f"@time=2026-11-30T17:20:18.123Z;id={number} RECV {sender} {channel} {text}"


def test_the_questions_after_a_login() -> None:
    talk = Talk()
    assert talk.log_in("attic, garden", "garden 2").splitlines() == [
        "You are logged in.",
        "* Your channels: 1 attic, 2 garden (2 new)",
    ]
    assert talk.sent[1:] == [
        "LOGIN ann hush", "PRESENCE on", "JOINED", "UNREAD", "WHO garden", "TOPIC garden", "HISTORY garden 20",
    ]  # fmt: skip
    assert talk.hear("RESULT WHO garden ann, bob", "RESULT TOPIC garden tea", "RESULT HISTORY garden 3") == (
        "Topic of garden: tea"
    )
    assert talk.hear(said(5, "old"), said(7, "one"), said(8, "two")).splitlines() == [
        "[garden] bob: old", "---- new ----", "[garden] bob: one", "[garden] bob: two",
    ]  # fmt: skip
    assert talk.dialect.status() == Status("ann", "garden", ["ann", "bob"], [(1, "attic", 0)])
    talk.dialect.been_shown()
    assert list(talk.dialect.automatic_lines) == ["SEEN garden 8"]
    talk.dialect.been_shown()
    talk.send("PING")
    assert talk.sent[-2:] == ["PING", "SEEN garden 8"], "the marker moves once"


def test_what_comes_while_the_history_is_awaited_is_shown_once_and_behind_it() -> None:
    talk = Talk()
    talk.log_in("garden", "garden 1")
    assert talk.hear(said(8, "two"), said(9, "elsewhere", "attic")) == "[attic] bob: elsewhere"
    assert talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 2") == ""
    assert talk.hear(said(7, "one"), said(8, "two"), said(10, "three")).splitlines() == [
        "[garden] bob: one", "---- new ----", "[garden] bob: two", "[garden] bob: three",
    ]  # fmt: skip


@pytest.mark.parametrize("answer", ["RESULT HISTORY garden 0", OLD])
def test_what_comes_meanwhile_is_not_lost_without_a_history(answer: str) -> None:
    talk = Talk()
    talk.log_in()
    assert talk.hear(said(8, "two")) == ""
    assert talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", answer) == "[garden] bob: two"


def test_another_channel_is_opened_when_it_becomes_current() -> None:
    talk = Talk("garden")
    talk.log_in("attic, garden", "attic 40")
    assert talk.dialect.current == "garden"
    talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 0")
    assert talk.hear(said(50, "live", "attic")) == "[attic] bob: live"
    assert talk.dialect.status().others == [(1, "attic", 41)]
    assert talk.dialect.switch(1).hint == "You are in attic; plain text goes there now."
    assert list(talk.dialect.automatic_lines) == ["WHO attic", "TOPIC attic", "HISTORY attic 45 before 50"]
    assert talk.dialect.switch(3).refused


def test_after_a_lost_connection_only_what_was_missed_is_shown() -> None:
    talk = Talk()
    talk.log_in()
    talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 1", said(7, "one"), said(8, "two"))
    talk.dialect.lost()
    talk.send(talk.dialect.returned().send)
    assert talk.sent[-2:] == [PROBE, "LOGIN ann hush"]
    talk.hear("RESULT TAGS 1", "RESULT LOGIN 1", "RESULT PRESENCE 1", said(12, "five"), "RESULT JOINED garden")
    talk.hear("RESULT UNREAD garden 3")
    assert talk.sent[-1] == "HISTORY garden 200 after 8"
    assert talk.hear("RESULT WHO garden ann", "RESULT HISTORY garden 3") == ""
    assert talk.hear(said(10, "three"), said(11, "four"), said(12, "five")).splitlines() == [
        "---- new ----", "[garden] bob: three", "[garden] bob: four",
    ]  # fmt: skip


def test_what_is_said_beside_the_questions_after_a_lost_connection_is_shown_once() -> None:
    """One message comes before the history is asked for, the next one while it is awaited, and it has both."""
    talk = Talk()
    talk.log_in()
    talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 0", said(7, "one"))
    talk.dialect.lost()
    talk.send(talk.dialect.returned().send)
    talk.hear("RESULT TAGS 1", "RESULT LOGIN 1", "RESULT PRESENCE 1", "RESULT JOINED garden")
    assert talk.hear(said(8, "two")) == "[garden] bob: two"
    talk.hear("RESULT UNREAD garden 2")
    assert talk.hear(said(9, "three"), "RESULT WHO garden ann", "RESULT HISTORY garden 2") == ""
    assert talk.hear(said(8, "two"), said(9, "three")).splitlines() == ["---- new ----", "[garden] bob: three"]


def test_what_is_typed_while_the_login_is_repeated_is_not_lost_unnoticed() -> None:
    talk = Talk()
    talk.log_in()
    talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 0", said(7, "one"))
    talk.dialect.lost()
    talk.send(talk.dialect.returned().send)
    talk.send("SAY garden hi")
    assert "may not have noticed" in talk.hear("RESULT TAGS 1", "RESULT LOGIN 0")
    again = "the login is still being repeated. The up arrow brings the line back."
    assert talk.hear("RESULT SAY 0") == f"Not said: {again}"
    assert talk.dialect.status().user == ""
    talk.send("SEND @bob hi")
    assert talk.hear("RESULT SEND ERROR") == f"Not sent: {again}"
    talk.send(talk.dialect.again().send)
    talk.hear("RESULT LOGIN 1", "RESULT PRESENCE 1", "RESULT JOINED garden", "RESULT UNREAD garden 1")
    assert talk.dialect.status().user == "ann"
    assert talk.sent[-1] == "HISTORY garden 200 after 7"
    talk.send("SAY garden hi")
    assert talk.hear("RESULT SAY 0") == "Not said: you are muted in garden."


def test_of_very_much_that_was_missed_the_last_is_shown() -> None:
    talk = Talk()
    talk.log_in()
    talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 0", said(7, "one"))
    talk.dialect.lost()
    talk.send(talk.dialect.returned().send)
    talk.hear("RESULT TAGS 1", "RESULT LOGIN 1", "RESULT PRESENCE 1", "RESULT JOINED garden")
    talk.hear("RESULT UNREAD garden 201")
    assert talk.sent[-1] == "HISTORY garden 200"
    assert talk.hear("RESULT WHO garden ann", "RESULT HISTORY garden 2") == ""
    assert talk.hear(said(7, "one"), said(8, "two")).splitlines() == ["---- new ----", "[garden] bob: two"]


def test_a_server_without_extensions_is_asked_once() -> None:
    talk = Talk()
    talk.send("LOGIN ann hush")
    assert talk.hear(OLD, "RESULT LOGIN 1", OLD, OLD, OLD) == "You are logged in."
    assert talk.hear("RECV bob garden hi") == "[garden] bob: hi"
    talk.send("JOIN garden")
    assert talk.hear("RESULT JOIN garden 1") == "You are in garden."
    assert talk.sent[-1] == "WHO garden"
    talk.hear(OLD)
    before = len(talk.sent)
    talk.dialect.been_shown()
    talk.dialect.sent("LOGIN ann hush")
    talk.hear("RESULT LOGIN 1")
    assert len(talk.sent) == before, "nothing that it does not know"


def test_channels_that_are_wanted_are_entered() -> None:
    talk = Talk("shed", "nowhere")
    talk.send("LOGIN ann hush")
    talk.hear("RESULT TAGS 1", "RESULT LOGIN 1", "RESULT PRESENCE 1", "RESULT JOIN shed 1", "RESULT JOIN nowhere 0")
    assert talk.hear("RESULT JOINED attic, shed") == "Cannot enter nowhere; /join nowhere tells why."
    talk.hear("RESULT UNREAD attic 1")
    assert talk.dialect.current == "shed"


def test_who_is_online_is_asked_one_at_a_time() -> None:
    talk = Talk()
    talk.log_in()
    talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 0")
    before = len(talk.sent)
    assert talk.hear(*["PRESENCE bob on", "PRESENCE bob off"] * 50) == ""
    assert talk.sent[before:] == ["WHO garden"]
    talk.hear("RESULT WHO garden ann, bob")
    assert talk.sent[before:] == ["WHO garden"] * 2
    talk.hear("RESULT WHO garden ann")
    assert talk.sent[before:] == ["WHO garden"] * 2
    assert talk.dialect.status().online == ["ann"]


def test_an_answer_of_the_client_does_not_hide_one_of_the_user() -> None:
    talk = Talk()
    talk.log_in()
    talk.send("WHO garden")
    assert talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 0") == ""
    assert talk.hear("RESULT WHO garden ann, bob") == "Online in garden: ann, bob"


def test_a_message_that_is_refused_has_one_cause() -> None:
    talk = Talk()
    talk.log_in()
    talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 0", "RECV bob @bob hi")
    for line, answer, cause in (
        ("SAY garden hi", "RESULT SAY 0", "Not said: you are muted in garden."),
        ("SAY attic hi", "RESULT SAY 0", "Not said: you are not in attic; /join attic enters it."),
        ("SAY @cid hi", "RESULT SAY 0", "Not said: there is nobody called cid."),
        ("SEND @bob hi", "RESULT SEND ERROR", "Not sent: too much waits for bob already."),
    ):
        talk.send(line)
        assert talk.hear(answer) == cause
    talk.send("SAY garden hi")
    talk.send("SAY attic hi")
    assert talk.hear("RECV ann garden hi") == "[garden] ann: hi"
    assert talk.hear("RESULT SAY 0") == "Not said: you are not in attic; /join attic enters it."


def test_a_channel_that_was_left_elsewhere_is_forgotten() -> None:
    talk = Talk()
    talk.log_in("attic, garden")
    talk.dialect.lost()
    talk.send(talk.dialect.returned().send)
    talk.hear("RESULT TAGS 1", "RESULT LOGIN 1", "RESULT PRESENCE 1", "RESULT JOINED garden", "RESULT UNREAD")
    assert talk.dialect.current == "garden"
    assert talk.dialect.status().others == []


def test_memory_has_a_bound_whatever_a_server_says() -> None:
    talk = Talk()
    talk.log_in(", ".join(f"c{number}" for number in range(2 * MAX_CHANNELS)))
    for number in range(2 * MAX_CHANNELS):
        talk.hear(f"RECV bob d{number} hi")
    assert len(talk.dialect.status().others) <= MAX_CHANNELS


@pytest.mark.parametrize(
    ("line", "tags", "rest"),
    [
        ("RECV a b c", Tags(), "RECV a b c"),
        ("@id=7 RECV a b c", Tags(None, 7), "RECV a b c"),
        ("@time=1970-01-01T00:00:01.500Z;id=7 RECV a b c", Tags(1.5, 7), "RECV a b c"),
        ("@other;time=soon;id=x RECV a b c", Tags(), "RECV a b c"),
        ("@id=99999999999999999999999 RECV a b c", Tags(), "RECV a b c"),
        ("@", Tags(), ""),
    ],
)
def test_tags_are_read(line: str, tags: Tags, rest: str) -> None:
    assert split_tags(line) == (tags, rest)


# ---- one cause for each error ----

NOT_IN_ATTIC = "Nothing is told of attic: you are not in it; /join attic enters it."


@pytest.mark.parametrize(
    ("sent", "answers", "cause"),
    [
        ("USERS attic", ["RESULT USERS attic 0"], NOT_IN_ATTIC),
        ("USERS den:two", ["RESULT USERS den:two 0"], "Nothing is told of den:two: it is on another server."),
        ("WHO attic", ["RESULT WHO attic 0"], NOT_IN_ATTIC),
        ("HISTORY attic", ["RESULT HISTORY attic 0"], NOT_IN_ATTIC),
        ("HISTORY garden", ["RESULT HISTORY garden 0"], "Nothing has been said in garden."),
        ("LEAVE attic", ["RESULT LEAVE attic 0"], "Cannot leave attic: you are not in it."),
        ("TOPIC garden 0", ["RESULT TOPIC garden 0"], "The topic of garden is as it was: the server does not take it."),
        ("TOPIC attic x", ["RESULT TOPIC attic 0"], NOT_IN_ATTIC),
        ("PASSWORD a b", ["RESULT PASSWORD 0"], "No new password: the old one is wrong."),
        ("REGISTER bob x", ["RESULT REGISTER 0"], "Not registered: the name is taken."),
        ("REGISTER b,b x", ["RESULT REGISTER 0"], "Not registered: b,b cannot be a name."),
        ("LOGIN bob x", ["RESULT LOGIN 0"], "Not logged in: you are ann already; /logout comes first."),
        ("CREATE garden", ["RESULT CREATE garden 0", "RESULT CHANNELS garden"],
         "Cannot make garden: it is there already; /join garden enters it."),
        ("CREATE a|b", ["RESULT CREATE a|b 0", "RESULT CHANNELS garden"], "Cannot make a|b: that cannot be a name."),
        ("CREATE den", ["RESULT CREATE den 0", "RESULT CHANNELS garden"],
         "Cannot make den: the server takes no more channels."),
        ("JOIN den", ["RESULT JOIN den 0", "RESULT CHANNELS den, garden"], "Cannot join den: it is full."),
        ("JOIN a|b", ["RESULT JOIN a|b 0", "RESULT CHANNELS"], "Cannot join a|b: there is no such channel."),
        ("JOIN d:two", ["RESULT JOIN d:two 0", "RESULT CHANNELS d:two"], "Cannot join d:two: two does not let you in."),
        ("JOIN d:b", ["RESULT JOIN d:b 0", "RESULT CHANNELS a:b"], "Cannot join d:b: there is no such channel."),
        ("JOIN den:two", ["RESULT JOIN den:two 0", "RESULT CHANNELS"], "Cannot join den:two: there is no link to two."),
        ("JOIN garden", ["RESULT JOIN garden 0"], "You are in garden already; plain text goes there now."),
    ],
)  # fmt: skip
def test_an_error_names_its_one_cause(sent: str, answers: list[str], cause: str) -> None:
    talk = Talk()
    talk.log_in()
    talk.hear("RESULT WHO garden ann", "RESULT TOPIC garden", "RESULT HISTORY garden 0")
    talk.send(sent)
    assert talk.hear(*answers) == cause


@pytest.mark.parametrize(
    ("sent", "answer", "beginning"),
    [
        ("USERS den", "RESULT USERS den 0", "Nothing is told of den"),
        ("HISTORY den", "RESULT HISTORY den 0", "Nothing is told of den"),
        ("LEAVE den", "RESULT LEAVE den 0", "Cannot leave den"),
        ("CREATE den", "RESULT CREATE den 0", "Cannot make den"),
        ("JOIN den", "RESULT JOIN den 0", "Cannot join den"),
        ("SAY den hi", "RESULT SAY 0", "Not said"),
        ("SEND den hi", "RESULT SEND ERROR", "Not sent"),
        ("PASSWORD a b", "RESULT PASSWORD 0", "No new password"),
        ("WHO", "RESULT WHO 0", "Cannot tell who is here"),
        ("JOINED", "RESULT JOINED 0", "No channels"),
    ],
)
def test_without_a_login_that_is_the_cause(sent: str, answer: str, beginning: str) -> None:
    talk = Talk()
    talk.hear("RESULT TAGS 1")
    talk.send(sent)
    assert talk.hear(answer) == f"{beginning}: you are not logged in. /login <user> logs in."


# ---- a user that the command line names ----


def test_a_user_of_the_command_line_is_logged_in_with_the_password_that_is_known() -> None:
    dialect = ResultClient("ann", "hush")
    assert (dialect.begun().send, dialect.begun().ask) == (PROBE, "")
    assert dialect.automatic_lines[0] == "LOGIN ann hush"
    without = ResultClient("ann")
    assert (without.begun().send, without.begun().ask) == (PROBE, "LOGIN ann ")
    assert not without.automatic_lines


def test_words_that_need_the_conversation() -> None:
    talk = Talk()
    talk.log_in("den, garden")
    dialect = talk.dialect
    assert dialect.current == "den"
    assert dialect.history("5").send == "HISTORY den 5"
    assert dialect.history("garden 5").send == "HISTORY garden 5"
    assert dialect.topic("All about plants").send == "TOPIC den All about plants"
    assert dialect.topic("garden Tea").send == "TOPIC garden Tea"
    assert dialect.topic("").send == "TOPIC den"
    assert dialect.seen("").send.startswith("SEEN den 9999")
    assert dialect.seen("nowhere").refused
    assert dialect.enter("LOGIN", "bob").ask == "LOGIN bob "
    dialect.typed("SAY @bob")
    assert dialect.history("").refused
    assert dialect.seen("").refused
    assert talk.hear("RECV bob garden * waves") == "[garden] * bob waves"
