"""Compares two runs of one recipe bit for bit: the first epoch that differs, if any, and what may be the cause."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from kws.events import TEST
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run

_BITS = (
    "torch_version",
    "python_version",
    "kws_version",
    "platform",
    "cpu",
    "instruction_set",
    "git_commit",
    "git_dirty",
)
_UNTIMED: Any = {"seconds": 0.0, "processor_seconds": None}


@dataclass(frozen=True, kw_only=True)
class Sameness:
    """What was compared of two runs; `first_epoch` is the first whose figures differ, None if none does."""

    first: str
    again: str
    first_epoch: int | None
    answers_differ: bool | None  # None if one of the runs has not been tested
    weights_differ: bool | None  # None if one of the runs no longer has its weights
    differences: dict[str, tuple[Any, Any]]  # of the environments and recipes, by field

    @property
    def same(self) -> bool:
        """Whether nothing that was compared differs."""
        return self.first_epoch is None and not self.answers_differ and not self.weights_differ

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        if self.same:
            compared = ["epochs"]
            compared += [] if self.answers_differ is None else ["answers"]
            compared += [] if self.weights_differ is None else ["weights"]
            *others, last = compared
            what = f"{', '.join(others)} and {last}" if others else last
            left = "; their answers are not compared, since not both are tested" if self.answers_differ is None else ""
            left += "; one of them no longer has its weights" if self.weights_differ is None else ""
            return f"run {self.again} is run {self.first} again, bit for bit: the same {what}{left}"
        where = (
            f"from epoch {self.first_epoch} on"
            if self.first_epoch
            else "in its answers on the test split"
            if self.answers_differ
            else "in its weights alone"
        )
        why = "; ".join(f"{field} was {old} and is {new}" for field, (old, new) in self.differences.items())
        return (
            f"run {self.again} differs from run {self.first} {where}: {why or 'versions, threads and CPU are the same'}"
        )

    def record(self) -> dict[str, Any]:
        """The result as a JSON record."""
        return {"same": self.same, **dataclasses.asdict(self)}


def compare(registry: RegistryReader, first: Run, again: Run) -> Sameness:
    """Compare two finished runs on the same data."""
    epochs = [registry.epochs(run.id) for run in (first, again)]
    differing = (
        old.epoch
        for old, new in zip(*epochs, strict=False)
        if dataclasses.replace(old, **_UNTIMED) != dataclasses.replace(new, **_UNTIMED)
    )
    shorter = min(map(len, epochs)) + 1 if len(epochs[0]) != len(epochs[1]) else None
    answers = [
        {
            evaluation.split: (evaluation.objective, evaluation.predictions)
            for card, evaluation in registry.evaluations(run.id)
            if card.fingerprint == first.data_fingerprint
        }
        for run in (first, again)
    ]
    both = answers[0].keys() & answers[1].keys()
    digests = [registry.weights_digest(run.id) for run in (first, again)]
    return Sameness(
        first=first.id,
        again=again.id,
        first_epoch=next(differing, shorter),
        answers_differ=any(answers[0][split] != answers[1][split] for split in both) if TEST in both else None,
        weights_differ=None if None in digests else digests[0] != digests[1],
        differences=_differences(first, again),
    )


def _differences(first: Run, again: Run) -> dict[str, tuple[Any, Any]]:
    pairs = {field: (getattr(first.environment, field), getattr(again.environment, field)) for field in _BITS}
    for field in dataclasses.fields(first.recipe):
        if field.name != "data":
            pairs[field.name] = (getattr(first.recipe, field.name), getattr(again.recipe, field.name))
    return {field: pair for field, pair in pairs.items() if pair[0] != pair[1]}
