"""A bus in place of the connections to an engine: what one node publishes, the others hear at `deliver`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from replica import nats
from replica.nats import NO_HEADERS, Message

Handler = Callable[[Message], None]


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Bus:
    """All links of a test. `engine` answers what goes to the engines' own API; `loses` drops what it likes."""

    def __init__(self) -> None:
        self.links: list[BusLink] = []
        self.waiting: deque[Message] = deque()
        self.sent: list[Message] = []
        self.engine: Callable[[Message], bytes | None] = lambda _message: None
        self.loses: Callable[[Message], bool] = lambda _message: False

    def link(self) -> Any:
        """Return a link; typed so that it stands for an EngineLink."""
        self.links.append(BusLink(self))
        return self.links[-1]

    def deliver(self) -> None:
        """Deliver all that waits, and what is published meanwhile."""
        while self.waiting:
            message = self.waiting.popleft()
            if self.loses(message):
                continue
            if message.subject.startswith("$JS."):
                answer = self.engine(message)
                if answer is not None:
                    self.waiting.append(message._replace(subject=message.reply, payload=answer, head=b""))
                continue
            for link in self.links:
                link.hear(message)


class BusLink:
    """One node's link."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._handlers: dict[str, Handler] = {}

    def subscribe(self, subject: str, handler: Handler) -> int:
        self._handlers[subject] = handler
        return len(self._handlers)

    def expect(self, handler: Handler) -> str:
        reply = f"_INBOX.{id(self)}.{len(self._handlers)}"
        self._handlers[reply] = handler
        return reply

    def forget(self, reply: str) -> None:
        self._handlers.pop(reply, None)

    def publish(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        message = Message(subject, 1, reply, 0, nats.head_of(headers), payload)
        self._bus.sent.append(message)
        self._bus.waiting.append(message)

    def hear(self, message: Message) -> None:
        handler = self._handlers.get(message.subject)
        if handler is not None:
            handler(message)
