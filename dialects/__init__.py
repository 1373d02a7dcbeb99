"""The wires, one file each; this is their registry and nothing else."""

from dialects.hello import Hello
from dialects.mailbox import Mailbox
from dialects.result import Result
from dialects.rooms import Door, Lines, RoomTalk

__all__ = ["Door", "Hello", "Lines", "Mailbox", "Result", "RoomTalk"]
