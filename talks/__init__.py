"""The wires as a person uses them, one file each; this is their registry and nothing else."""

from collections.abc import Callable, Mapping

from talks.hello import HelloTalk
from talks.result import ResultTalk
from talks.talk import Talk

TALKS: Mapping[str, Callable[[], Talk]] = {"result": ResultTalk, "hello": HelloTalk}
