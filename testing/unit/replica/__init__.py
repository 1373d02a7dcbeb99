"""Tests of `replica/`."""
