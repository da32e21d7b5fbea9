"""Chaos: the deployed local cloud behind a proxy that misbehaves, while the default run plays."""
