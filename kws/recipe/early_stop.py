"""Early stop: the epoch in which a run ends, decided by its recipe and its validation accuracies alone.

Decisions:
- `until` ends a run after the first epoch whose validation accuracy is at least that. `patience` ends it after as many
  epochs in a row whose validation accuracy is no higher than the highest before them.
- Nothing but recorded accuracies decides. A resumed run therefore ends where an unbroken one does, and whether a
  finished run is complete can be checked in any registry.
- The weights that are kept follow `selection`: with `until` they are the last epoch's either way, since no epoch before
  it was as good.
- A schedule spans `epochs` epochs, whether or not a run gets that far.
"""

from collections.abc import Sequence

from kws.recipe.recipe import Recipe


def has_rule(recipe: Recipe) -> bool:
    """Whether a run of this recipe may end before its `epochs` are over."""
    return recipe.until is not None or recipe.patience is not None


def last_epoch(recipe: Recipe, accuracies: Sequence[float]) -> int | None:
    """The epoch, from 1, that is the last of a run with these validation accuracies, one an epoch; None if it goes on.

    That is `epochs`, or an earlier one in which the recipe's rule ends the run.
    """
    best, since = -1.0, 0
    for epoch, accuracy in enumerate(accuracies, start=1):
        best, since = (accuracy, 0) if accuracy > best else (best, since + 1)
        reached = recipe.until is not None and accuracy >= recipe.until
        waited = recipe.patience is not None and since >= recipe.patience
        if reached or waited or epoch >= recipe.epochs:
            return epoch
    return None
