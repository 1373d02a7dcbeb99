"""Tests of `protocol.py`."""
