"""The shared kernel: what every bounded context of the platform speaks.

It imports no context, builds nothing and reads nothing when imported.
"""
