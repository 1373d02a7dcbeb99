"""Tests of `store.py` and of the modules that it alone uses."""
