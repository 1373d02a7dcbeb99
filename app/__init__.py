"""What makes a program of the chat: command line, config, passwords, log, signals, console."""
