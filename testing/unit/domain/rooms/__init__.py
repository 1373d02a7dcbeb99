"""Channels with ports: `domain/rooms.py`, `domain/guests.py` and `dialects/rooms.py`."""
