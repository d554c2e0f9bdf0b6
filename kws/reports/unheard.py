"""Words never heard in training: how many of their clips a run takes for a keyword, at a given share of misses.

Decisions:
- A clip is accepted where the probability of any keyword is at that keyword's threshold or above. Temperature and
  thresholds are those of the run's detector: from its answers on the validation split, which has none of these words,
  so that a keyword's threshold misses at most the given share of its clips there.
- What is measured is the share of accepted clips of words that the recipe left out (`leave_out`), of which no clip was
  in training or decided a threshold. Those of the test split are the test; those of the validation and training splits
  are what remedies may be chosen by.
- One clip is one trial here. For intervals over speakers and seeds see kws.reports.estimates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kws.events import LEFT_OUT, TEST, VALIDATION, DataCard, keywords_of
from kws.inference.card import MISS_RATE
from kws.reports.statistics import Interval, over_clips

if TYPE_CHECKING:
    from kws.registry.reader import RegistryReader
    from kws.registry.runs import Run


@dataclass(frozen=True, kw_only=True)
class Unheard:
    """What a run makes of clips (N,) of words that it never heard, in one split.

    `accepted` and `heard_as` are arrays: whether each clip is taken for a keyword, and the index of the likeliest one.
    """

    card: DataCard  # of these clips
    split: str
    miss_rate: float
    keywords: tuple[str, ...]
    thresholds: Mapping[str, float]
    spoken: tuple[str, ...]
    accepted: Any
    heard_as: Any

    @property
    def rate(self) -> float:
        """The share of clips that are accepted."""
        return float(self.accepted.mean())

    def interval(self) -> Interval:
        """Wilson's interval of the rate over clips."""
        return over_clips(int(self.accepted.sum()), len(self.accepted))

    def of_words(self) -> dict[str, tuple[int, int, dict[str, int]]]:
        """By word: the clips accepted, all of them, and how many of the former were taken for which keyword."""
        found = {}
        for word in sorted(set(self.spoken)):
            mine = [place for place, each in enumerate(self.spoken) if each == word]
            taken = [self.keywords[self.heard_as[place]] for place in mine if self.accepted[place]]
            found[word] = len(taken), len(mine), {name: taken.count(name) for name in self.keywords if name in taken}
        return found


def of(registry: RegistryReader, run: Run, split: str = TEST, miss_rate: float = MISS_RATE) -> Unheard | None:
    """What a run makes of words that it never heard; None where its answers on them are not recorded."""
    import numpy as np

    from kws.inference.calibration import Calibration, logits_of, softmax

    card = card_of(registry, run)
    own = registry.evaluation(run.id, run.data_fingerprint, VALIDATION)
    if card is None or own is None or not own.logits:
        return None
    found = registry.evaluation(run.id, card.fingerprint, split)
    if found is None or not found.logits:
        return None
    keywords, chosen = keywords_of(card.classes), Calibration.of(own, card.classes, miss_rate)
    places = [card.classes.index(name) for name in keywords]
    probabilities = softmax(logits_of(found, card.classes), chosen.temperature)[:, places]
    over = probabilities >= np.array([chosen.thresholds.get(name, np.inf) for name in keywords])
    return Unheard(
        card=card,
        split=split,
        miss_rate=miss_rate,
        keywords=keywords,
        thresholds=chosen.thresholds,
        spoken=_spoken(registry, card, split),
        accepted=over.any(axis=1),
        heard_as=np.where(over, probabilities, -1).argmax(axis=1),
    )


def card_of(registry: RegistryReader, run: Run) -> DataCard | None:
    """The data set of the words that a run never heard; None where it has heard all, or was not evaluated on them."""
    if not run.recipe.leave_out:
        return None
    return next((card for card, _ in registry.evaluations(run.id) if card.draw == LEFT_OUT), None)


def _spoken(registry: RegistryReader, card: DataCard, split: str) -> tuple[str, ...]:
    """The word of each clip: the folder that its path begins with."""
    manifest = registry.manifest(card.fingerprint, split)
    if manifest is None:
        return ("",) * len(card.labels[split])
    return tuple(path.split("/")[0] for path in manifest.paths)
