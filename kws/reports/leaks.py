"""The same sound in two splits of a data set, as its manifests tell exactly: what a table over it must say.

A clip's digest is that of the second that is heard, so copies under other names or in other lossless encodings count.
A second of digital silence is no leak, for it is the same wherever it was recorded.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable

from kws.events import SPLITS, TEST, TRAIN, VALIDATION
from kws.recipe import counted
from kws.registry.reader import RegistryReader

_SILENCE = hashlib.sha256(bytes(4 * 16_000)).digest()  # 16,000 samples of float32
_PAIRS = ((TEST, TRAIN), (TEST, VALIDATION), (VALIDATION, TRAIN))
_CALLED = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


def notes(registry: RegistryReader, fingerprints: Iterable[str]) -> tuple[str, ...]:
    """A note of how many clips are in two splits of these data sets; empty where none is, or where it is not known."""
    found: Counter[tuple[str, str]] = Counter()
    for fingerprint in dict.fromkeys(fingerprints):
        found.update(shared(registry, fingerprint))
    if not found:
        return ()
    parts = []
    for (split, other), count in found.items():
        clips = counted(count, f"{_CALLED[split]} clip")
        parts.append(f"{clips} {'has' if count == 1 else 'have'} the sound of a {_CALLED[other]} clip")
    return (f"splits share sounds, so accuracies look better than they are: {', '.join(parts)}",)


def shared(registry: RegistryReader, fingerprint: str) -> dict[tuple[str, str], int]:
    """How many clips of a split have the sound of a clip of another split, where any has; empty without manifests."""
    digests = {}
    for split in SPLITS:
        sounds = registry.digests(fingerprint, split)
        if sounds is None:
            return {}
        digests[split] = sounds
    found = {}
    for split, other in _PAIRS:
        there = {*digests[other]} - {_SILENCE}
        if count := sum(digest in there for digest in digests[split]):
            found[split, other] = count
    return found
