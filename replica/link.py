"""The connection to an engine: one at a time, the next one when it fails.

| state | begins | ends |
| --- | --- | --- |
| closed | no engine is connected | `tick` dials the next one, after PAUSE when all have failed |
| opening | dialled; INFO, perhaps TLS, then CONNECT, all SUBs and PING | PONG: open, and `opened` is called |
| open | messages go both ways | broken, silent for ENGINE_SILENCE, lame duck, `-ERR`, or bytes that are no frames |

A link does nothing by itself: the loop calls `ready` when its socket is, and its owner calls `tick` every TICK seconds.
While an entry is undecided nothing else may run; then `wait` polls this one socket.

What is published while no engine is open is lost, as it is when an engine dies. A caller that needs an answer asks
again.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence

from replica import nats
from replica.nats import Complaint, Control, Info, Message
from replica.network import Address, Network, Pipe

TICK = 0.05
"""Seconds between two calls of `tick`."""

PING_SECONDS = 0.5
"""How often the engine is asked whether it is there."""

ENGINE_SILENCE = 1.5
"""Seconds after which an engine that says nothing is left for the next one."""

OWN_PAUSE = 1.0
"""Seconds between two ticks from which on this process was paused: the silence of others proves nothing then."""

PAUSE = 0.1
"""Seconds before the next attempt after every engine has failed."""

MAX_PENDING = 8 * 1024 * 1024
"""Bytes that may wait for an engine that does not read; then it is left."""

WANTS_TLS = "wants TLS; write tls at the end of the line that names the engines"

CHECK_PASSWORD = "; see the directive engine-password-file"

log = logging.getLogger("crosstalk.replica")


class EngineLink:
    """The connection to whichever engine answers.

    Args:
        engines: all engines, the one to try first at the beginning.
        network: clock and sockets.
        run: the name of this run of the process, unlike any other's; the engine knows the connection by it.
        user, password: the credentials; "" for none.
        tls: talk with no engine without TLS.

    Attributes:
        opened: called when an engine has taken all subscriptions: what it publishes from now on arrives.
        settled: called when all that had arrived has been handed to its handlers.
        engine: the engine that is connected or being connected; None for none.
        is_open: whether messages can be sent.
        openings: how often an engine has taken the subscriptions.
    """

    def __init__(
        self,
        engines: Sequence[Address],
        network: Network,
        *,
        run: str,
        user: str = "",
        password: str = "",
        tls: bool = False,
    ) -> None:
        self.opened: Callable[[], None] = lambda: None
        self.settled: Callable[[], None] = lambda: None
        self.engine: Address | None = None
        self.is_open = False
        self.openings = 0
        self._engines = engines
        self._network = network
        self._tls = tls
        self._greeting = nats.connect(run, user, password)
        self._handlers: dict[int, tuple[str, Callable[[Message], None]]] = {}
        self._numbers = itertools.count(1)
        self._inbox = f"_INBOX.{run}."
        self._expected: dict[str, Callable[[Message], None]] = {}
        self._pipe: Pipe | None = None
        self._decoder = nats.Decoder()
        self._is_secure = False
        self._pending = bytearray()
        self._next = 0
        self._failed = 0
        self._dial_at = 0.0
        self._heard = self._pinged = self._ticked = network.monotonic()
        self.subscribe(f"{self._inbox}*", self._answered)

    def subscribe(self, subject: str, handler: Callable[[Message], None]) -> int:
        """Call `handler` with each message to this subject, at every engine; return a number for `unsubscribe`."""
        sid = next(self._numbers)
        self._handlers[sid] = subject, handler
        if self.is_open:
            self._send(nats.subscribe(subject, sid))
        return sid

    def unsubscribe(self, sid: int) -> None:
        """End a subscription."""
        if self._handlers.pop(sid, None) is not None and self.is_open:
            self._send(nats.unsubscribe(sid))

    def publish(
        self, subject: str, payload: bytes = b"", *, reply: str = "", headers: Mapping[str, str] = nats.NO_HEADERS
    ) -> None:
        """Send a message, if an engine is open."""
        if self.is_open:
            self._send(nats.publish(subject, payload, reply, headers))

    def expect(self, handler: Callable[[Message], None]) -> str:
        """Return a new reply subject, the messages to which go to `handler` until `forget`."""
        reply = f"{self._inbox}{next(self._numbers)}"
        self._expected[reply] = handler
        return reply

    def forget(self, reply: str) -> None:
        """Ignore what still comes to a reply subject."""
        self._expected.pop(reply, None)

    def _answered(self, message: Message) -> None:
        handler = self._expected.get(message.subject)
        if handler is not None:
            handler(message)

    def tick(self) -> None:
        """Dial, ask whether the engine is there, or leave it. To be called every TICK seconds."""
        now = self._network.monotonic()
        if now - self._ticked > OWN_PAUSE:
            self._heard = now
        self._ticked = now
        if self._pipe is None:
            if now >= self._dial_at:
                self._dial(now)
        elif now - self._heard > ENGINE_SILENCE:
            self._leave(f"has been silent for {ENGINE_SILENCE:g} seconds")
        elif self.is_open and now - self._pinged >= PING_SECONDS:
            self._pinged = now
            self._send(nats.PING)

    def wait(self, seconds: float) -> None:
        """Wait for the engine, for at most so many seconds, and handle what arrives."""
        if self._pipe is None:
            self._network.sleep(seconds)
        else:
            self._pipe.wait(seconds)
            self.ready()

    def ready(self) -> None:
        """The socket has something to receive, or takes more."""
        pipe = self._pipe
        if pipe is None:  # a stale event
            return
        try:
            self._flush()
            data = pipe.receive()
        except OSError as error:
            self._leave(error.strerror or str(error))
            return
        if data is None:
            return
        if not data:
            self._leave("closed the connection")
            return
        self._heard = self._network.monotonic()
        decoder = self._decoder
        try:
            for frame in decoder.feed(data):
                self._take(frame)
                if self._decoder is not decoder or self._pipe is not pipe:
                    return
        except nats.ProtocolError as error:
            self._leave(f"says what cannot be understood: {error}")
        self.settled()

    def close(self) -> None:
        """Close the connection; nothing is called any more."""
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = self.engine = None
        self.is_open = False
        self._dial_at = float("inf")

    def _take(self, frame: nats.Frame) -> None:
        match frame:
            case Message():
                handler = self._handlers.get(frame.sid)
                if handler is not None:
                    handler[1](frame)
            case Control("PING"):
                self._send(nats.PONG)
            case Control("PONG") if not self.is_open:
                self._open()
            case Info():
                self._informed(frame)
            case Complaint():
                hint = CHECK_PASSWORD if frame.text.startswith("Authorization") else ""
                self._leave(f"complains: {frame.text}{hint}")

    def _informed(self, info: Info) -> None:
        if info.options.get("ldm"):
            self._leave("is about to stop")
        elif self._tls and not self._is_secure:
            self._secure(info)
        elif info.options.get("tls_required") and not self._is_secure:
            self._leave(WANTS_TLS)
        elif not self.is_open:
            self._greet()

    def _secure(self, info: Info) -> None:
        """Begin TLS. What came before it, and stands behind this INFO, is not trusted, and dropped."""
        if not (info.options.get("tls_required") or info.options.get("tls_available")):
            self._leave("offers no TLS")
            return
        assert self._pipe is not None
        self._is_secure, self._decoder = True, nats.Decoder()
        try:
            self._pipe.secure()
        except OSError as error:
            self._leave(error.strerror or str(error))
        else:
            self._greet()

    def _greet(self) -> None:
        subscriptions = (nats.subscribe(subject, sid) for sid, (subject, _handler) in self._handlers.items())
        self._send(b"".join((self._greeting, *subscriptions, nats.PING)))

    def _open(self) -> None:
        self.is_open = True
        self.openings += 1
        self._failed = 0
        log.info("connected to engine %s", self.engine)
        self.opened()

    def _dial(self, now: float) -> None:
        self.engine = self._engines[self._next % len(self._engines)]
        self._decoder = nats.Decoder()
        self._is_secure = False
        self._pending.clear()
        self._heard = self._pinged = now
        try:
            self._pipe = self._network.dial(self.engine, self.ready)
        except OSError as error:
            self._leave(error.strerror or str(error))

    def _leave(self, reason: str) -> None:
        """Close this connection; the next `tick` goes on with the next engine."""
        if self.is_open or not self._failed:
            log.warning("engine %s %s", self.engine, reason)
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = self.engine = None
        self.is_open = False
        self._next += 1
        self._failed += 1
        pause = PAUSE if self._failed % len(self._engines) == 0 else 0.0
        self._dial_at = self._network.monotonic() + pause

    def _send(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) > MAX_PENDING:
            self._leave("does not read")
            return
        try:
            self._flush()
        except OSError as error:
            self._leave(error.strerror or str(error))

    def _flush(self) -> None:
        if self._pending and self._pipe is not None:
            sent = self._pipe.send(self._pending)
            del self._pending[:sent]
            self._pipe.want_to_send(bool(self._pending))
