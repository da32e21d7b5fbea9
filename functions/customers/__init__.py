"""Customers: who a signed-in buyer is, how he is reached and what he reads."""
