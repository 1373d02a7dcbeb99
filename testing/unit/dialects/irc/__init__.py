"""Tests of the dialect `irc`."""
