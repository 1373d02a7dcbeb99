"""The client: pipes, the terminal, dialects, files and the connection."""
