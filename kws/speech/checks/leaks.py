"""The same recording in two splits, or under two words: which makes figures meaningless, or labels wrong.

Three kinds are found:

- the same sound: the same second, sample by sample, whatever the files are called (by digest; any number of clips).
- near-duplicates: one recording that was encoded, amplified, shifted or cut another way (by correlation).
- overlaps: pieces of one file that share a moment (by where they begin and end).

Near-duplicates are found in two steps. Clips whose outlines (kws.speech.checks.sketches) are alike are candidates: for
each clip the three nearest ones of another split or word. A candidate is a copy if both hold:

- the phase transform of the cross-correlation (Knapp and Carter, 1976), whose frequencies all count the same, has a
  peak of 0.4 or more, where 1 is the same sound. So neither a hum nor a vowel of the same pitch is a copy.
- at that shift, the correlation of the samples that both have is 0.92 or more. So neither is noise of one device.

Two takes of a word by one speaker mostly have 0.1 and 0.3, and of 11,916 clips of Speech Commands no two that are not
the same sound have 0.4 and 0.9. Clips in one split and under one word are not compared: a word that is there twice is
no leak.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import cores
from kws.speech.checks import sketches
from kws.speech.checks.sounds import Sound
from kws.speech.clips import Clip

if TYPE_CHECKING:
    import numpy as np

PEAK, CORRELATION = 0.4, 0.92
_ALIKE = 0.86  # least cosine of the outlines of candidates, less their mean
_NEAREST = 3  # candidates a clip
_FEW = 64  # clips of which all pairs are correlated: their mean outline says little
_LEAST_SHARE = 0.2  # of a clip's power that is in both, at the shift
_LEAST_OVERLAP_MS = 50
_SECOND_MS = 1000
_ROWS, _PAIRS = 1024, 128  # clips and pairs at once
_TRANSFORM = 8192  # samples: two sketches, so that no shift wraps around
_LOW_BIN, _HIGH_BIN = (round(hz * _TRANSFORM / sketches.RATE_HZ) for hz in (150, 1900))


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two clips of one recording, with their words and splits."""

    clips: tuple[str, str]
    words: tuple[str, str]
    splits: tuple[str, str]
    correlation: float | None  # of the samples that both have; None for pieces of one file
    shift_ms: float  # by how much later it begins in the second clip

    @property
    def crosses_splits(self) -> bool:
        """Whether the clips are in different splits."""
        return self.splits[0] != self.splits[1]

    @property
    def crosses_words(self) -> bool:
        """Whether the clips have different words."""
        return self.words[0] != self.words[1]


def same_sounds(heard: Sequence[tuple[Clip, Sound]]) -> list[list[Clip]]:
    """The clips of each sound that occurs more than once."""
    by_digest: dict[bytes, list[Clip]] = defaultdict(list)
    for clip, sound in heard:
        by_digest[sound.digest].append(clip)
    return sorted(clips for clips in by_digest.values() if len(clips) > 1)


def overlaps(clips: Sequence[Clip], words: Sequence[str]) -> list[Pair]:
    """The pieces of one file that share 50 ms or more and have different splits or words."""
    by_file: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for place, clip in enumerate(clips):
        begin = clip.at_ms or 0
        end = begin + _SECOND_MS if clip.end_ms is None else min(clip.end_ms, begin + _SECOND_MS)
        by_file[clip.path].append((begin, end, place))
    found = []
    for spans in by_file.values():
        spans.sort()
        for number, (begin, end, a) in enumerate(spans):
            for other_begin, other_end, b in spans[number + 1 :]:
                if other_begin >= end:
                    break
                shares = min(end, other_end) - other_begin >= _LEAST_OVERLAP_MS
                if shares and (clips[a].split != clips[b].split or words[a] != words[b]):
                    found.append(_pair(clips, words, a, b, None, float(begin - other_begin)))
    return found


