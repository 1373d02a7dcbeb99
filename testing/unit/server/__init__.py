"""Tests of `server.py`, and of what only a whole process shows."""
