"""Descriptors and time: the loop, connections, listeners, dials, threads. Nothing here knows a word of chat."""
