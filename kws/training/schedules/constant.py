"""Constant: the optimizer's learning rate in every step, as in the report."""

from typing import Any


def factor(step: int, steps: int, config: Any) -> float:  # noqa: ARG001 - the same in every step
    """What the learning rate is multiplied by: 1."""
    return 1.0
