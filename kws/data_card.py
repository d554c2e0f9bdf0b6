"""DataCard: what a run's data was, so that two runs can be told to have seen the same.

Standard library only. A fingerprint is a SHA-256 in hexadecimal: a split's is over its clips' labels, names and
waveforms; the whole one over the splits', the classes and the front end.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
ALL = "all"  # the three splits together, for data that was not made to be split


@dataclass(frozen=True, kw_only=True)
class DataCard:
    """A data set's identity: its clips by fingerprint, its classes, its size, and how features are made of it."""

    source: str  # as shown in tables: the folder's name, or the built-in source's
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]  # clips of each class, by split
    split_fingerprints: Mapping[str, str]
    labels: Mapping[str, bytes]  # a byte a clip, by split, in the order of its predictions
    front_end: Mapping[str, float]
    mean: float  # of the training split's features; what all splits were normalised with
    std: float

    @property
    def fingerprint(self) -> str:
        """The whole data set's fingerprint."""
        text = json.dumps([self.classes, dict(self.split_fingerprints), dict(self.front_end)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def labels_of(self, split: str) -> bytes:
        """The labels of a split's clips, or of all splits' one after the other for `all`."""
        return b"".join(self.labels[name] for name in (SPLITS if split == ALL else (split,)))
