"""What orders cost at AWS's list prices, counted by service and stage, against a budget: ``python -m tools.cost``."""
