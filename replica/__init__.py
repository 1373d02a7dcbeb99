"""A cluster: one node serves, the others keep a copy and take over. The log between them is NATS JetStream."""
