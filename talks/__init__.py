"""The wires as a person uses them, one file each; this is their registry and nothing else."""

from collections.abc import Callable, Mapping

from files import paths
from talks.hello import HelloTalk
from talks.result import ResultTalk
from talks.rooms import RoomTalk
from talks.talk import Talk

TALKS: Mapping[str, Callable[[], Talk]] = {
    "result": ResultTalk,
    "hello": HelloTalk,
    "rooms": lambda: RoomTalk(paths),
}
