"""A data set ready to train on: features and labels of each split, and the card that says what they are.

Decisions:
- Features are computed once and cached by what they depend on (see kws.speech.listing), together with every clip's
  path, digest and speaker.
- Cached features are normalised with the training split's scalar mean and standard deviation. They are mapped into
  memory, so that later runs start at once and several runs share one copy.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kws.errors import DataError
from kws.events import ALL, LEFT_OUT, OTHER, SPLITS, DataCard, Manifest
from kws.recipe import FIRST, Config
from kws.recipe.partition import Partition
from kws.speech import lacking, longer, prepare
from kws.speech.cache import published
from kws.speech.folder import UNREADABLE
from kws.speech.front_end import FRONT_END
from kws.speech.listing import columns, features_folder, left_out_by, list_source
from kws.speech.progress import Track, untracked
from kws.speech.sources import Source, locate

_DAMAGED = (OSError, ValueError, EOFError, KeyError)  # errors from reading incomplete cached features


@dataclass(frozen=True)
class Split:
    """Normalised features (N, T, M) float32 and labels (N,) int64."""

    features: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> Split:
        """The same clips on a device; itself for the CPU."""
        return self if device == "cpu" else Split(self.features.to(device), self.labels.to(device))

    def renormalised(self, of: DataCard, to: DataCard) -> Split:
        """The same clips, normalised with the mean and std of `to` instead of `of`; itself if both are the same."""
        if (of.mean, of.std) == (to.mean, to.std):
            return self
        return Split(self.features.mul(of.std).add_(of.mean - to.mean).div_(to.std), self.labels)


@dataclass(frozen=True)
class Dataset:
    """The splits by name, their card, and the names of clips that were left out as unreadable.

    `elsewhere` counts the clips in the folder's lists whose words are not in the folder. `said` is what is to be known
    of how the recordings were found (see kws.speech.listing). `unheard` holds the clips of
    the words that the task leaves out, in their splits; no split here has any of them.
    """

    card: DataCard
    splits: Mapping[str, Split]
    left_out: Sequence[str] = ()
    elsewhere: int = 0
    said: Sequence[str] = ()
    unheard: Dataset | None = None

    def split(self, name: str) -> Split:
        """The split of that name; `all` is the three together."""
        if name != ALL:
            return self.splits[name]
        parts = [self.splits[part] for part in SPLITS]
        return Split(torch.cat([part.features for part in parts]), torch.cat([part.labels for part in parts]))


def load(
    data: str,
    task: Config,
    *,
    speakers: str | None = None,
    pattern: str | None = None,
    align: str = FIRST,
    partition: Partition | None = None,
    skip_unreadable: bool = False,
    track: Track = untracked,
    found: Mapping[str, Any] | None = None,
    some_of: tuple[str, ...] = (),
) -> Dataset:
    """The data set that `data` names (see kws.speech.sources) with a task's classes, from the cache if it is there.

    `task` is a task's Config (kws/speech/tasks). `speakers` gives the clips' speakers (see kws.speech.speakers), and
    `pattern` describes file names that carry the label. `align` is which second of longer clips is used, and
    `partition` is other splits than the data's own. `found` is the result of a recent listing; with it, clips are
    listed again only if the cache lacks those features. `some_of` are the classes of a run that is evaluated on the
    data, which may lack some of them (see kws.speech.partly).
    Raises DataError if the data cannot be used. An unreadable clip is named in the error, or left out with
    `skip_unreadable`.
    """
    place = data, task, speakers, pattern, align
    options = {"partition": partition, "skip_unreadable": skip_unreadable, "track": track}
    loaded = _load(*place, found=found, some_of=some_of, **options)  # type: ignore[arg-type]
    if some_of or not left_out_by(task):
        return loaded
    apart = _load(*place, unheard=True, **options)  # type: ignore[arg-type]
    card = replace(apart.card, draw=LEFT_OUT, source=f"{apart.card.source}: {', '.join(left_out_by(task))}")
    return replace(loaded, unheard=replace(apart, card=card))


def _load(
    data: str,
    task: Config,
    speakers: str | None,
    pattern: str | None,
    align: str,
    *,
    partition: Partition | None,
    skip_unreadable: bool,
    track: Track,
    found: Mapping[str, Any] | None = None,
    unheard: bool = False,
    some_of: tuple[str, ...] = (),
) -> Dataset:
    """One data set: that of the task, or of the words that it leaves out."""
    if found is not None:
        with suppress(*_DAMAGED):
            return _read(locate(data, track=track), found)
    options: dict[str, Any] = {"partition": partition, "skip_unreadable": skip_unreadable, "track": track}
    options |= {"align": align, "unheard": unheard, "some_of": some_of}
    listing = list_source(data, task, speakers, pattern, **options)
    source, classes, folder = listing.source, listing.classes, features_folder(listing.key)
    if folder.exists():
        with suppress(*_DAMAGED):
            return _read(source, listing.found())
        shutil.rmtree(folder, ignore_errors=True)  # it was complete when it appeared, so it was damaged later
    if not folder.exists():
        with published(folder) as temporary:
            if source.is_arrays:
                made = prepare.from_arrays(source.folder, temporary)
                classes = _array_classes(made.classes, columns(task, source.folder), source.folder)
            else:
                made = prepare.from_clips(
                    listing.clips, source.folder, temporary, skip_unreadable=skip_unreadable, track=track
                )
            card = {
                "classes": classes,
                "front_end": {} if source.is_arrays else FRONT_END.describe(),
                "draw": listing.draw,
                "longer": sum(longer.counted(manifest.seconds) for manifest in made.manifests.values()),
                **{name: value for name, value in vars(made).items() if name not in ("classes", "manifests")},
            }
            (temporary / "card.json").write_text(json.dumps(card), encoding="utf-8")
            for split, manifest in made.manifests.items():
                (temporary / f"{split}-digests.bin").write_bytes(manifest.digests)
                names = {name: value for name, value in vars(manifest).items() if name != "digests"}
                (temporary / f"{split}-manifest.json").write_text(json.dumps(names), encoding="utf-8")
    return _read(source, listing.found())


def clip_names(loaded: Dataset, split: str) -> list[str]:
    """The names of a split's clips, in its order: paths of recordings, or file and index for arrays."""
    return [path for part in (SPLITS if split == ALL else (split,)) for path in loaded.card.manifests[part].paths]


