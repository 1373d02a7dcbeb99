"""The wires, one file each; this is their registry and nothing else."""

from dialects.result import Result

__all__ = ["Result"]
