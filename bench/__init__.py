"""The benchmark: this server beside others, in the same work. `make bench` runs it."""
