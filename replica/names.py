"""What the parts of a cluster share: names in the engines, requests to them, and how a process ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from replica.link import EngineLink
from replica.nats import Message

ANSWER_SECONDS = 0.5
"""After this an engine's answer is not waited for: the request is sent again."""

NO_RESPONDERS = 503
WRONG_LAST_SEQUENCE = 10071
NO_SUCH_STREAM = 10059


class Ending(BaseException):
    """This process ends; nothing in its memory may be told to anybody. Not an Exception: nothing may handle it."""


class SteppedDown(Ending):
    """The program begins again, as a backup, with a new run."""


class Unfit(Ending):
    """The node cannot belong to this cluster; the message says why and what to do."""


class Names(NamedTuple):
    """The stream and subjects of a cluster in its engines. Several clusters can share engines."""

    cluster: str

    @property
    def stream(self) -> str:
        return f"CT_{self.cluster}"

    @property
    def journal(self) -> str:
        """Where entries are appended."""
        return f"ct.{self.cluster}.j"

    @property
    def feed(self) -> str:
        """Where the engines send each entry once, after it was stored."""
        return f"ct.{self.cluster}.r"

    @property
    def presence(self) -> str:
        """Where nodes announce themselves."""
        return f"ct.{self.cluster}.p"

    @property
    def snapshot(self) -> str:
        """Where a copy of the file is asked for."""
        return f"ct.{self.cluster}.snap"

    def leader(self, run: str) -> str:
        """Where this run's process answers while it leads."""
        return f"ct.{self.cluster}.n.{run}"


def ask(
    link: EngineLink,
    names: Names,
    request: str,
    handler: Callable[[Message], None],
    fields: Mapping[str, Any],
    *,
    instead_of: str,
) -> str:
    """Send a request to the engines' API about the log; return its reply subject.

    Args:
        link: the connection to an engine.
        names: the cluster's names.
        request: its name in the API.
        handler: gets each answer, until the reply subject is forgotten.
        fields: of the request; none for a request without content.
        instead_of: the reply subject of the request before, whose answers no longer count; "" for none.
    """
    link.forget(instead_of)
    reply = link.expect(handler)
    link.publish(f"$JS.API.{request}.{names.stream}", json.dumps(fields).encode() if fields else b"", reply=reply)
    return reply


_load = json.JSONDecoder().decode


def read_answer(payload: bytes) -> Mapping[str, Any]:
    """Return the fields of an answer; none where it has no content, as that without responders."""
    try:
        fields = _load(payload.decode())
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def error_code(answer: Mapping[str, Any]) -> int:
    """Return the engine's number of an error; 0 for none."""
    error = answer.get("error")
    return error.get("err_code", 0) if isinstance(error, dict) else 0


def sequence_of(message: Message) -> int:
    """Return the sequence of an entry that the engines have sent; 0 for what is no entry."""
    number = message.header("Nats-Sequence")
    return int(number) if number.isascii() and number.isdigit() else 0


def digest_of(payload: bytes) -> str:
    """Return the hash of an entry that the file keeps."""
    return hashlib.sha256(payload).hexdigest()
