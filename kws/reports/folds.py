"""Cross-validation: the runs of all folds of one data set (--fold K/N), and their accuracy over all of its clips.

Decisions:
- Runs belong together where their recipes differ in fold and seed alone, their keywords' clips are the same ones, and
  there are as many folds. Of a seed and fold, the latest finished run counts, as in Table 1.
- Over all folds it is the answers that are pooled, not the folds' accuracies averaged: each test clip counts once for
  each seed that has every fold. Its interval is that of a cell of Table 1, over seeds and over speakers (or clips,
  where speakers are unknown), whichever fold they are in; see kws.reports.estimates.
- Networks of different folds share most of their training clips, so their errors are not quite independent, and no
  interval from one division into folds can know that part (Bengio and Grandvalet, JMLR 5, 2004; Bates, Hastie and
  Tibshirani, arXiv:2104.00673). The caption says so.
- Silence that a task cuts from noise recordings is the same in every fold; its clips are one cluster a recording.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kws.events import SPLITS, TEST, DataCard, keywords_of, people
from kws.recipe import Recipe
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Run
from kws.reports import labels, leaks
from kws.reports.cells import Clips
from kws.reports.predictions import Predictions

if TYPE_CHECKING:
    from kws.reports.estimates import Estimate


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What was tested, of one fold or of all: its accuracy (None if no run did), clips and speakers (None: unknown)."""

    clips: int
    speakers: int | None
    over: str  # "speakers" or "clips", which the interval is over beside seeds
    accuracy: Estimate | None
    runs: tuple[Run, ...]


@dataclass(frozen=True, kw_only=True)
class Folded:
    """One recipe's folds, by number from 1, and all of them together; `together` is None while a fold is missing."""

    name: str
    folds: Mapping[int, Tested]
    together: Tested | None


@dataclass(frozen=True, kw_only=True)
class FoldTable:
    """The folds of one data set, for one recipe or several."""

    data: str
    classes: tuple[str, ...]
    count: int
    recipes: tuple[Folded, ...]
    leaks: tuple[str, ...] = ()  # the note of clips that are in two splits of a fold


def without_fold(recipe: Recipe) -> Recipe:
    """The recipe that all folds have in common."""
    return replace(recipe, fold=None)


def fold_of(recipe: Recipe) -> tuple[int, int]:
    """Which fold a recipe tests, from 1, and of how many."""
    fold, count = (recipe.fold or "0/0").split("/")
    return int(fold), int(count)


def fold_tables(registry: RegistryReader, runs: Iterable[Run]) -> list[FoldTable]:
    """The tables of those of these runs that tested a fold, ordered by data and number of folds."""
    answers = Predictions(registry)
    groups: dict[tuple[str, int, str], list[Run]] = {}
    known: dict[str, str] = {}
    for run in sorted(runs, key=lambda run: (run.started_at, run.id)):
        if run.recipe.fold and run.status == FINISHED and run.test_accuracy is not None:
            if run.data_fingerprint not in known:
                known[run.data_fingerprint] = identity(registry, run)
            key = run.data_source, fold_of(run.recipe)[1], known[run.data_fingerprint]
            groups.setdefault(key, []).append(run)
    return [_table(answers, group, count) for (_, count, _), group in sorted(groups.items())]


def identity(registry: RegistryReader, run: Run) -> str:
    """The same for runs on the same clips, however these are divided: a digest of the keywords' labels and sounds.

    Names of files do not count, since an exported run has pseudonyms in place of them, nor do clips of other words,
    since which of them are drawn depends on the splits.
    """
    card = registry.card(run.data_fingerprint)
    keywords = {card.classes.index(name) for name in keywords_of(card.classes)}
    found = []
    for split in SPLITS:
        sounds = registry.digests(card.fingerprint, split)
        if sounds is None:
            return card.fingerprint
        clips = zip(card.labels[split], sounds, strict=True)
        found += [bytes([label]) + sound for label, sound in clips if label in keywords]
    return hashlib.sha256(b"".join([repr(card.classes).encode(), *sorted(found)])).hexdigest()


def _table(answers: Predictions, runs: list[Run], count: int) -> FoldTable:
    called = labels.of_cells([without_fold(run.recipe) for run in runs])
    by_recipe: dict[str, dict[tuple[int, int], Run]] = {}
    for run in runs:
        latest = by_recipe.setdefault(called(without_fold(run.recipe)), {})
        latest[run.recipe.seed, fold_of(run.recipe)[0]] = run
    answers.await_all([run for latest in by_recipe.values() for run in latest.values()])
    return FoldTable(
        data=runs[0].data_source,
        classes=answers.registry.card(runs[0].data_fingerprint).classes,
        count=count,
        recipes=tuple(_folded(answers, name, latest, count) for name, latest in by_recipe.items()),
        leaks=leaks.notes(answers.registry, (run.data_fingerprint for run in runs)),
    )


def _folded(answers: Predictions, name: str, latest: Mapping[tuple[int, int], Run], count: int) -> Folded:
    seeds = sorted({seed for seed, _ in latest})
    numbers = range(1, count + 1)
    found = {}
    for fold in numbers:
        mine = [seed for seed in seeds if (seed, fold) in latest]
        if mine:
            found[fold] = _tested(answers, {seed: [latest[seed, fold]] for seed in mine})
    whole = {
        seed: [latest[seed, fold] for fold in numbers]
        for seed in seeds
        if all((seed, fold) in latest for fold in numbers)
    }
    return Folded(name=name, folds=found, together=_tested(answers, whole) if whole else None)


def _tested(answers: Predictions, runs: Mapping[int, list[Run]]) -> Tested:
    """The answers of each seed's runs, one after the other; those of all seeds are on the same clips."""
    import numpy as np

    from kws.reports.estimates import of_cell, of_means

    first = next(iter(runs.values()))
    cards = [answers.registry.card(run.data_fingerprint) for run in first]
    speakers, sounds = _whose(answers.registry, cards)
    right: list[list[Any]] = [[answers.right(run) for run in mine] for mine in runs.values()]
    clips = sum(len(card.labels[TEST]) for card in cards)
    grouped = Clips.grouped(clips, speakers, sounds)
    known = all(each is not None for mine in right for each in mine)
    sample = of_means(tuple(runs), np.stack([np.concatenate(mine) for mine in right]), grouped.clusters, share=True)
    return Tested(
        clips=clips,
        speakers=None if speakers is None else len(people(speakers)),
        over=grouped.over,
        accuracy=of_cell(sample) if known else None,
        runs=tuple(run for mine in runs.values() for run in mine),
    )


def _whose(registry: RegistryReader, cards: Iterable[DataCard]) -> tuple[list[str] | None, list[bytes] | None]:
    """The speaker and the sound of each test clip of these data sets, one after the other; None if unknown."""
    manifests = [registry.manifest(card.fingerprint, TEST) for card in cards]
    speakers: list[str] | None = []
    sounds: list[bytes] | None = []
    for each in manifests:
        if speakers is not None:
            speakers = None if each is None or each.speakers is None else [*speakers, *each.speakers]
        if sounds is not None:
            sounds = None if each is None else [*sounds, *each.each_digest()]
    return speakers, sounds
