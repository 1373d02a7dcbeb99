"""Tests of `dialects/`."""
