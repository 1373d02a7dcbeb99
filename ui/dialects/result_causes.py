"""Why the server of `result` has said no. Its answer does not tell, so the one cause is found from what is known of the
conversation, and from a list of the channels. Pure.
"""

from __future__ import annotations

import re
from functools import partial

from ui.dialects.result_answers import NOT_IN_IT, NOT_LOGGED_IN, REMOTE
from ui.dialects.result_commands import HOST_OF_CHANNEL
from ui.dialects.result_state import Request, State
from ui.rendering import Fragments, Line, bad, lines_of


def not_told(state: State, _request: Request | None, name: str) -> Fragments | None:
    """Nothing is told of a channel: its history, its members."""
    if not state.user:
        return bad(f"Nothing is told of {{0}}: {NOT_LOGGED_IN}")(name)
    if HOST_OF_CHANNEL in name:
        return bad(f"Nothing is told of {{0}}: {REMOTE}")(name)
    return None if name in state.joined else bad(f"Nothing is told of {{0}}: {NOT_IN_IT}")(name)


def no_topic(state: State, request: Request | None, name: str) -> Fragments | None:
    """A topic is not set, or not told."""
    if name in state.joined:
        return bad("The topic of {0} is as it was: the server does not take it.")(name)
    return not_told(state, request, name)


def not_left(state: State, _request: Request | None, name: str) -> Fragments | None:
    """The user stays in a channel, or was not in it."""
    return None if state.user else bad(f"Cannot leave {{0}}: {NOT_LOGGED_IN}")(name)


def no_new_password(state: State, _request: Request | None) -> Fragments | None:
    """The password is as it was."""
    return None if state.user else bad(f"No new password: {NOT_LOGGED_IN}")()


def not_registered(_state: State, request: Request | None) -> Fragments | None:
    """There is no new account."""
    if request and not may_be_name(request.target):
        return bad("Not registered: {0} cannot be a name.")(request.target)
    return None


def not_said(state: State, request: Request | None) -> Fragments | None:
    """A message was refused: by SAY."""
    return _refused(state, "Not said", request)


def not_sent(state: State, request: Request | None) -> Fragments | None:
    """A message was refused: by SEND."""
    return _refused(state, "Not sent", request)


def _refused(state: State, what: str, request: Request | None) -> Fragments | None:
    target = request.target if request else state.current
    if state.login_pending:
        return bad(f"{what}: the login is still being repeated. The up arrow brings the line back.")()
    if not state.user:
        return None
    if target.startswith("@"):
        known = target[1:] in state.users
        why = "too much waits for {0} already." if known else "there is nobody called {0}."
        return bad(f"{what}: {why}")(target[1:])
    if target not in state.joined:
        return bad(f"{what}: you are not in {{0}}; /join {{0}} enters it.")(target)
    return bad(f"{what}: you are muted in {{0}}.")(target)


def not_joined(state: State, name: str) -> None:
    """A JOIN of a channel that the user is not in has failed: ask for the reason."""
    state.ask("CHANNELS", partial(_explain_join, state, name))


def _explain_join(state: State, name: str, words: str | None) -> list[Line]:
    if name in state.joined:
        return []
    names = (words or "").split(", ")
    state.channels.add(*filter(None, names))
    host = name.partition(HOST_OF_CHANNEL)[2]
    if name in names:
        return lines_of(cannot_join(name, f"{host} does not let you in." if host else "it is full."))
    if host and not any(other.endswith(f"{HOST_OF_CHANNEL}{host}") for other in names):
        return lines_of(cannot_join(name, f"there is no link to {host}."))
    make = "" if host or not may_be_name(name) else f" /create {name} makes it."
    return lines_of(cannot_join(name, f"there is no such channel.{make}"))


def cannot_join(name: str, why: str) -> Fragments:
    """Tell why a channel cannot be entered."""
    return bad("Cannot join {0}: {1}")(name, why)


def not_created(state: State, _request: Request | None, name: str) -> Fragments | None:
    """There is no new channel."""
    if not state.user:
        return bad(f"Cannot make {{0}}: {NOT_LOGGED_IN}")(name)
    state.ask("CHANNELS", partial(_explain_create, name))
    return []


def _explain_create(name: str, words: str | None) -> list[Line]:
    if name in (words or "").split(", "):
        return lines_of(bad("Cannot make {0}: it is there already; /join {0} enters it.")(name))
    if not may_be_name(name):
        return lines_of(bad("Cannot make {0}: that cannot be a name.")(name))
    return lines_of(bad("Cannot make {0}: the server takes no more channels.")(name))


def may_be_name(name: str) -> bool:
    """Tell whether a word may be the name of a user or channel, as far as a client can know."""
    return 0 < len(name) <= 64 and not name.startswith("/") and not re.search("[,:@|]", name)
