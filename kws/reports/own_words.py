"""Words of one's own: how well a network trained on few clips will do, and what would help most.

Decisions:
- Figures are those of folds (`--fold K/N`): each clip is heard by a network that was trained without it, and without
  its speaker where speakers are known, at thresholds that were chosen without it.
- A clip is heard as a keyword where that is the likeliest one and its probability is at its threshold or above. A clip
  of another word that is heard as any keyword is a false accept.
- Shares have Wilson's intervals over clips. With few clips these are wide, and that is the point of showing them.
- Advice follows from the counts alone, the most helpful first: where what is no keyword was synthetic alone, a detector
  takes half of all speech for its words, so that this comes first; then speakers, without whom nothing is known of
  other voices; then false accepts; then words that are missed or taken for each other; then more clips.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kws.events import NO_WORDS, TEST, VALIDATION, keywords_of, people
from kws.reports.statistics import Interval, over_clips

if TYPE_CHECKING:
    from kws.registry.reader import RegistryReader
    from kws.registry.runs import Run

ENOUGH_SPEAKERS = 10
_WIDE = 0.2  # an interval above which more clips would say more
_POOR = 0.9  # of a word's clips
_TOO_MANY = 0.02  # of the clips of other words
_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Heard:
    """So many of some clips."""

    name: str
    clips: int
    heard: int
    taken_for: Mapping[str, int]  # keyword -> clips, of those that were heard as another one

    @property
    def share(self) -> float:
        """The share of clips; 0 without any."""
        return self.heard / self.clips if self.clips else 0.0

    @property
    def interval(self) -> Interval:
        """Wilson's interval of the share."""
        return over_clips(self.heard, self.clips)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        low, high = self.interval.low, self.interval.high
        return {
            "name": self.name,
            "clips": self.clips,
            "heard": self.heard,
            "share": self.share,
            "interval": [low, high],
            "taken_for": dict(self.taken_for),
        }


@dataclass(frozen=True, kw_only=True)
class OwnWords:
    """What networks of N folds made of the clips that each had not heard.

    `others` are the clips of other words, of which `accepted` says how many were heard as a keyword; `speakers` is None
    where they are unknown.
    """

    folds: int
    words: tuple[Heard, ...]
    others: Heard
    accepted: Mapping[str, tuple[int, int]]  # other word -> clips accepted, clips
    speakers: int | None

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "folds": self.folds,
            "speakers": self.speakers,
            "words": [each.record() for each in self.words],
            "false_accepts": self.others.record(),
            "accepted": {word: list(counts) for word, counts in self.accepted.items()},
        }


def of_folds(registry: RegistryReader, runs: Sequence[Run], *, builtin: bool = False) -> OwnWords:
    """The figures of the finished runs of all folds of one recipe; `builtin` says that other words are synthetic.

    Raises RegistryError where their answers are not recorded.
    """
    classes = registry.card(runs[0].data_fingerprint).classes
    keywords = keywords_of(classes)
    said: Counter[str] = Counter()
    heard: Counter[tuple[str, str | None]] = Counter()
    others: Counter[tuple[str, bool]] = Counter()
    speakers: set[str] | None = set()
    for run in runs:
        labels, taken = _answers(registry, run, classes)
        manifest = registry.manifest(run.data_fingerprint, TEST)
        paths = manifest.paths if manifest else ("",) * len(labels)
        told = manifest.speakers if manifest else None
        for place, (label, found) in enumerate(zip(labels, taken, strict=True)):
            name = classes[label]
            if name in keywords:
                said[name] += 1
                heard[name, found] += 1
                if speakers is not None:
                    speakers = None if told is None else speakers | {told[place]}
            else:
                others[word_of(paths[place]), found is not None] += 1
    words = sorted({word for word, _ in others})
    counts = {word: (others[word, True], others[word, True] + others[word, False]) for word in words}
    accepted = dict(sorted(counts.items(), key=lambda each: (-each[1][0], each[0])))
    return OwnWords(
        folds=len(runs),
        words=tuple(_heard(word, said[word], heard, keywords) for word in keywords),
        others=Heard(
            name="synthetic speech and noise" if builtin else "other words",
            clips=sum(clips for _, clips in counts.values()),
            heard=sum(taken for taken, _ in counts.values()),
            taken_for={},
        ),
        accepted={word: each for word, each in accepted.items() if each[0]},
        speakers=None if speakers is None else len(people(speakers)),
    )


