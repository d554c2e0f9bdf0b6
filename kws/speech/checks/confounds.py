"""Words that differ from the others by how they were recorded: a network could tell them by the microphone.

Decisions:
- Compared with all other words are each word's sample rates and kinds of files, its level, the floor of its clips (what
  is heard between words), and their durations.
- Of what is a number, the measure is how often a clip of the word has more than a clip of another word, ties by half
  (the area under the ROC curve; Mann and Whitney, 1947). From 95 % on, or below 5 %, the word can be told by that
  number alone. It must also be more than 3 standard errors from a half, and medians must be 6 dB or a factor of 1.5
  apart: words differ a little in level and length by nature.
- Of what is a kind, it is half the sum of the differences of the shares (total variation): from 50 % on.
- A word with fewer than five clips, or with fewer than five of others beside it, says nothing.
- Silent clips do not count.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kws.speech.checks.sounds import Sound
from kws.speech.clips import Clip

_LEAST_CLIPS = 5
_ALIKE, _ERRORS = 0.95, 3.0
_LEAST_DB, _LEAST_RATIO = 6.0, 1.5
_LEAST_SHARES = 0.5


@dataclass(frozen=True, kw_only=True)
class Confound:
    """A word whose clips differ from those of other words in `what`: typical values of both, as text."""

    word: str
    what: str
    here: str
    others: str
    told_by_it: float  # how well the word can be told by this alone: from 0.5 or 0, not at all, to 1


def confounds(heard: Sequence[tuple[Clip, Sound]], words: Sequence[str]) -> list[Confound]:
    """The words that can be told by how they were recorded, the most easily told first; `words` are the clips'."""
    by_word: dict[str, list[tuple[Clip, Sound]]] = defaultdict(list)
    for word, (clip, sound) in zip(words, heard, strict=True):
        if not sound.is_silent:
            by_word[word].append((clip, sound))
    found = []
    for word, mine in by_word.items():
        rest = [each for other, clips in by_word.items() if other != word for each in clips]
        if min(len(mine), len(rest)) >= _LEAST_CLIPS:
            found += [
                *_by_kind(word, "sample rate", *(_rates(each) for each in (mine, rest))),
                *_by_kind(word, "kind of file", *(_endings(each) for each in (mine, rest))),
                *_by_number(word, "level", "dBFS", *([s.level_db for _, s in each] for each in (mine, rest))),
                *_by_number(word, "floor", "dBFS", *([s.floor_db for _, s in each] for each in (mine, rest))),
                *_by_number(word, "duration", "s", *([s.seconds for _, s in each] for each in (mine, rest))),
            ]
    return sorted(found, key=lambda each: (-each.told_by_it, each.word, each.what))


def _rates(clips: Iterable[tuple[Clip, Sound]]) -> list[str]:
    return [f"{sound.rate_hz:,} Hz" for _, sound in clips]


def _endings(clips: Iterable[tuple[Clip, Sound]]) -> list[str]:
    return [clip.path[clip.path.rfind(".") + 1 :].upper() for clip, _ in clips]


def _by_kind(word: str, what: str, mine: Sequence[str], rest: Sequence[str]) -> Iterable[Confound]:
    here, others = (Counter(each) for each in (mine, rest))
    apart = sum(abs(here[kind] / len(mine) - others[kind] / len(rest)) for kind in {*here, *others}) / 2
    if apart >= _LEAST_SHARES:
        yield Confound(word=word, what=what, here=_most(here), others=_most(others), told_by_it=apart)


def _most(kinds: Counter[str]) -> str:
    (kind, count), total = kinds.most_common(1)[0], kinds.total()
    return kind if count == total else f"{kind} ({100 * count / total:.0f} %)"


def _by_number(word: str, what: str, unit: str, mine: Sequence[float], rest: Sequence[float]) -> Iterable[Confound]:
    import numpy as np

    area = _area(mine, rest)
    error = ((len(mine) + len(rest) + 1) / (12 * len(mine) * len(rest))) ** 0.5
    here, others = float(np.median(mine)), float(np.median(rest))
    far = abs(here - others) >= _LEAST_DB if unit != "s" else max(here, others) >= _LEAST_RATIO * min(here, others)
    if max(area, 1 - area) >= _ALIKE and abs(area - 0.5) > _ERRORS * error and far:
        digits = 2 if unit == "s" else 0
        shown = (f"{value:.{digits}f} {unit}" for value in (here, others))
        yield Confound(word=word, what=what, here=next(shown), others=next(shown), told_by_it=max(area, 1 - area))


def _area(mine: Sequence[float], rest: Sequence[float]) -> float:
    """How often one of these is above one of the rest, ties by half."""
    import numpy as np

    ordered = np.sort(rest)
    below = np.searchsorted(ordered, mine, "left") + np.searchsorted(ordered, mine, "right")
    return float(below.mean() / (2 * len(rest)))
