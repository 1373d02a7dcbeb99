"""The rules of the chat and its state. Nothing here knows bytes, sockets, SQL or the clock."""
