"""The front end's choices; why they are so is told where features are computed, in kws.speech.features.

Standard library only, for the choices are part of what names a data set's cached features.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class FrontEnd:
    """What decides a feature's value. Lengths in samples at 16 kHz, frequencies in Hz."""

    window: int = 400
    hop: int = 160
    transform: int = 512
    bands: int = 40
    low_hz: float = 20.0
    high_hz: float = 8_000.0
    offset: float = 1e-6

    def describe(self) -> dict[str, float]:
        """Every choice by name, for a fingerprint and for the registry."""
        return dataclasses.asdict(self)


FRONT_END = FrontEnd()
