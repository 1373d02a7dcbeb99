"""Tests of `domain/`."""
