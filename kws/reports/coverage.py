"""Describes what an evaluation covers: how many of its clips the network was trained on, and what data was left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kws.events import ALL, LEFT_OUT, SPLITS, TRAIN, DataCard, Evaluation, Manifest

OTHER_SPLITS = "in its other splits"
# kws.speech's wording, as is "in FOLDER" for a folder that begins with "_".
OTHER_WORDS = ("not drawn for ", "of words that the task leaves out")
NO_FILES = (  # reasons that are about folders, or lines of a manifest
    *("empty folders", "folders that are linked again", "named files that are missing", "lines without a label"),
    *("lines that cannot be read", "commands, which are never run", "lines that repeat another"),
)


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """How many clips were evaluated, and why the data's other clips were not.

    `left_out` counts files by reason, most frequent first. Files that are not in the data set itself are counted only
    if they are recorded, which `is_whole` says. `trained_on` counts the clips whose audio the network was trained on;
    None if that is unknown. `not_tested` are the classes that have no clips here.
    """

    clips: int
    left_out: Mapping[str, int]
    is_whole: bool
    trained_on: int | None
    not_tested: tuple[str, ...] = ()

    @property
    def offered(self) -> int:
        """How many clips there are in all."""
        return self.clips + sum(self.left_out.values())

    @property
    def flatters(self) -> bool:
        """Whether non-keyword clips were left out, some of which would have been false accepts.

        These are words that were not drawn, and folders whose names begin with "_": noise and silence.
        """
        folders = [reason.removeprefix("in ").split("/") for reason in self.left_out if reason.startswith("in ")]
        other_words = any(reason.startswith(OTHER_WORDS) for reason in self.left_out)
        return other_words or any(part.startswith("_") for parts in folders for part in parts)


def of(card: DataCard, split: str, *, has_manifests: bool, trained_on: int | None) -> Coverage:
    """The coverage of an evaluation on one split of a data set, or on `all`."""
    clips = len(card.labels_of(split))
    elsewhere = sum(map(len, card.labels.values())) - clips
    reasons = {reason: count for reason, count in card.unused.items() if reason not in NO_FILES}
    reasons |= {OTHER_SPLITS: elsewhere} if elsewhere else {}
    return Coverage(
        clips=clips,
        left_out=dict(sorted(reasons.items(), key=lambda each: (-each[1], each[0]))),
        is_whole=has_manifests,
        trained_on=trained_on,
        not_tested=not_tested(card, split),
    )


def not_tested(card: DataCard, split: str) -> tuple[str, ...]:
    """The classes without clips in a split of a data set, or in `all`."""
    parts = list(parts_of(split))
    return tuple(name for k, name in enumerate(card.classes) if not any(card.counts[part][k] for part in parts))


def of_classes(card: DataCard, evaluation: Evaluation) -> str:
    """ " of 3 of 9 classes", behind a number of clips that are not of all classes; "" else, and for words left out."""
    some = len({*evaluation.labels})
    return "" if some == len(card.classes) or card.draw == LEFT_OUT else f" of {some} of {len(card.classes)} classes"


def trained_on(
    trained: DataCard, evaluated: DataCard, split: str, train: Manifest | None, manifests: Mapping[str, Manifest]
) -> int | None:
    """How many clips of a split of `evaluated` have the same audio as a clip of the training split of `trained`.

    `train` is the manifest of that training split, and `manifests` are those of `evaluated`. None if this is unknown:
    clips of an older registry have no digests, and digests of recordings say nothing about arrays.
    """
    if split == TRAIN and trained.fingerprint == evaluated.fingerprint:
        return len(evaluated.labels[TRAIN])
    parts = parts_of(split)
    if train is None or any(part not in manifests for part in parts):
        return None
    if bool(trained.front_end) != bool(evaluated.front_end):
        return None
    known = set(train.each_digest())
    return sum(digest in known for part in parts for digest in manifests[part].each_digest())


def parts_of(split: str) -> Iterable[str]:
    """The splits that a split consists of: itself, or all three for `all`."""
    return SPLITS if split == ALL else (split,)
