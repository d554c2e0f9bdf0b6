"""Cosine: a linear warm-up, then half a cosine down to 0 (Loshchilov and Hutter, arXiv:1608.03983), no restarts."""

import math
from dataclasses import dataclass

from kws.recipe import below_one, option

ORDER = 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """How long it warms up."""

    warm_up: float = option(0.1, "Share of all steps in which the learning rate rises.", check=below_one)


def factor(step: int, steps: int, config: Config) -> float:
    """What the learning rate is multiplied by: up to 1 in the warm-up, then down towards 0."""
    rising = round(config.warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))
