"""Catalogue: what is sold, by which merchant, and what it costs when."""
