"""Tests of `peering/`."""
