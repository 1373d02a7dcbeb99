"""The operator's dialect: one table of commands, for standard input and for the control socket."""