def require_all_classes(
    dataset: Dataset, splits: Sequence[str] = SPLITS, *, partition: Partition | None = None
) -> None:
    """Raise DataError, which says what would do, if a class has no clips in one of the splits."""
    for split in splits:
        for label, count in enumerate(dataset.card.counts[split]):
            if not count:
                raise DataError(
                    f"{dataset.card.source} has no clips of {dataset.card.classes[label]!r} in its {split} split; "
                    f"{lacking.remedy(dataset.card, label, partition)}"
                )


def _array_classes(count: int, words: tuple[str, ...], source: Path) -> tuple[str, ...]:
    for classes in ((*words, OTHER), words):
        if len(classes) == count:
            return classes
    raise DataError(
        f"the arrays in {source} have {count} classes, but --words names {len(words)}; "
        f"name {count - 1} of them (the last is then {OTHER!r}) or all {count}, in the order of the arrays' columns"
    )


def _read(source: Source, found: Mapping[str, Any]) -> Dataset:
    """The data set from the cached features with the key in `found`, the result of a listing."""
    folder = features_folder(found["key"])
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    splits, counts, labels, manifests = {}, {}, {}, {}
    for split in SPLITS:
        # A private mapping: pages are shared with other processes until written, and nothing writes to them.
        features = np.load(folder / f"{split}.npy", mmap_mode="c")
        classes = np.load(folder / f"{split}-labels.npy")
        splits[split] = Split(torch.from_numpy(features), torch.from_numpy(classes))
        counts[split] = tuple(np.bincount(classes, minlength=len(card["classes"])).tolist())
        labels[split] = classes.astype(np.uint8).tobytes()
        about = json.loads((folder / f"{split}-manifest.json").read_text(encoding="utf-8"))
        speakers = about["speakers"]
        manifests[split] = Manifest(
            paths=tuple(about["paths"]),
            digests=(folder / f"{split}-digests.bin").read_bytes(),
            speakers=None if speakers is None else tuple(speakers),
            modified_ns=tuple(about["modified_ns"]),
            seconds=tuple(about["seconds"]),
        )
    seconds = [each for manifest in manifests.values() for each in manifest.seconds]
    return Dataset(
        DataCard(
            source=f"{source.name} + {found['tested_on']}" if found.get("tested_on") else source.name,
            classes=tuple(card["classes"]),
            counts=counts,
            split_fingerprints=card["fingerprints"],
            labels=labels,
            front_end=card["front_end"],
            mean=card["mean"],
            std=card["std"],
            draw=card["draw"],
            band_means=tuple(card["band_means"]) or None,
            unused=found["unused"] | ({UNREADABLE: len(card["left_out"])} if card["left_out"] else {}),
            manifests=manifests,
        ),
        splits,
        card["left_out"],
        found["elsewhere"],
        [*found.get("said", ()), *longer.said(seconds, found.get("align", FIRST))],
    )
