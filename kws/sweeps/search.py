"""A hyperparameter search by Optuna (arXiv:1907.10902): which recipe to try next, and which trial to prune.

Decisions:
- A trial is a run with the search's tag. The registry is the search's only state: each process that takes part in the
  search has an Optuna study of its own, and adds the trials of all others before it draws the next one.
- The objective is the validation accuracy of the epoch that the recipe selects. The test split is never used.
- A draw is deterministic: it depends on the seed and on the trials that the process knew then, ended or running, in the
  order in which it got to know them. The draw after k known trials has the seed + k. Two processes that know the same
  trials draw the same recipe: one of them claims it, and the other draws again, knowing of it.
- No recipe is tried twice. A repeated draw is drawn again. If the ranges hold only few recipes, the trial is finally
  chosen among the remaining ones.
- Pruning follows the median rule: a trial is pruned after an epoch at which its best accuracy so far is below the
  median, at that epoch, of the trials that were finished when it began. It takes these medians along, so that it can be
  trained anywhere. The first few trials are never pruned, and no trial in its first epochs.
- Optuna gets each trial's outcome: its score, pruned, or failed. A diverged trial scores 0, so that Optuna avoids its
  neighbourhood.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from kws.errors import RecipeError
from kws.recipe import BEST, OPTIMIZER, Option, Recipe, every_option, option_of, own_options
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, Run
from kws.sweeps.plan import several
from kws.training.runner import PRUNED, PRUNED_BEFORE

FIRST_TRIALS = 5  # drawn at random and never pruned
MOST_LISTED = 10_000  # recipes; a larger space is not listed
_DRAWS = 20  # attempts per trial to draw a recipe that was not tried
_GIVEN_UP = re.compile(rf"stopped after epoch \d+: ({re.escape(PRUNED)}|{re.escape(PRUNED_BEFORE)})")
_DIVERGED = re.compile(r"the (training|validation) loss became \S+ in .*epoch \d+\)?; try a --learning-rate below \S+")
optuna.logging.set_verbosity(optuna.logging.ERROR)


def values(field: str, text: str, option: Option | None = None) -> BaseDistribution:
    """The distribution for "1e-4:1e-1" (a range) or "64,256" (values).

    Raises RecipeError for anything else, for a range from high to low, and for a value that no recipe can have.
    """
    option = option or every_option().get(field)
    if option is None or option.base not in (int, float):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tuples, which Optuna cannot keep; such an option has one value alone
            return CategoricalDistribution(several(field, text))
    kind = option.base
    parts = text.split(":") if ":" in text else text.split(",")
    try:
        made = [kind(part) for part in parts]
    except ValueError:
        made = []
    if not made or (":" in text and len(made) != 2):
        example = "16:256" if kind is int else "0.001:0.1"
        raise RecipeError(f"`{field}` (={text!r}) must be a range as in {example}, or values with a comma between them")
    for value in made:
        option.require(value)
    if ":" not in text:
        if len(set(made)) < len(made):
            raise RecipeError(f"`{field}` (={text!r}) names a value twice")
        return CategoricalDistribution(made)
    low, high = made
    if low > high:
        raise RecipeError(f"`{field}` (={text!r}) must be a range from low to high, as in {parts[1]}:{parts[0]}")
    log = option.log and low > 0
    return IntDistribution(int(low), int(high), log=log) if kind is int else FloatDistribution(low, high, log=log)


def is_linear(field: str, distribution: BaseDistribution) -> bool:
    """Whether a field that is normally drawn on a log scale is drawn linearly, because its range begins at 0."""
    option = every_option().get(field)
    return bool(option and option.log) and not getattr(distribution, "log", True) and not distribution.single()


def only_value(distribution: BaseDistribution) -> Any:
    """The only value of a distribution that has a single one."""
    return distribution.choices[0] if isinstance(distribution, CategoricalDistribution) else distribution.low  # type: ignore[attr-defined]


@dataclass(frozen=True, kw_only=True)
class Space:
    """The search space: a distribution for each searched recipe field, and the fixed fields."""

    searched: Mapping[str, BaseDistribution]
    fixed: Mapping[str, Any]

    def tag(self, name: str | None, fingerprint: str, seed: int) -> str:
        """The tag of this search's runs: from its name, or else from a digest of everything that defines it.

        The path of the data and what decides bits alone do not, so that it is the same on machines that differ in them.
        """
        if name is not None:
            return f"tune-{name}"
        about = [{k: optuna.distributions.distribution_to_json(v) for k, v in self.searched.items()}, fingerprint, seed]
        own = {"data", *(each.name for each in own_options() if each.bits)}
        fixed = {key: value for key, value in self.fixed.items() if key not in own}
        return f"tune-{hashlib.sha256(json.dumps([about, fixed], sort_keys=True).encode()).hexdigest()[:8]}"

    def recipe(self, trial: Trial) -> Recipe:
        """The recipe that a trial draws. Raises RecipeError if it is invalid."""
        fields = dict(self.fixed)
        if "opt" in self.searched:
            fields["opt"] = self._drawn(trial, "opt")
        for name in self.searched:
            if name != "opt" and option_of(name, fields):
                fields[name] = self._drawn(trial, name)
        return Recipe.of(ignoring=True, **fields)

    def of(self, recipe: Recipe) -> dict[str, Any]:
        """The searched fields' values in this recipe, as a trial would have drawn them."""
        drawn = {name: recipe.values.get(name) for name in self.searched}
        return {name: value for name, value in drawn.items() if value is not None}

    def key(self, recipe: Recipe) -> tuple[Any, ...]:
        """A key that is equal for two recipes of this space if they are the same trial."""
        return tuple(recipe.values.get(name) for name in self.searched)

    def holds(self, recipe: Recipe) -> bool:
        """Whether a trial could have drawn this recipe, ignoring the data's path and fields that decide bits alone."""
        if recipe.arch != self.fixed["arch"] or recipe.opt not in OPTIMIZER.parts:
            return False
        drawn = self.of(recipe)
        if not all(_contains(self.searched[name], value) for name, value in drawn.items()):
            return False
        return Recipe.of(ignoring=True, **{**self.fixed, **drawn}).digest == recipe.digest

    def listed(self) -> list[Recipe] | None:
        """Every recipe that can be drawn; None if there are too many to list."""
        choices = {name: _choices(distribution) for name, distribution in self.searched.items()}
        count = 1
        for each in choices.values():
            count *= len(each or ()) or MOST_LISTED + 1
        if count > MOST_LISTED:
            return None
        drawn = itertools.product(*(each or () for each in choices.values()))
        made = (Recipe.of(ignoring=True, **{**self.fixed, **dict(zip(choices, each, strict=True))}) for each in drawn)
        return list({recipe.digest: recipe for recipe in made}.values())

    def _drawn(self, trial: Trial, name: str) -> Any:
        distribution = self.searched[name]
        if isinstance(distribution, FloatDistribution):
            return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        if isinstance(distribution, IntDistribution):
            return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
        assert isinstance(distribution, CategoricalDistribution)
        return trial.suggest_categorical(name, distribution.choices)


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, CategoricalDistribution):
        return value in distribution.choices
    return bool(distribution.low <= value <= distribution.high)  # type: ignore[attr-defined]


