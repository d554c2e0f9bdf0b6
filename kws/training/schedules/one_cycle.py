"""One cycle: up from a small learning rate and down to next to nothing (Smith and Topin, arXiv:1708.07120).

As in torch.optim.lr_scheduler.OneCycleLR with its cosine: from a 25th of the recipe's learning rate up to it, and down
to a ten thousandth of where it began. Momentum stays as it is.
"""

import math
from dataclasses import dataclass

from kws.recipe import below_one, option

ORDER = 3
START, END = 1 / 25, 1 / 250_000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the learning rate is highest."""

    peak: float = option(0.3, "Share of all steps after which the learning rate is highest.", check=below_one)


def factor(step: int, steps: int, config: Config) -> float:
    """What the learning rate is multiplied by: up to 1 at the peak."""
    peak = config.peak * steps - 1
    if step <= peak:
        return _between(START, 1.0, step / peak if peak else 1.0)
    return _between(1.0, END, (step - peak) / max(steps - 1 - peak, 1e-12))


def _between(first: float, last: float, share: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))
