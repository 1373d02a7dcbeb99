"""What several tests share: servers without sockets, clients, loops, and the model of the protocol."""
