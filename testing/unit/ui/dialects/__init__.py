"""Tests of `ui/dialects/`."""
