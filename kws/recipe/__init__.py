"""The recipe: its options and parts (config, parts), and Recipe itself. Standard library only, and no room of kws."""

import os

from kws.recipe.config import (
    Config,
    Option,
    above_zero,
    at_least,
    below_one,
    count,
    not_negative,
    option,
    plain,
    share,
)
from kws.recipe.differences import varying
from kws.recipe.early_stop import has_rule, last_epoch
from kws.recipe.known import current_name, every_option, kind_of, names, option_of, parts_now
from kws.recipe.own_options import BEST, ENERGY, FINAL, FIRST, SHUFFLED, own_options
from kws.recipe.parts import BY_OPTION, KINDS, NETWORK, OPTIMIZER, TASK, Kind, Part, dashed
from kws.recipe.recipe import Recipe, usable_threads, with_shared_keys
from kws.recipe.typed import bases, parse
from kws.recipe.wording import counted

__all__ = [
    "BEST", "BY_OPTION", "ENERGY", "FINAL", "FIRST", "KINDS", "NETWORK", "OPTIMIZER", "SHUFFLED", "TASK", "Config",
    "Kind", "Option", "Part", "Recipe", "above_zero", "at_least", "bases", "below_one", "cores", "count", "counted",
    "current_name", "dashed", "every_option", "has_rule", "kind_of", "last_epoch", "names", "not_negative", "option",
    "option_of", "own_options", "parse", "parts_now", "plain", "share", "usable_threads", "varying",
    "with_shared_keys",
]  # fmt: skip


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
