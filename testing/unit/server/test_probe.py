"""The probe of an older connection when a login is refused (R50), with machines that do not answer any more."""

from __future__ import annotations

import ctypes
import socket
import sys
import time
from pathlib import Path

import pytest

from harness.peer import PATIENCE, Peer
from harness.servers import ServerProcess
from net.tcp import PROBE_SECONDS

SO_ATTACH_FILTER = 26


def fall_silent(peer: Peer) -> None:
    """Have the kernel drop all that comes for this socket, unseen: its machine seems to have vanished."""

    class Instruction(ctypes.Structure):
        _fields_ = (
            ("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint),
        )  # fmt: skip

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(Instruction)))

    drop_all = Instruction(6, 0, 0, 0)  # BPF_RET, with 0 bytes
    program = Program(1, ctypes.pointer(drop_all))
    peer.socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(program))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the socket filter is Linux's")
@pytest.mark.parametrize("keepalive", [0, 60])
def test_a_silent_machine_is_closed_and_a_frozen_program_is_not(tmp_path: Path, keepalive: int) -> None:
    with (
        ServerProcess(tmp_path, f"keepalive-seconds {keepalive}") as server,
        server.user("gone") as gone,
        server.user("owed") as owed,
        server.user("frozen"),  # reads nothing from now on
        server.user("alice") as alice,
        server.peer() as again,
    ):
        fall_silent(gone)
        fall_silent(owed)
        assert alice.ask("SAY @owed hello") == ["RECV alice @owed hello"]  # in flight: no keepalive is sent
        began = time.monotonic()
        refused = [f"LOGIN {name} {name}" for name in ("frozen", "gone", "owed")]
        assert again.ask(*refused) == ["RESULT LOGIN 0"] * 3
        for name in ("gone", "owed"):
            while again.ask(f"LOGIN {name} {name}") != ["RESULT LOGIN 1"]:
                assert time.monotonic() - began < PATIENCE
            assert time.monotonic() - began >= PROBE_SECONDS
            assert again.ask("LOGOUT") == ["RESULT LOGOUT 1"]
        assert again.ask("LOGIN frozen frozen") == ["RESULT LOGIN 0"]
