"""Plays real orders on the local cloud and measures what they take: ``python -m tools.run``."""
