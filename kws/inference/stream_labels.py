"""Labels of a stream: when its words are said. Read from JSON as MLPerf Tiny's streaming benchmark has it.

    {"wav_file": "long.wav", "sample_rate": 16000, "length_sec": 1200.0,
     "detection_windows": [[3.2, 3.8, "yes"], [7.1, 7.5, "no"]]}

Decisions:
- Times are seconds from the beginning. A window is where the word itself is said, without the second after it in which
  it may still be detected.
- MLPerf's windows have two numbers, since its task has one keyword. For several, the word stands third, or a list
  "words" beside "detection_windows" has one for each. Without either, the detector must have one keyword.
- A word that the detector does not have is refused, not skipped: a misspelt label would look like a better detector.
- Labels belong to a recording if its length and rate are theirs; files may be renamed.
- What `kws stream --make` wrote says so under "made_from", by which a test stream is known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kws.errors import DataError
from kws.events import TEST, TRAIN

_LENGTHS_APART = 0.1  # seconds; half a hop and what resampling adds lie within it


@dataclass(frozen=True, order=True)
class Window:
    """A word, said from `start` to `stop`, in seconds."""

    start: float
    stop: float
    word: str


@dataclass(frozen=True)
class StreamLabels:
    """All windows of a stream, in their order; a rate or length is None where the labels do not say it."""

    path: str
    windows: tuple[Window, ...]
    seconds: float | None = None
    rate_hz: int | None = None
    made_from: Mapping[str, Any] = field(default_factory=dict)  # of `kws stream --make`

    @property
    def is_test(self) -> bool:
        """Whether it was made of a test split's clips."""
        return self.made_from.get("split") == TEST

    @property
    def is_train(self) -> bool:
        """Whether it was made of a training split's clips: such a stream is for mining, and measures nothing."""
        return self.made_from.get("split") == TRAIN

    def require_of(self, name: str, seconds: float | None, rate_hz: int | None) -> None:
        """Raise DataError if the recording called `name` has another length or rate."""
        if self.rate_hz is not None and rate_hz is not None and self.rate_hz != rate_hz:
            raise DataError(
                f"{self.path} labels a recording of {self.rate_hz} Hz, but {name} has {rate_hz} Hz; give the labels of "
                "this recording"
            )
        if self.seconds is not None and seconds is not None and abs(self.seconds - seconds) > _LENGTHS_APART:
            raise DataError(
                f"{self.path} labels a recording of {self.seconds:.2f} s, but {name} has {seconds:.2f} s; give the "
                "labels of this recording"
            )
        if seconds is not None and self.windows and (last := max(w.stop for w in self.windows)) > seconds + 0.1:
            raise DataError(
                f"{self.path} has a word until {last:.2f} s, but {name} ends after {seconds:.2f} s; give the labels of "
                "this recording"
            )


def read_labels(path: Path, keywords: Sequence[str]) -> StreamLabels:
    """The labels in a file, for a detector of these keywords. Raises DataError for what is not understood."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the labels {path} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the labels {path} are not JSON ({error}); {_LOOKS_SO}") from None
    return labels_of(found, keywords, str(path))


_LOOKS_SO = 'they look like {"length_sec": 60.0, "sample_rate": 16000, "detection_windows": [[3.2, 3.8, "yes"]]}'


def labels_of(found: Any, keywords: Sequence[str], path: str) -> StreamLabels:
    """The labels that a JSON object says. Raises DataError for what is not understood."""
    listed = found.get("detection_windows") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise DataError(f"the labels {path} have no list `detection_windows`; {_LOOKS_SO}")
    words = found.get("words")
    if words is not None and not (isinstance(words, list) and len(words) == len(listed)):
        raise DataError(f"`words` in {path} must list one word for each of the {len(listed)} detection windows")
    length = _positive(found, "length_sec", path)
    rate = _positive(found, "sample_rate", path)
    windows = [
        _window(entry, None if words is None else words[place], keywords, f"window {place + 1} in {path}")
        for place, entry in enumerate(listed)
    ]
    made_from = found.get("made_from")
    return StreamLabels(
        path=path,
        windows=tuple(sorted(windows)),
        seconds=length,
        rate_hz=None if rate is None else round(rate),
        made_from=made_from if isinstance(made_from, dict) else {},
    )


def _positive(found: Mapping[str, Any], name: str, path: str) -> float | None:
    value = found.get(name)
    if value is None:
        return None
    if not _is_number(value) or value <= 0:
        raise DataError(f"`{name}` (={value!r}) in {path} must be a number above 0")
    return float(value)


def _window(entry: Any, word: Any, keywords: Sequence[str], what: str) -> Window:
    if not (isinstance(entry, list) and len(entry) in (2, 3) and all(map(_is_number, entry[:2]))):
        raise DataError(f"{what} (={entry!r}) must be [start, stop] in seconds, or [start, stop, word]")
    start, stop = map(float, entry[:2])
    if not 0 <= start < stop:
        raise DataError(f"{what} (={entry!r}) must start at 0 s or later and stop after its start")
    own = entry[2] if len(entry) == 3 else word
    if own is None:
        if len(keywords) != 1:
            raise DataError(
                f"{what} (={entry!r}) does not say its word, and there are {len(keywords)} keywords "
                f"({', '.join(keywords)}); write the word third, or a list `words` beside the windows"
            )
        own = keywords[0]
    if own not in keywords:
        raise DataError(
            f"{what} has the word {own!r}, which this run does not detect ({', '.join(keywords)}); leave windows of "
            "other words out, or correct the word"
        )
    return Window(start, stop, own)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
