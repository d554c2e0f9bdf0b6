"""Spread: how a quantity is distributed over clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Quantiles of a quantity over clips, and its mean; nine tenths of the clips are between p5 and p95."""

    least: float
    p5: float
    median: float
    mean: float
    p95: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """The spread of these values; None if there are none."""
        import numpy as np

        if not values:
            return None
        quantiles = map(float, np.quantile(values, (0, 0.05, 0.5, 0.95, 1)))
        least, p5, median, p95, most = quantiles
        return cls(least=least, p5=p5, median=median, mean=float(np.mean(values)), p95=p95, most=most)
