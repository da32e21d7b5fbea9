"""The defaults of functions, queues, relays and state machines, written once."""
