"""ModelCard: what a detector was made from and how its answers are to be read; it travels in every exported file.

Standard library only, so that a model in an ONNX file is used without importing torch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from kws.events import keywords_of
from kws.recipe import FIRST

HOP_MS = 20  # a stream has a probability of each word this often
# Smoothing was chosen on a stream of all validation clips. At 5 % misses, `best` has 43 false accepts with 20 ms, 14
# with 100, 9 with 200, and 7 to 9 with 300 to 600. Longer ones help `small`, but both then miss more words at their own
# thresholds.
SMOOTHING_MS, COOLDOWN_MS = 200, 1000
MISS_RATE = 0.05  # a keyword's own threshold misses this share of its validation clips


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Words, thresholds and origin of one run's network."""

    words: tuple[str, ...]  # K classes, in the order of the outputs
    run: str
    commit: str | None = None  # of kws, when the run was trained
    data: str = ""  # the name of the data set that it was trained on
    fingerprint: str = ""  # of that data set
    temperature: float = 1.0  # logits are divided by it before the softmax; chosen on validation
    thresholds: Mapping[str, float] = field(default_factory=dict)  # a keyword's probability from which on it is heard
    licence: str | None = None  # of that data set
    attribution: str | None = None  # the sentence that names its authors
    align: str = FIRST  # which second of a longer recording it was trained on, and hears

    @property
    def keywords(self) -> tuple[str, ...]:
        """The words that are detected: all but "other", "unknown" and "silence"."""
        return keywords_of(self.words)

    def threshold(self, keyword: str) -> float:
        """A keyword's threshold; 0.5 where none was chosen."""
        return self.thresholds.get(keyword, 0.5)

    def to_json(self) -> str:
        """As one canonical line of JSON."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """The card in a text made by to_json(). Raises ValueError or TypeError for any other text."""
        about = json.loads(text)
        return cls(**about | {"words": tuple(about["words"])})