def _choices(distribution: BaseDistribution) -> Sequence[Any] | None:
    """The values that can be drawn; None if there are too many to list."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1)
    return None


class Search:
    """An Optuna study over a space; add() gives it the existing trials."""

    def __init__(self, space: Space, *, random: bool, prune: bool, seed: int, epochs: int) -> None:
        self.space, self._random, self._prune, self._seed, self._epochs = space, random, prune, seed, epochs
        self._tried: set[tuple[Any, ...]] = set()
        self._repeated: set[int] = set()  # Optuna's numbers of draws that did not become trials
        self._study = optuna.create_study(direction="maximize")

    def has(self, recipe: Recipe) -> bool:
        """Whether a recipe is or was a trial."""
        return self.space.key(recipe) in self._tried

    def add(self, run: Run, accuracies: Sequence[float]) -> None:
        """Add a trial that has ended, with its validation accuracy after each epoch."""
        self._tried.add(self.space.key(run.recipe))
        params = self.space.of(run.recipe)
        state, value = _told(run, accuracies)
        self._study.add_trial(
            create_trial(
                params=params,
                distributions={name: self.space.searched[name] for name in params},
                value=value,
                state=state,
                intermediate_values=_steps(accuracies, state),
            )
        )

    def begin(self, again: Recipe | None = None) -> tuple[Trial, Recipe] | None:
        """The next trial and its recipe: `again`, a recipe whose trial has not ended, or else a new draw.

        None if every recipe in the ranges has been tried.
        """
        number = len(self._tried)
        if again is not None:
            return self._again(again, number)
        for draw in range(_DRAWS):
            trial = self._ask(number, draw)
            recipe = self.space.recipe(trial)
            if not self.has(recipe):
                self._tried.add(self.space.key(recipe))
                return trial, recipe
            self._discard(trial)
        left = [recipe for recipe in self.space.listed() or () if not self.has(recipe)]
        return self._again(random.Random(self._seed + number).choice(left), number) if left else None

    def _again(self, recipe: Recipe, number: int) -> tuple[Trial, Recipe]:
        self._study.enqueue_trial(self.space.of(recipe))
        trial = self._ask(number, 0)
        self.space.recipe(trial)  # gives the trial its values
        self._tried.add(self.space.key(recipe))
        return trial, recipe

    def _ask(self, number: int, draw: int) -> Trial:
        """A trial that draws with the seed + its number, or with a derived seed if earlier draws repeated a recipe."""
        seed = (self._seed + number) % 2**32
        if draw:
            seed = random.Random(f"{seed} {draw}").getrandbits(32)
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
        if not self._random and draw < _DRAWS // 2:
            sampler = optuna.samplers.TPESampler(
                seed=seed,
                n_startup_trials=FIRST_TRIALS,
                constant_liar=any(trial.state == TrialState.RUNNING for trial in self.trials),
            )
        self._study.sampler = sampler
        return self._study.ask()

    def medians(self) -> list[float | None]:
        """For each epoch the accuracy below which a trial that begins now is pruned; None if it is not pruned then."""
        ended = [trial.intermediate_values for trial in self.trials if trial.state == TrialState.COMPLETE]
        if not self._prune or len(ended) < FIRST_TRIALS:
            return []
        reached = [[curve[epoch] for curve in ended if epoch in curve] for epoch in range(1, self._epochs + 1)]
        first = max(self._epochs // 5, 1) + 1
        return [statistics.median(at) if at and epoch >= first else None for epoch, at in enumerate(reached, 1)]

    def end(self, trial: Trial, run: Run, accuracies: Sequence[float]) -> None:
        """Record how a trial ended, with its validation accuracy after each epoch."""
        state, value = _told(run, accuracies)
        for epoch, accuracy in _steps(accuracies, state).items():
            trial.report(accuracy, epoch)
        self._study.tell(trial, value, state)

    def drop(self, trial: Trial, recipe: Recipe) -> None:
        """Forget a trial that did not begin; its recipe may be drawn again."""
        self._discard(trial)
        self._tried.discard(self.space.key(recipe))

    def _discard(self, trial: Trial) -> None:
        self._study.tell(trial, state=TrialState.FAIL)  # Optuna learns nothing from it
        self._repeated.add(trial.number)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, including those that are still running."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.number not in self._repeated]


def score(recipe: Recipe, accuracies: Sequence[float]) -> float:
    """A finished run's validation accuracy at the epoch that its recipe selects."""
    return max(accuracies) if recipe.selection == BEST else accuracies[-1]