def near_duplicates(
    clips: Sequence[Clip], words: Sequence[str], digests: Sequence[bytes], found: Sequence[sketches.Sketch]
) -> list[Pair]:
    """The pairs of clips (N,) that are one recording though not the same sound, the most alike first."""
    import numpy as np

    groups: dict[tuple[str, str], int] = {}
    group = np.array([groups.setdefault((w, c.split), len(groups)) for w, c in zip(words, clips, strict=True)])
    if len(groups) < 2:
        return []
    samples = np.stack([each.samples for each in found])
    pairs = [
        pair for pair in _candidates(np.stack([each.outline for each in found]), group)
        if digests[pair[0]] != digests[pair[1]]
    ]  # fmt: skip
    parts = [pairs[i : i + _PAIRS] for i in range(0, len(pairs), _PAIRS)]
    with ThreadPoolExecutor(cores()) as pool:
        copies = [copy for part in pool.map(lambda part: list(_copies(samples, part)), parts) for copy in part]
    made = [_pair(clips, words, *copy) for copy in copies]
    return sorted(made, key=lambda pair: (-(pair.correlation or 0), pair.clips))


def _pair(clips: Sequence[Clip], words: Sequence[str], a: int, b: int, r: float | None, shift_ms: float) -> Pair:
    return Pair(
        clips=(clips[a].name, clips[b].name),
        words=(words[a], words[b]),
        splits=(clips[a].split, clips[b].split),
        correlation=r,
        shift_ms=shift_ms,
    )


def _candidates(outlines: np.ndarray, group: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of different groups (N,) whose outlines (N, D) are alike."""
    import numpy as np

    clips = len(outlines)
    if clips <= _FEW:
        return [(a, b) for a in range(clips) for b in range(a + 1, clips) if group[a] != group[b]]
    outlines = outlines - outlines.mean(axis=0)
    outlines /= np.maximum(np.linalg.norm(outlines, axis=1, keepdims=True), 1e-9)
    found = []
    for start in range(0, clips, _ROWS):
        rows = slice(start, start + _ROWS)
        alike = outlines[rows] @ outlines[start:].T  # those before have met these already
        alike[group[rows, None] == group[None, start:]] = -1
        for a, b in zip(*np.nonzero(alike >= _ALIKE), strict=True):
            if a < b:
                found.append((float(alike[a, b]), int(a) + start, int(b) + start))
    taken = np.zeros(clips, int)
    kept = []
    for _, a, b in sorted(found, reverse=True):
        if min(taken[a], taken[b]) < _NEAREST:
            taken[a] += 1
            taken[b] += 1
            kept.append((a, b))
    return sorted(kept)


def _copies(samples: np.ndarray, pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, float, float]]:
    """The pairs that are one recording, with their correlation and their shift in ms."""
    import numpy as np

    first, second = (samples[[pair[side] for pair in pairs]].astype(np.float32) for side in (0, 1))
    spectra = np.fft.rfft(first, _TRANSFORM) * np.fft.rfft(second, _TRANSFORM).conj()
    size = np.abs(spectra)
    spectra = np.divide(spectra, size, out=np.zeros_like(spectra), where=size > 0)
    spectra[:, :_LOW_BIN] = spectra[:, _HIGH_BIN:] = 0
    peaks = np.fft.irfft(spectra, _TRANSFORM) * (_TRANSFORM / (2 * (_HIGH_BIN - _LOW_BIN)))
    places = peaks.argmax(axis=1)
    for k in np.flatnonzero(peaks[np.arange(len(pairs)), places] >= PEAK).tolist():
        shift = int(places[k]) - _TRANSFORM * int(places[k] > _TRANSFORM // 2)  # the first is later by so much
        one, other = first[k, max(shift, 0) :], second[k, max(-shift, 0) :]
        length = min(len(one), len(other))
        one, other = one[:length], other[:length]
        power = [float(np.dot(each, each)) for each in (one, other)]
        wholes = (float(np.dot(each[k], each[k])) for each in (first, second))
        shares = [of / max(whole, 1e-9) for of, whole in zip(power, wholes, strict=True)]
        correlation = float(np.dot(one, other)) / max((power[0] * power[1]) ** 0.5, 1e-9)
        if correlation >= CORRELATION and min(shares) >= _LEAST_SHARE:
            yield (*pairs[k], correlation, -1000 * shift / sketches.RATE_HZ)
