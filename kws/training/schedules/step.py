"""Step: the learning rate is divided at equal distances."""

from dataclasses import dataclass

from kws.recipe import above_zero, count, option

ORDER = 2


@dataclass(frozen=True, kw_only=True)
class Config:
    """How often, and by what."""

    drops: int = option(2, "How often the learning rate drops.", check=count)
    drop_factor: float = option(0.1, "What each drop multiplies the learning rate by.", check=above_zero)


def factor(step: int, steps: int, config: Config) -> float:
    """What the learning rate is multiplied by: 1 until the first drop."""
    return config.drop_factor ** (step * (config.drops + 1) // steps)
