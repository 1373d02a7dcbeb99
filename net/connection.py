"""Connections: input, the owner, and how a connection ends. `net.output` has their writing half.

Bytes move in three places: `Output.flush` writes, `_receive` reads, and `_linger` discards unread input.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Protocol

from net.addresses import network_of
from net.limits import UNKNOWN
from net.output import Output, State
from net.table import SHARE_IS_USED, CloseReason, ConnectionTable
from net.tcp import PROBE_SECONDS, disable_keepalive, enable_keepalive, probe_keepalive, unacknowledged_for
from net.timers import Deadline
from net.watched import READ_SIZE, Truncated

DISCARDED_READS = 16
"""Reads of input that is dropped before a connection lingers."""

LINGER_SECONDS = 2.0
"""Seconds that a connection which we closed waits for its peer to close too. Closing a socket while it holds unread
input makes the kernel send a reset, which can destroy our last output on its way."""

PROBE_GRACE = 0.5
"""Seconds after which the kernel must have closed the connection of a machine that does not answer probes."""

log = logging.getLogger("crosstalk.loop")


class Receiver(Protocol):
    """The owner of a connection, to which it reports. Every call comes from the loop's thread."""

    @property
    def kind(self) -> str:
        """The dialect of a session; "" for what is no session, such as a handshake."""
        return ""

    def received(self, data: bytes) -> None:
        """Input has arrived."""

    def ended(self) -> None:
        """The peer has half-closed: it sends no more, and may still read."""

    def drained(self) -> None:
        """The connection was congested and has nothing left to send. May be called within `Connection.send`."""

    def lost(self, reason: CloseReason) -> None:
        """The connection has ended. Called exactly once, never from within a call that the owner makes."""


