"""The words for the server's answers in the dialect `result`. An answer that says no names its one cause. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ui.dialects.base import Answer
from ui.rendering import Fragments, bad, good, plain, render_user

FAILURE = re.compile(
    r"RESULT (ERROR( .*)?|SEND ERROR|(?!HISTORY |CHANNELS |KICKED |UNMUTED |RENAMED |(WHO|JOINED) .*, )\S+( \S*)? 0)"
)
"""Matches a negative answer. HISTORY's 0 is a number, and a list, KICKED and the like may end in the name 0."""

ACT = "* "
"""The start of a message that tells what its sender does."""


def render_message(sender: str, channel: str, text: str) -> Fragments:
    """Render a message with its channel and sender."""
    where: Fragments = [("class:channel", f"[{channel}]"), ("", " ")]
    if text.startswith(ACT):
        return [*where, ("", ACT), render_user(sender), ("", text[1:])]
    return [*where, render_user(sender), ("", f": {text}")]


def render_new() -> Fragments:
    """Render the line before the first new message."""
    return [("class:new", "---- new ----")]


def render_topic(channel: str, text: str) -> Fragments:
    """Render what a channel is about."""
    return plain("Topic of {0}: {1}")(channel, text) if text else plain("{0} has no topic.")(channel)


NOT_LOGGED_IN = "you are not logged in. /login <user> logs in."
NOT_IN_IT = "you are not in it; /join {0} enters it."
REMOTE = "it is on another server."

Update = Callable[..., Fragments | None]


def table(updates: Mapping[str, Update]) -> Sequence[Answer]:
    """Return the table of answers.

    Args:
        updates: for some patterns what changes the dialect's state, see `Answer.update`.
    """
    return [Answer(pattern, render, updates.get(pattern, lambda *_words: None)) for pattern, render in WORDS]


WORDS: Sequence[tuple[str, Callable[..., Fragments]]] = (
    (r"RECV (\S+) (\S+) (.*)", render_message),
    (r"RESULT ERROR (.*)", bad("Error: {0} (HELP <command> explains a command)")),
    (r"RESULT REGISTER 1", good("You are registered; LOGIN with the same words.")),
    (r"RESULT REGISTER 0", bad("Not registered: the name is taken.")),
    (r"RESULT LOGIN 1", good("You are logged in.")),
    (r"RESULT LOGIN 0", bad("Not logged in: the name or the password is wrong, or there is a login elsewhere.")),
    (r"RESULT LOGOUT 1", good("Logged out; you stay in your channels.")),
    (r"RESULT LOGOUT 0", bad("You are not logged in.")),
    (r"RESULT PASSWORD 1", good("You have a new password.")),
    (r"RESULT PASSWORD 0", bad("No new password: the old one is wrong.")),
    (r"RESULT CHANNELS", plain("Channels: none")),
    (r"RESULT CHANNELS (.+)", plain("Channels: {0}")),
    (r"RESULT CREATE (\S+) 1", good("{0} is there now; JOIN {0} enters it.")),
    (r"RESULT CREATE (\S+) 0", bad("Cannot make {0}: it is there already, or cannot be a name.")),
    (r"RESULT INVITE (\S+) 1", good("The user may join {0} now.")),
    (
        r"RESULT INVITE (\S+) 0",
        bad("Cannot invite to {0}: you may not, or the user cannot join it."),
    ),
    (r"RESULT JOIN (\S+) 1", good("You are in {0}.")),
    (r"RESULT JOIN (\S+) 0", bad("Cannot join {0}.")),
    (r"RESULT LEAVE (\S+) 1", good("You have left {0}.")),
    (r"RESULT LEAVE (\S+) 0", bad("Cannot leave {0}: you are not in it.")),
    (r"RESULT USERS (\S+) 0", bad(f"Cannot list {{0}}: {NOT_IN_IT}")),
    (r"RESULT USERS (\S+) (.+)", plain("In {0}: {1}")),
    (r"RESULT SAY 0", bad("Not said: " + NOT_LOGGED_IN)),
    (r"RESULT SAY (\S+) 0", bad("Not said in {0}: its server has not taken it.")),
    (r"RESULT SEND ERROR", bad("Not sent: " + NOT_LOGGED_IN)),
    (r"RESULT HISTORY (\S+) 0", plain("Nothing has been said in {0}.")),
    (r"RESULT HISTORY (\S+) (\d+)", plain("Messages repeated from {0}: {1}")),
    (r"RESULT HELP 0", bad("There is no such command; HELP lists them.")),
    (r"RESULT HELP (.+)", plain("Help: {0}")),
    (r"RESULT PING 1", good("The server is there.")),
    (r"RESULT KICKED (\S+)", bad("You have been removed from {0}.")),
    (r"RESULT MUTED (\S+) (\S+)", bad("You are muted in {0} for {1} seconds.")),
    (r"RESULT UNMUTED (\S+)", good("You may speak in {0} again.")),
    (r"RESULT RENAMED (\S+) (\S+)", good("{0} is called {1} now.")),
    (r"RESULT TAGS 1", good("The tags are set.")),
    (r"RESULT TAGS 0", bad("There is no such tag.")),
    (r"RESULT JOINED 0", bad("No channels: " + NOT_LOGGED_IN)),
    (r"RESULT JOINED", plain("You are in no channel.")),
    (r"RESULT JOINED (.+)", plain("Your channels: {0}")),
    (r"RESULT WHO 0", bad("Cannot tell who is here: " + NOT_LOGGED_IN)),
    (r"RESULT WHO (\S+) 0", bad(f"Cannot list {{0}}: {NOT_IN_IT}")),
    (r"RESULT WHO (\S+)", plain("Online: {0}")),
    (r"RESULT WHO (\S+, .+)", plain("Online: {0}")),
    (r"RESULT WHO (\S+) (.+)", plain("Online in {0}: {1}")),
    (r"RESULT PRESENCE 1", good("You are told who comes and goes.")),
    (r"RESULT PRESENCE 0", bad("You are not told who comes and goes: " + NOT_LOGGED_IN)),
    (r"RESULT SEEN (\S+) 1", good("All of {0} counts as read.")),
    (r"RESULT SEEN (\S+) 0", bad(f"Cannot count {{0}} as read: {NOT_IN_IT}")),
    (r"RESULT UNREAD 0", bad("Nothing is counted: " + NOT_LOGGED_IN)),
    (r"RESULT UNREAD", plain("Nothing is unread.")),
    (r"RESULT UNREAD (.+)", plain("Unread: {0}")),
    (r"RESULT TOPIC (\S+)", lambda channel: render_topic(channel, "")),
    (r"RESULT TOPIC (\S+) 1", good("The topic of {0} is set.")),
    (r"RESULT TOPIC (\S+) 0", bad(f"The topic of {{0}} is as it was: {NOT_IN_IT}")),
    (r"RESULT TOPIC (\S+) (.+)", render_topic),
    (r"TOPIC (\S+) (\S+)", good("{0} has cleared the topic of {1}.")),
    (r"TOPIC (\S+) (\S+) (.+)", good("{0} has set the topic of {1}: {2}")),
    (r"PRESENCE (\S+) on", plain("{0} is online.")),
    (r"PRESENCE (\S+) off", plain("{0} has gone.")),
    (r"(.*)", plain("{0}")),
)
"""The words of each answer, by its pattern. The last row matches every line."""

NO_LONGER_IN = bad("You are no longer in {0}: its server is back, and does not let you in again.")
"""The words for a JOIN that has failed and that the user has not asked for."""
