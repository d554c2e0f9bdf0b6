"""A search over hyperparameters by Optuna (arXiv:1907.10902): which recipe to try next, and which trial to give up.

Decisions:
- A trial is a run with the search's tag, and the registry is the search's only state: Optuna's study is made anew from
  it whenever the search goes on.
- What counts is the validation accuracy of the epoch that the recipe selects; the test split plays no part.
- Trial k is drawn with the seed + k, so that it depends on the trials before it and on nothing else.
- A run that diverged counts as one that was given up without any accuracy: not to be tried again nearby.
- A trial is given up by the median rule: after an epoch at which its best accuracy so far is below the median of the
  earlier trials' at that epoch, never among the first few trials nor in the first epochs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from kws import optimizers
from kws.errors import RecipeError
from kws.recipe import BEST, Recipe
from kws.registry.runs import FAILED, FINISHED, Run
from kws.session import PRUNED
from kws.sweeps.plan import OF_OPTIMIZERS, complete

FIRST_TRIALS = 5  # which are drawn at random and never given up
_LOG = ("learning_rate", "weight_decay", "batch_size")
optuna.logging.set_verbosity(optuna.logging.ERROR)


def values(field: str, text: str, kind: type[int] | type[float]) -> BaseDistribution:
    """What "1e-4:1e-1" (a range) or "64,256" (values) stands for. Raises RecipeError for anything else."""
    try:
        if ":" in text:
            low, high = (kind(part) for part in text.split(":"))
            log = field in _LOG and low > 0
            if kind is int:
                return IntDistribution(int(low), int(high), log=log)
            return FloatDistribution(low, high, log=log)
        return CategoricalDistribution([kind(part) for part in text.split(",")])
    except ValueError:
        raise RecipeError(
            f"`{field}` (={text!r}) must be a range as in 0.001:0.1, or values with a comma between them"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Space:
    """Where is searched: a distribution for each searched field of a recipe, and the fields that stay the same."""

    searched: Mapping[str, BaseDistribution]
    fixed: Mapping[str, Any]

    def tag(self, name: str | None, fingerprint: str, seed: int) -> str:
        """What the runs of this search have in common: its name, else a digest of all that makes it."""
        if name is not None:
            return f"tune-{name}"
        about = [{k: optuna.distributions.distribution_to_json(v) for k, v in self.searched.items()}, fingerprint, seed]
        fixed = {key: value for key, value in self.fixed.items() if key != "data"}
        return f"tune-{hashlib.sha256(json.dumps([about, fixed], sort_keys=True).encode()).hexdigest()[:8]}"

    def recipe(self, trial: Trial) -> Recipe:
        """The recipe that a trial draws; raises RecipeError where it cannot be."""
        fields = dict(self.fixed)
        if "opt" in self.searched:
            fields["opt"] = self._drawn(trial, "opt")
        own = optimizers.defaults(fields["opt"])
        for name in self.searched:
            if name != "opt" and (name not in OF_OPTIMIZERS or name in own):
                fields[name] = self._drawn(trial, name)
        return complete(fields)

    def of(self, recipe: Recipe) -> dict[str, Any]:
        """What a trial drew to come to this recipe."""
        drawn = {name: getattr(recipe, name) for name in self.searched}
        return {name: value for name, value in drawn.items() if value is not None}

    def _drawn(self, trial: Trial, name: str) -> Any:
        distribution = self.searched[name]
        if isinstance(distribution, FloatDistribution):
            return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
        if isinstance(distribution, IntDistribution):
            return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
        assert isinstance(distribution, CategoricalDistribution)
        return trial.suggest_categorical(name, distribution.choices)


class Search:
    """A study over a space, from the trials that are there; `jobs` are on their way at once."""

    def __init__(self, space: Space, *, random: bool, prune: bool, seed: int, epochs: int, jobs: int) -> None:
        self.space, self._random, self._seed, self._jobs = space, random, seed, jobs
        pruner = (
            optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS, n_warmup_steps=max(epochs // 5, 1) + 1)
            if prune
            else optuna.pruners.NopPruner()
        )
        self._study = optuna.create_study(direction="maximize", pruner=pruner)

    def add(self, run: Run, accuracies: Sequence[float]) -> None:
        """A trial that has ended, with its validation accuracy after each epoch."""
        params = self.space.of(run.recipe)
        state = TrialState.COMPLETE if run.status == FINISHED else TrialState.PRUNED
        told = dict(enumerate(accuracies, 1)) or {0: 0.0}
        self._study.add_trial(
            create_trial(
                params=params,
                distributions={name: self.space.searched[name] for name in params},
                value=score(run.recipe, accuracies) if run.status == FINISHED else None,
                state=state,
                intermediate_values={} if state == TrialState.COMPLETE and not accuracies else told,
            )
        )

    def begin(self, again: Recipe | None = None) -> tuple[Trial, Recipe]:
        """The next trial and its recipe: one that was cut off, if so, else a new one."""
        if again is not None:
            self._study.enqueue_trial(self.space.of(again))
        number = len(self._study.trials)
        seed = (self._seed + number) % 2**32
        sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=seed)
        if not self._random:
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=FIRST_TRIALS, constant_liar=self._jobs > 1)
        self._study.sampler = sampler
        trial = self._study.ask()
        return trial, self.space.recipe(trial)

    def gives_up(self, trial: Trial, epoch: int, accuracy: float) -> bool:
        """Take a trial's validation accuracy after an epoch; whether it is to end there."""
        trial.report(accuracy, epoch)
        return bool(trial.should_prune())

    def end(self, trial: Trial, run: Run, accuracies: Sequence[float]) -> None:
        """Take how a trial ended."""
        if run.status == FINISHED:
            self._study.tell(trial, score(run.recipe, accuracies))
        else:
            if not accuracies:
                trial.report(0.0, 0)
            self._study.tell(trial, state=TrialState.PRUNED)

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, those on their way among them."""
        return self._study.get_trials(deepcopy=False)


def score(recipe: Recipe, accuracies: Sequence[float]) -> float:
    """What a finished run reached on the validation split, at the epoch that its recipe selects."""
    return max(accuracies) if recipe.selection == BEST else accuracies[-1]


def has_ended(run: Run) -> bool:
    """Whether a run of a search needs no more: it is finished, given up, or has failed."""
    return run.status in (FINISHED, FAILED) or was_given_up(run)


def was_given_up(run: Run) -> bool:
    """Whether a run was ended for its accuracy."""
    return bool(run.error and run.error.endswith(PRUNED))
