"""The data sets of the page's runs: clips and speakers of each split, and what warns of their figures.

Decisions:
- Warnings are facts of the manifests that the registry keeps: one sound or one speaker in two splits, speakers that are
  unknown, and a test split that is too small to tell much.
- A test split is small by a table's rule (kws.reports.table.SMALL), with 90 % for the accuracy of its best cell: below
  some 870 clips. Fewer than 10 speakers, or clips of a class, are few: an interval over 10 clusters is a sixth wider
  than one over many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kws.events import SPLITS, TEST, TRAIN, VALIDATION, DataCard, people
from kws.recipe import counted
from kws.recipe.wording import listed
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import coverage, labels, leaks
from kws.reports.statistics import over_clips
from kws.reports.table import SMALL

FEW = 10
_USUAL = 0.9
_CALLED = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set: its card, the speakers of each split (None if they are unknown), and sentences of warning."""

    name: str
    card: DataCard
    speakers: Mapping[str, int] | None
    warnings: tuple[str, ...]


def of_runs(registry: RegistryReader, runs: Iterable[Run]) -> dict[str, DataSet]:
    """The data sets of these runs, by fingerprint, in the order of the runs."""
    names: dict[str, dict[str, None]] = {}
    for run in runs:
        names.setdefault(run.data_fingerprint, {})[labels.data_of(run)] = None
    return {fingerprint: of(registry, fingerprint, " and ".join(called)) for fingerprint, called in names.items()}


def of(registry: RegistryReader, fingerprint: str, name: str) -> DataSet:
    """The data set with that fingerprint. Raises RegistryError if the registry does not have it."""
    card = registry.card(fingerprint)
    found = {split: registry.speakers(fingerprint, split) for split in SPLITS}
    known = {split: people(of_split) for split, of_split in found.items() if of_split is not None}
    speakers = known if len(known) == len(SPLITS) else None
    sounds = [f"{note[0].upper()}{note[1:]}." for note in leaks.notes(registry, [fingerprint])]
    return DataSet(
        name=name,
        card=card,
        speakers=None if speakers is None else {split: len(of_split) for split, of_split in speakers.items()},
        warnings=(*sounds, *_of_speakers(speakers), *_of_size(card)),
    )


def _of_speakers(speakers: Mapping[str, set[str]] | None) -> Iterable[str]:
    if speakers is None:
        yield "Speakers are unknown: a voice may be in training and in test, and other voices may do worse."
        return
    for split, other in ((TEST, TRAIN), (TEST, VALIDATION), (VALIDATION, TRAIN)):
        if both := len(speakers[split] & speakers[other]):
            yield (
                f"{counted(both, 'speaker')} of the {_CALLED[split]} split {'is' if both == 1 else 'are'} in the "
                f"{_CALLED[other]} split, too, so accuracies look better than they are for other voices."
            )
    if (few := len(speakers[TEST])) < FEW:
        yield f"The test split has {counted(few, 'speaker')}: so few say little of other voices."


def _of_size(card: DataCard) -> Iterable[str]:
    clips = len(card.labels[TEST])
    interval = over_clips(round(_USUAL * clips), clips)
    if (interval.high - interval.low) / 2 > SMALL:
        yield (
            f"The test split is small: with {100 * _USUAL:g} % of its {counted(clips, 'clip')} right, the 95 % "
            f"interval is {100 * interval.low:.0f} to {100 * interval.high:.0f} %."
        )
    if absent := coverage.not_tested(card, TEST):
        yield f"The test split has no clips of {listed(absent)}, so nothing here says how well they are told."
    few = [f"{name} ({count})" for name, count in zip(card.classes, card.counts[TEST], strict=True) if 0 < count < FEW]
    if few:
        yield f"The test split has few clips of {listed(few)}; {FEW} or more would say something of each."
