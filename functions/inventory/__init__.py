"""Inventory: what lies in which warehouse, what is held for whom, and what has to be bought."""
