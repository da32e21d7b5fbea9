"""Stacks that every context shares: what holds state, the public API, the dashboard."""
