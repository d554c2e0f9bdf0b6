"""The messages about a data set, one line each: how much of it was used, its speakers, its duplicate sounds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from kws.events import NO_WORDS, NOISE, OTHER, SPLITS, TEST, TRAIN, VALIDATION, DataCard, people
from kws.recipe import counted
from kws.recipe.partition import Partition
from kws.speech.classes import BY_TASK
from kws.speech.laid_out import some as some
from kws.speech.splits import shared_speakers
from kws.speech.walk import NO_FILES

if TYPE_CHECKING:
    from kws.speech.dataset import Dataset

UNKNOWN = "speakers unknown: clips of one speaker may be in several splits"
_CALLED = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}
_SHOWN = 3
_CUT = re.compile(r"@\d+(\.\d+)?(-\d+(\.\d+)?)?$")  # where a clip is cut from its file, behind its path


def about(loaded: Dataset, data: str, partition: Partition | None = None) -> list[str]:
    """The lines about a data set that is about to be used; `data` is its name, `partition` what made its splits."""
    card = loaded.card
    cuts = {split: _cut(manifest.paths) for split, manifest in card.manifests.items()}
    recordings = {path.rpartition("@")[0] for each in cuts.values() for path in each}
    lines = []
    if card.unused or loaded.elsewhere:
        files = len({_CUT.sub("", path) for manifest in card.manifests.values() for path in manifest.paths})
        lines.append(used(files, card.unused, loaded.elsewhere))
    if any(not reason.startswith(BY_TASK) for reason in card.unused):
        lines[0] += f"; `kws data check {data}` lists them"
    if loaded.left_out:
        lines.append(f"left out {len(loaded.left_out):,} unreadable clips: {some(loaded.left_out)}")
    paths = (path for each in card.manifests.values() for path in each.paths)
    folders = {folder for place in {path.rpartition("/")[0] for path in paths} for folder in place.split("/")}
    if OTHER in card.classes and (line := no_words(folders - set(card.classes))):
        lines.append(line)
    if recordings:
        lines.append(silence(cuts))
    if partition is not None:
        lines.append(divided(card, partition))
    return [*loaded.said, *lines, *speakers(card), *sounds(card, data)]


def divided(card: DataCard, partition: Partition) -> str:
    """How clips were divided into splits, and how many are in each."""
    known = all(manifest.speakers is not None for manifest in card.manifests.values())
    how = "by speaker" if known else "by the clips' names, for speakers are unknown"
    counts = ", ".join(f"{counted(len(card.labels[split]), 'clip')} for {_CALLED[split]}" for split in SPLITS)
    return f"{partition.told} {how}: {counts}"


def silence(cuts: Mapping[str, Sequence[str]]) -> str:
    """How many clips of silence each split has, and from how many recordings they were cut."""
    parts = []
    for split, paths in cuts.items():
        if paths:
            recordings = len({path.rpartition("@")[0] for path in paths})
            parts.append(f"{len(paths):,} of {recordings} for {_CALLED[split]}")
    return f"seconds of silence cut from noise recordings: {', '.join(parts)}; no two splits share a moment"


def _cut(paths: Sequence[str]) -> list[str]:
    return [path for path in paths if path.startswith(f"{NOISE}/")]


def used(clips: int, unused: Mapping[str, int], elsewhere: int = 0) -> str:
    """How many files are used as clips, and why the others are not."""
    reasons = {reason: count for reason, count in unused.items() if reason not in NO_FILES}
    line = f"used {clips:,} of {clips + sum(reasons.values()):,} files"
    if reasons:
        line += ": " + ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items(), key=_most_first))
    for reason in NO_FILES:
        if reason in unused:
            line += f"; {reason}: {unused[reason]:,}"
    if elsewhere:
        line += f"; the lists also name {counted(elsewhere, 'clip')} of words that are not there"
    return line


def no_words(folders: Collection[str]) -> str | None:
    """A line that "_unknown_" and "_silence_" folders, as other tools name them, are used; None if there are none."""
    found = [name for name in NO_WORDS if name in folders]
    return f"{' and '.join(found)}: used like the words of 'other'" if found else None


def speakers(card: DataCard) -> list[str]:
    """How many speakers are in each split, and whether one is in several; or that the speakers are unknown."""
    told = {split: manifest.speakers for split, manifest in card.manifests.items()}
    if not told or any(each is None for each in told.values()):
        tell = "; --speakers tells them" if card.front_end else ""
        return [f"{UNKNOWN}{tell}"]
    counts = ", ".join(f"{len(people(told[split] or ())):,} in {_CALLED[split]}" for split in SPLITS)
    shared = shared_speakers((split, speaker) for split in SPLITS for speaker in set(told[split] or ()))
    if not shared:
        return [f"speakers: {counts}, none in two splits"]
    have = "has" if len(shared) == 1 else "have"
    return [
        f"speakers: {counts}",
        f"WARNING: {counted(len(shared), 'speaker')} {have} clips in several splits ({some(shared)}), so accuracies "
        "will look better than on new speakers",
    ]


def sounds(card: DataCard, data: str) -> list[str]:
    """A warning if the same second of sound is in two splits or in two classes."""
    held = {split: manifest.each_digest() for split, manifest in card.manifests.items()}
    often = Counter(chain.from_iterable(held.values()))
    again: dict[bytes, list[tuple[str, int, str]]] = {digest: [] for digest, clips in often.items() if clips > 1}
    for split, digests in held.items():
        for place, digest in enumerate(digests):
            if digest in again:
                again[digest].append((split, card.labels[split][place], card.manifests[split].paths[place]))
    parts = []
    for at, what in ((0, "in two splits"), (1, "in two classes")):
        found = [clips for clips in again.values() if len({clip[at] for clip in clips}) > 1]
        if found:
            first = " = ".join(clip[2] for clip in found[0][:_SHOWN])
            many = f"{len(found):,} sounds, " if len(found) > 1 else ""
            parts.append(f"{what} ({many}{first})")
    check = f"; `kws data check {data}` lists them" if card.front_end else ""
    return [f"WARNING: the same sound is {' and '.join(parts)}{check}"] if parts else []


def _most_first(reason: tuple[str, int]) -> tuple[int, str]:
    return -reason[1], reason[0]