def _heard(word: str, clips: int, heard: Counter[tuple[str, str | None]], keywords: Iterable[str]) -> Heard:
    wrong = {name: heard[word, name] for name in keywords if name != word and heard[word, name]}
    return Heard(name=word, clips=clips, heard=heard[word, word], taken_for=wrong)


def _answers(registry: RegistryReader, run: Run, classes: Sequence[str]) -> tuple[list[int], list[str | None]]:
    """The label of each test clip of a run, and the keyword that it was heard as; None for none."""
    import numpy as np

    from kws.errors import RegistryError
    from kws.inference.calibration import Calibration, logits_of, softmax

    own, found = (registry.evaluation(run.id, run.data_fingerprint, split) for split in (VALIDATION, TEST))
    if own is None or found is None or not own.logits or not found.logits:
        raise RegistryError(f"run {run.id} has no answers on its validation or test split; `kws eval {run.id}`")
    chosen, keywords = Calibration.of(own, classes), keywords_of(classes)
    places = [classes.index(name) for name in keywords]
    probabilities = softmax(logits_of(found, classes), chosen.temperature)[:, places]
    best = probabilities.argmax(axis=1)
    limits = np.array([chosen.thresholds.get(name, 0.5) for name in keywords])
    over = probabilities[np.arange(len(best)), best] >= limits[best]
    taken = [keywords[k] if sure else None for k, sure in zip(best.tolist(), over.tolist(), strict=True)]
    return np.frombuffer(found.labels, np.uint8).tolist(), taken


def word_of(path: str) -> str:
    """The word of a clip of another source, from its path in a manifest (source/word/file)."""
    parts = path.split("/")
    word = parts[-2] if len(parts) > 1 else ""
    return "noise or silence" if word == NO_WORDS[1] else word


def advice(found: OwnWords, *, builtin: bool) -> list[str]:
    """What would help most, the most important first; `builtin` says that all negatives are synthetic."""
    lines = []
    if builtin:
        lines.append(
            "Give --other a folder of recordings of people who say other words, or `kws data download "
            "mini-speech-commands`, which is then taken: without any, half of the words that people say may be taken "
            "for yours (docs/own_words.md), which the synthetic speech here cannot show."
        )
    if found.speakers is None:
        lines.append(
            "Say who speaks, and record several people: these figures are for the voices that are in the clips, and "
            "without speakers one voice may be in training and in test (a folder a speaker below each word, or "
            "--speakers)."
        )
    elif found.speakers < ENOUGH_SPEAKERS:
        have = "one person speaks" if found.speakers == 1 else f"{found.speakers} people speak"
        lines.append(
            f"Record {ENOUGH_SPEAKERS - found.speakers} more people: {have} in these clips, and nothing is known of "
            "how other voices will do."
        )
    if found.others.share > _TOO_MANY:
        worst = ", ".join(f"{word} ({taken} of {clips})" for word, (taken, clips) in _first(found.accepted))
        lines.append(f"Add clips of what is taken for a keyword ({worst}) to the folder of --other.")
    for word in sorted(found.words, key=lambda each: each.share):
        for other, clips in sorted(word.taken_for.items(), key=lambda each: -each[1]):
            lines.append(
                f"Record more of {word.name!r} and {other!r}, or choose words that sound less alike: "
                f"{clips} of {word.clips} clips of {word.name!r} were taken for {other!r}."
            )
        if word.share < _POOR:
            lines.append(
                f"Record more of {word.name!r}: {word.heard} of {word.clips} clips were heard; `kws data check` names "
                "those that are cut off, silent or of another word."
            )
    wide = [each for each in found.words if each.interval.high - each.interval.low > _WIDE]
    if wide:
        least = min(each.clips for each in wide)
        lines.append(
            f"Record some {_wanted()} clips of each word to know more: with {least}, the share that is heard is known "
            f"only to within {100 * max(each.interval.high - each.interval.low for each in wide):.0f} points."
        )
    return lines


def _first(accepted: Mapping[str, tuple[int, int]]) -> list[tuple[str, tuple[int, int]]]:
    return list(accepted.items())[:_NAMED]


def _wanted() -> int:
    """How many clips, nearly all of them heard, have an interval that is not wide."""
    clips = 10
    while (interval := over_clips(round(0.95 * clips), clips)).high - interval.low > _WIDE / 2:
        clips += 10
    return clips
