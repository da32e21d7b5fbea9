"""The shared kernel: what every bounded context of the platform speaks.

It imports no context, builds nothing and reads nothing when imported.
"""

import gc

# What a function imports stays for as long as it lives; collecting it again and again while it is being
# imported costs a seventh of the intake's cold start (`tools.bench`).
gc.set_threshold(300_000, 50, 100)