class Connection(Output):
    """A connected socket with a bounded output buffer and an owner.

    Args:
        table: of all connections; this one enters it.
        sock: connected.
    """

    __slots__ = ("_address", "_login", "_reason", "owner")

    owner: Receiver

    def __init__(self, table: ConnectionTable[Any], sock: socket.socket) -> None:
        super().__init__(table, sock)
        self._reason = CloseReason.LOST
        self._address = ""
        self._login: Deadline | float | None = None
        """The login time-out. While its time stands still, the seconds that are left of it."""

    def count_for(self, address: str) -> None:
        """Count for an address (C19), and close unless a line comes in time (C18).

        Args:
            address: as `addresses.network_of` gives it.
        """
        self._address = address
        self._table.clients_at[address] += 1
        if self._table.login_seconds:
            self._login = self._loop.call_later(self._table.login_seconds, self._login_timed_out)

    def recount_for(self, address: str) -> bool:
        """Count for the address of a client behind a proxy (W5), which the log shows from then on.

        Args:
            address: of the client.

        Returns:
            False if that address has its share of connections already. Then nothing changes, but the log says so.
        """
        network = "" if self._table.is_exempt(address) else network_of(address)
        if reason := self._table.limit_for(network):
            neighbours = self._table.clients_at[network]
            self._table.limits.note(reason, address, SHARE_IS_USED, neighbours, network, connection=self.number)
            return False
        self._note_host(address)
        self._table.uncount(self._address)
        self._address = ""
        self.note_first_line()
        if network:
            self.count_for(network)
        return True

    def attach_owner(self, accepted: Callable[[Connection], Receiver]) -> None:
        """Get the owner of a new connection.

        Args:
            accepted: returns the owner. If it raises, the connection is closed, and the exception is passed on.
        """
        try:
            self.owner = accepted(self)
        except Exception:
            self.close(CloseReason.FAULT)
            raise
        host, port = self.remote_address
        log.debug("connection opened address=%s port=%d", host or UNKNOWN, port, extra=self.log_mark())
        if self._table.keepalive_seconds:
            self._table.check_later()

    # ---- for the owner ----

    def note_first_line(self) -> None:
        """Cancel the login time-out: the first line has arrived (C18)."""
        if isinstance(self._login, Deadline):
            self._loop.cancel(self._login)
        self._login = None

    def hold_login_timeout(self) -> None:
        """Have the time of the login time-out stand still (C18), until `resume_login_timeout`."""
        if isinstance(self._login, Deadline):
            rest = self._login.when - self._loop.monotonic()
            self.note_first_line()
            self._login = rest

    def resume_login_timeout(self) -> None:
        """Have the time of the login time-out go on, if it stands still."""
        if isinstance(self._login, float):
            self._login = self._loop.call_later(self._login, self._login_timed_out)

    def finish(self, reason: CloseReason = CloseReason.GOODBYE) -> None:
        """Close when all queued output has left; from now on input is discarded and nothing more is queued."""
        if self._state is State.OPEN:
            self._set_apart()
            self._state = State.FINISHING
            if self._reason is not CloseReason.PEER:
                self._reason = CloseReason.SHUTDOWN if self._table.draining else reason
            self._want(self._events | EVENT_READ)  # input is read and dropped, see LINGER_SECONDS
            self._loop.flush_later(self)

    def close(self, reason: CloseReason) -> None:
        """Close now and drop pending output. Idempotent: the first reason counts."""
        if self._state is not State.CLOSED:
            if self._state is State.OPEN:
                self._reason = reason
            self._set_apart()
            self._state = State.CLOSED
            self._loop.free_later(self)

    def refuse(self) -> None:
        """Close now, because the connection is not admitted."""
        self.close(CloseReason.REFUSED)

    def probe(self) -> None:
        """Close within about PROBE_SECONDS if the peer's machine is silent, whatever keepalive-seconds says (R50).

        A machine answers for a program that does not read. No-op while a probe is under way: more probes in the same
        time would close the connection of a machine that is far away.
        """
        if self._state is not State.CLOSED and self not in self._table.probed:
            self._table.probed.add(self)
            with contextlib.suppress(OSError):  # some systems refuse options of a socket that was reset
                probe_keepalive(self.sock)
            self._loop.call_later(PROBE_SECONDS + PROBE_GRACE, self._probed)

    def pause_reading(self) -> None:
        """Receive nothing for now: the kernel's buffer fills, which is back-pressure on the peer."""
        if self._state is State.OPEN:
            self._want(self._events & ~EVENT_READ)

    def resume_reading(self) -> None:
        """Receive again."""
        if self._state is State.OPEN:
            self._want(self._events | EVENT_READ)
            if self.is_secure:
                self.receive_soon()

    def receive_soon(self) -> None:
        """Receive in the next turn, also without an event: TLS may hold input that it has received before."""
        self._loop.call_soon(partial(self, EVENT_READ))

    def half_close(self) -> bool:
        """End our side of the connection, after all output has left; input comes as before.

        Returns:
            False if the connection takes nothing now: call again later.

        Raises:
            OSError: the connection is broken.
        """
        try:
            self._wire.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return False
        return True

    # ---- for the loop ----

    def __call__(self, mask: int) -> None:
        """The descriptor is ready, or was when the selector was asked."""
        mask &= self._events
        try:
            if mask & EVENT_WRITE and self._state is not State.CLOSED:
                self.flush()
            if mask & EVENT_READ and self._state is not State.CLOSED:
                self._receive()
        except Exception:
            self.fault()

    def _receive(self) -> None:
        try:
            data = self._wire.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._receiving_failed(error)
            return
        self._table.received += len(data)
        if self._state is State.OPEN:
            if data:
                self.owner.received(data)
            else:
                self._reason = CloseReason.PEER
                self._want(self._events & ~EVENT_READ)
                self.owner.ended()
        elif not data:
            self._peer_ended_while_finishing()

    def _receiving_failed(self, error: OSError) -> None:
        if isinstance(error, Truncated) and self._state is not State.OPEN:  # this input is dropped anyway
            self._peer_ended_while_finishing()
        else:
            self.close(CloseReason.LOST)

    def _peer_ended_while_finishing(self) -> None:
        if self._state is State.LINGERING:
            self.close(self._reason)
        else:
            self._want(self._events & ~EVENT_READ)

    def _login_timed_out(self) -> None:
        self._login = None
        if self._state is State.OPEN:
            self.report_limit("login-seconds", "(has not begun a session within %g seconds)", self._table.login_seconds)
            self.close(CloseReason.SILENT)

    def _all_sent(self) -> None:
        if self._state is State.FINISHING:
            self._linger()
        elif self._state is State.OPEN:
            self._plain = not self.is_secure
            if self._plain:
                self._table.fanout.apart.pop(self, None)
            if self.congested:
                self.congested = False
                self.owner.drained()

    def _linger(self) -> None:
        """All output has left: half-close, and wait a while for the peer to close."""
        try:
            if not self.half_close():
                self._block(progress=False)
                return
            self._state = State.LINGERING
            ended = any(not self.sock.recv(READ_SIZE) for _ in range(DISCARDED_READS))
        except BlockingIOError:
            ended = self._table.draining  # nothing is unread, and there is no time to wait
        except OSError:
            ended = True  # the peer has gone first
        if ended:
            self.close(self._reason)
        else:
            self._loop.call_later(LINGER_SECONDS, self.abort_linger)

    def check_for_reset(self) -> None:
        """Close if the peer has reset the connection, which no event reports while the socket is not watched."""
        if self._state is not State.CLOSED and self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.close(CloseReason.LOST)

    def check_for_silence(self, seconds: float, why: str = "keepalive-seconds") -> None:
        """Close if the peer has acknowledged nothing for this long while data was in flight.

        Args:
            seconds: the time.
            why: what sets it, for the log.
        """
        if self._state is not State.CLOSED and unacknowledged_for(self.sock) > seconds:
            log.warning(
                "closing %s: its machine has been silent for %g seconds (%s)", self, seconds, why, extra=self.log_mark()
            )
            self.close(CloseReason.LOST)

    def _probed(self) -> None:
        """A probe is over. The kernel has closed the connection of a silent machine, unless data is in flight."""
        self._table.probed.discard(self)
        self.check_for_reset()
        self.check_for_silence(PROBE_SECONDS, "its user logs in elsewhere")
        if self._state is not State.CLOSED:
            with contextlib.suppress(OSError):
                if self._table.keepalive_seconds:
                    enable_keepalive(self.sock, self._table.keepalive_seconds)
                else:
                    disable_keepalive(self.sock)

    def abort_linger(self) -> None:
        """Do not wait for the peer to close."""
        if self._state is State.LINGERING:
            self.close(self._reason)

    def free(self) -> None:
        """Release all resources, and tell the owner. Called by the loop at the end of the turn of `close`."""
        log.debug("connection closed reason=%s", self._reason.name.lower(), extra=self.log_mark())
        self._release()
        self._table.remove(self, self._reason, self._address)
        self.note_first_line()
        self._drop_output()
        if hasattr(self, "owner"):  # missing if `accepted` has raised
            self.owner.lost(self._reason)
            del self.owner  # breaks the reference cycle, so that both are freed at once
