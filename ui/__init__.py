"""The client: pipes, the terminal, the wires as a person uses them, files, and the connection."""
