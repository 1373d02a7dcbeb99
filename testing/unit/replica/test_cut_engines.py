"""The cable between engines: one end may come later than the other."""

from __future__ import annotations

import socket

from harness.text import LOOPBACK
from support.cut_engines import Cable


def test_a_cable_whose_far_end_comes_later_carries_the_next_connection() -> None:
    with socket.socket() as place:
        place.bind((LOOPBACK, 0))
        cable = Cable(place.getsockname()[1])
        with socket.create_connection((LOOPBACK, cable.port), timeout=60) as refused:
            assert refused.recv(1) == b"", "nobody listens there"
        place.listen()
        with socket.create_connection((LOOPBACK, cable.port), timeout=60) as near:
            far, _address = place.accept()
            with far:
                near.sendall(b"a")
                assert far.recv(1) == b"a"
        cable.close()
