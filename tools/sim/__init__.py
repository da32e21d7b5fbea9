"""The simulation: the real handlers, models and state machines in one process, on virtual time, under faults."""
