"""Payments: what is due for an order, who holds it, what was captured of it and what went back."""
