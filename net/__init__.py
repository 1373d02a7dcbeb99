"""Descriptors and time: the loop, connections, listeners, dials, threads. Knows nothing of chat."""
