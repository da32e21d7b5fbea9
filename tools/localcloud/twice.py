"""Deliveries that come twice, as EventBridge and SQS allow themselves: for runs under chaos."""

from __future__ import annotations

import importlib
import random
import threading
from collections.abc import Callable
from typing import Any


class Twice:
    """Delivers a share of the events to their targets twice, and hands a share of the batches of queues over twice.

    Parameters
    ----------
    share
        Of both.
    seed
        Decides which.
    """

    def __init__(self, share: float, seed: int) -> None:
        self._share = share
        self._dice = random.Random(seed)  # noqa: S311 - faults want to be repeated, not to be secret
        self._guard = threading.Lock()

    def install(self) -> None:
        """Hook into the emulator; called once, before it serves."""
        self._double("ministack.services.eventbridge", "_invoke_target")
        # The batch's function is called again before its messages are deleted: they were received twice.
        self._double("ministack.services.lambda_svc", "_run_sqs_batch")

    def _double(self, module_name: str, name: str) -> None:
        module = importlib.import_module(module_name)
        original: Callable[..., Any] = getattr(module, name)

        def doubled(*args: Any, **kwargs: Any) -> Any:
            with self._guard:
                again = self._dice.random() < self._share
            if again:
                original(*args, **kwargs)
            return original(*args, **kwargs)

        setattr(module, name, doubled)
