"""Clips that a trained network contradicts: the likeliest wrong labels.

Decisions:
- Only clips of words that the network was trained to tell apart are judged. What it makes of other words says nothing
  about their labels.
- A label is suspect where the network takes another class for ten times as likely or more. It is a ratio, since a
  temperature from few validation clips keeps all probabilities low. A network that is right on most other clips is
  often right here, too; it is wrong as well, so each one should be listened to.
- Clips that it was trained on, by the digests of their sounds, are marked: a network learns even wrong labels by heart,
  so it finds fewer of them there, and that it agrees says little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kws.events import keywords_of
from kws.speech.checks.sounds import Heard
from kws.speech.names import labels_of

if TYPE_CHECKING:
    import numpy as np

TIMES = 10  # as likely as the label
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A trained network: its classes (K,), and the probabilities (B, K) of waveforms (B, S).

    `trained_on` are the digests of the sounds that it was trained on, and `withheld` those that nobody may look at yet.
    """

    run: str
    words: tuple[str, ...]
    probabilities: Callable[[np.ndarray], np.ndarray]
    trained_on: frozenset[bytes] = frozenset()
    withheld: frozenset[bytes] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Contradiction:
    """A clip, its label, what the network hears instead, and the probabilities of both."""

    clip: str
    label: str
    hears: str
    probability: float
    of_label: float
    trained_on: bool


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a network makes of the clips of its words; `wrong` are those it contradicts surely, the surest first."""

    run: str
    clips: int
    contradicted: int  # heard as another class, however surely
    trained_on: int  # of the clips
    withheld: int  # clips that were not judged
    wrong: list[Contradiction]


@dataclass
class Judging:
    """Judges clips as they come, a batch at a time."""

    judge: Judge
    words: Sequence[str]
    _waiting: list[tuple[Heard, int]] = field(default_factory=list)
    _clips: int = 0
    _contradicted: int = 0
    _trained_on: int = 0
    _withheld: int = 0
    _wrong: list[Contradiction] = field(default_factory=list)

    def __post_init__(self) -> None:
        keywords = keywords_of(self.judge.words)
        found = labels_of(sorted(set(self.words)), keywords)
        self._labels = {word: self.judge.words.index(keywords[label]) for word, label in found.items()}

    def hear(self, heard: Heard) -> None:
        """Judge a clip, now or when the batch is full."""
        label = self._labels.get(heard.clip.word)
        if label is None or heard.sound.error or heard.sound.is_silent:
            return
        if heard.sound.digest in self.judge.withheld:
            self._withheld += 1
            return
        self._waiting.append((heard, label))
        if len(self._waiting) == _BATCH:
            self._decide()

    def result(self) -> Judged:
        """What was found."""
        self._decide()
        return Judged(
            run=self.judge.run,
            clips=self._clips,
            contradicted=self._contradicted,
            trained_on=self._trained_on,
            withheld=self._withheld,
            wrong=sorted(self._wrong, key=lambda each: (-each.probability, each.clip)),
        )

    def _decide(self) -> None:
        import numpy as np

        if not self._waiting:
            return
        every = self.judge.probabilities(np.stack([heard.waveform for heard, _ in self._waiting]))
        for (heard, label), probabilities in zip(self._waiting, every, strict=True):
            known = heard.sound.digest in self.judge.trained_on
            best = int(probabilities.argmax())
            self._clips += 1
            self._trained_on += known
            self._contradicted += best != label
            if best != label and probabilities[best] >= TIMES * probabilities[label]:
                self._wrong.append(
                    Contradiction(
                        clip=heard.clip.name,
                        label=self.judge.words[label],
                        hears=self.judge.words[best],
                        probability=float(probabilities[best]),
                        of_label=float(probabilities[label]),
                        trained_on=known,
                    )
                )
        self._waiting.clear()
