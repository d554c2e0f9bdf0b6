"""How a recipe divides the clips of its data into splits, where it does not leave that to the data's lists and rule.

`--split 70/15/15` gives shares of training, validation and test. `--fold K/N` cuts the data into N equal parts: part K
is the test split, the part after it the validation split (after the last comes the first), and the rest the training
split. Which clip is in which part is decided by kws.speech.dealing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kws.errors import RecipeError
from kws.events import SPLITS, TEST, TRAIN, VALIDATION

LEAST_FOLDS, MOST_FOLDS = 3, 100  # with two there would be nothing left to train on


@dataclass(frozen=True)
class Partition:
    """P parts of the data: the share of each, and the split that it is in."""

    shares: tuple[int, ...]
    splits: tuple[str, ...]

    @property
    def told(self) -> str:
        """What it is called in a sentence."""
        if self.splits == SPLITS:
            return f"split {'/'.join(map(str, self.shares))}"
        return f"fold {1 + self.splits.index(TEST)} of {len(self.splits)}"


def partition_of(shares: str | None, fold: str | None) -> Partition | None:
    """The partition that a recipe's `split_shares` or `fold` asks for; None for the data's own splits."""
    if shares is not None:
        return Partition(tuple(map(int, shares.split("/"))), SPLITS)
    if fold is None:
        return None
    test, count = (int(each) for each in fold.split("/"))
    named = {test - 1: TEST, test % count: VALIDATION}
    return Partition((1,) * count, tuple(named.get(part, TRAIN) for part in range(count)))


def check_split(_: str, value: str) -> None:
    """A check: three whole percentages, none of them 0, that make 100. Raises RecipeError."""
    shares = [int(each) for each in value.split("/")] if re.fullmatch(r"[1-9][0-9]?(/[1-9][0-9]?){2}", value) else []
    if sum(shares) != 100:
        raise RecipeError(
            f"`split` (={value}) must be the percentages of training, validation and test clips, which make 100, "
            "as in 70/15/15"
        )


def check_fold(field: str, value: str) -> None:
    """A check: K/N with K from 1 to N. Raises RecipeError."""
    found = re.fullmatch(r"([1-9][0-9]{0,2})/([1-9][0-9]{0,2})", value)
    if not found or not int(found[1]) <= int(found[2]):
        raise RecipeError(f"`{field}` (={value}) must be which fold is tested, and of how many, as in 2/5")
    _require_folds(field, value, int(found[2]))


def _require_folds(field: str, value: str, count: int) -> None:
    if not LEAST_FOLDS <= count <= MOST_FOLDS:
        raise RecipeError(
            f"`{field}` (={value}) must have from {LEAST_FOLDS} to {MOST_FOLDS} folds: one is tested, one is for "
            "validation, the rest are for training"
        )


def folds(count: int) -> list[str]:
    """Each of so many folds as the recipe's `fold` has it. Raises RecipeError for a number that cannot be."""
    _require_folds("folds", str(count), count)
    return [f"{fold}/{count}" for fold in range(1, count + 1)]
