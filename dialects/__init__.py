"""The wires, one file each; this is their registry and nothing else."""

from dialects.hello import Hello
from dialects.result import Result

__all__ = ["Hello", "Result"]
