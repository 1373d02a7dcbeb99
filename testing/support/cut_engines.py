"""Engines of which the first one can be cut off from the others, while nodes and clients still reach all of them."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from app.bootstrap import ENVIRONMENT
from harness.cluster import Engines
from harness.processes import hang_up
from harness.text import LOOPBACK, Failed
from replica.engines import ROUTE_PORT, EngineProcess, Plan, find_binary, waited

NOWHERE = f"{LOOPBACK}:1"
"""An address at which nobody listens: engines that are told it cannot find each other by themselves."""


class Cable:
    """Forwards connections to a port, until it is cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_cut = False
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._listener.accept()
                if self.is_cut:
                    near.close()
                    continue
                try:
                    far = socket.create_connection((LOOPBACK, self._target))
                except OSError:  # the engine does not listen yet: the other side tries again
                    near.close()
                    continue
                self._ends += (near, far)
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while data:
                    data = data[sink.send(data) :]
        for end in (source, sink):
            hang_up(end)

    def cut(self) -> None:
        self.is_cut = True
        for end in self._ends:
            hang_up(end)

    def heal(self) -> None:
        self.is_cut = False

    def close(self) -> None:
        self.cut()
        hang_up(self._listener)


class CutPlan(Plan):
    """Three engines here, of which the first is reached by the others through a cable alone."""

    cable: Cable

    def config(self, number: int, directory: str, password: str) -> Mapping[str, Any]:
        config = dict(super().config(number, directory, password))
        others = [engine for engine in self.engines if engine.number not in (1, number)]
        routes = [f"nats-route://{LOOPBACK}:{engine.port + ROUTE_PORT}" for engine in others]
        through = f"nats-route://{LOOPBACK}:{self.cable.port}"
        config["cluster"] = {
            **config["cluster"],
            "routes": [f"nats-route://{NOWHERE}"] * 2 if number == 1 else [*routes, through],
            "advertise": NOWHERE,
        }
        return config


class CutEngines(Engines):
    """Engines with a cable. Use it in a `with` block."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.cable = Cable(self.port + ROUTE_PORT)
        self.plan = CutPlan(*Plan.on_one_machine(3, self.port))
        self.plan.cable = self.cable

    def __enter__(self) -> Self:
        (self.directory / "plan.json").write_text(json.dumps(self.plan._asdict()))
        (self.directory / "password").write_text("")
        processes = [EngineProcess(self.plan, number, str(self.directory)) for number in self.numbers]
        for process in processes:
            process.configure("")
            process.start(find_binary(None, ENVIRONMENT))
        if not waited(lambda: all(process.is_ready for process in processes), 30):
            self.__exit__()
            raise Failed("the engines do not agree in time")
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.cable.close()
