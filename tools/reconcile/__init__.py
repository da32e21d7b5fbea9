"""After a restore: what was told since the restored moment is done again, and the rest follows from the orders."""
