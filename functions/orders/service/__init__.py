"""What can be done with an order: one function a use case, collaborators as arguments.

`placing` takes an order, `lifecycle` leads it, `reading` shows it.
"""
