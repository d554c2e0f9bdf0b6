"""The front end's settings; kws.speech.features, which computes the features, gives the reasons for them.

Standard library only, because the settings are part of the key of a data set's cached features, which is computed
without torch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class FrontEnd:
    """The settings that decide a feature's value. Lengths in samples at 16 kHz, frequencies in Hz."""

    window: int = 400
    hop: int = 160
    transform: int = 512
    bands: int = 40
    low_hz: float = 20.0
    high_hz: float = 8_000.0
    offset: float = 1e-6

    def describe(self) -> dict[str, float]:
        """Every setting by name, for a fingerprint and for the registry."""
        return dataclasses.asdict(self)


FRONT_END = FrontEnd()