def has_ended(run: Run) -> bool:
    """Whether a run of a search needs no more work: it finished, was pruned, or failed."""
    return run.status in (FINISHED, FAILED) or was_given_up(run)


def was_given_up(run: Run) -> bool:
    """Whether a run was pruned because of its accuracy."""
    return run.status == INTERRUPTED and bool(_GIVEN_UP.fullmatch(run.error or ""))


def has_diverged(run: Run) -> bool:
    """Whether a run failed because its loss became infinite or NaN."""
    return run.status == FAILED and bool(_DIVERGED.fullmatch(run.error or ""))


def _told(run: Run, accuracies: Sequence[float]) -> tuple[TrialState, float | None]:
    """A trial's outcome for Optuna: its state, and its value if it has one."""
    if run.status == FINISHED:
        return TrialState.COMPLETE, score(run.recipe, accuracies)
    if has_diverged(run):
        return TrialState.COMPLETE, 0.0
    return TrialState.PRUNED if was_given_up(run) else TrialState.FAIL, None


def _steps(accuracies: Sequence[float], state: TrialState) -> dict[int, float]:
    """The accuracies by epoch; Optuna requires at least one of a pruned trial."""
    told = dict(enumerate(accuracies, 1))
    return told or ({0: 0.0} if state == TrialState.PRUNED else {})
