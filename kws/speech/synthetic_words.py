"""Recordings of any words by synthetic speakers, in any language of eSpeak NG, one folder per word: `kws data synth`.

    FOLDER/<word>/<speaker>_nohash_<n>.wav      1 s, 16 kHz, mono, 16 bits
    FOLDER/README.txt                           says that no human spoke it, and what made it

Decisions:
- A voice is an accent of the language in one of eSpeak NG's variants (a throat). The first voices differ in their
  variant, and only then in the accent.
- A variant is one speaker whatever its accent, its language or its word, and a speaker is in one split by the official
  rule. So no lists are needed.
- Better voices that are installed (kws.speech.better_voices) are one speaker each, and speak more often, since there
  are few: at another pace and pitch each time.
- Pace, pitch, position and noise are drawn for each clip as for the built-in speech (kws.speech.synthetic). The noise
  is weaker, since training adds its own.
- A word that takes longer than a clip is said faster, and left out where that is not enough.
- The folder appears completely or not at all, and is the same to the last byte for the same words, language and voices
  with the same eSpeak NG.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kws.errors import DataError
from kws.speech import synthetic
from kws.speech.better_voices import BetterVoice
from kws.speech.cache import published
from kws.speech.decode import SAMPLE_RATE_HZ, SAMPLES
from kws.speech.languages import Language, accents
from kws.speech.progress import Track, untracked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1  # increase it when a byte of any clip changes
VOICES = 100  # by default; fewer in a language with one accent
BETTER_TAKES = 10  # of each word, by each better voice
SNR_DB = (10.0, 40.0)  # of the word, while it is spoken, to the noise
LONGEST_S = 0.95
_PACES = (150, 240)  # words a minute
_FAST = 300
_QUIET_DB = -50.0  # below the peak: no part of the word
_SHOWN = 5

README = """This speech is synthetic: no human spoke it.

kws made it (kws data synth, version {version}) in {language}. They say:

    {words}

{voices}
Pace, pitch, loudness, position and background noise (signal-to-noise ratio {low:g} to {high:g} dB) differ from clip to
clip and are the same on every run. The layout is that of Speech Commands: <word>/<speaker>_nohash_<n>.wav, 1 s, 16 kHz.
A speaker is one throat, whatever its accent. Accuracies on it do not say how well a network hears people.
"""


class Voice(NamedTuple):
    """A voice of eSpeak NG, and how many voices of its speaker came before it."""

    accent: str
    variant: str
    round: int


@dataclass
class Made:
    """What was written: clips of each word, those that took too long, and whose voices they are."""

    espeak: str = ""
    voices: int = 0
    better: list[str] = field(default_factory=list)
    clips: Counter[str] = field(default_factory=Counter)
    too_long: Counter[str] = field(default_factory=Counter)

    def record(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {
            "espeak_ng": self.espeak,
            "voices": self.voices,
            "better_voices": self.better,
            "clips": dict(self.clips),
            "too_long": dict(self.too_long),
        }


def voices(language: Language, count: int | None = None) -> list[Voice]:
    """So many voices of a language, or VOICES as far as it has them. Raises DataError if it has fewer than `count`."""
    said = accents(language)
    most = len(said) * len(synthetic.VARIANTS)
    if count is None:
        count = min(VOICES, most)
    if count > most:
        raise DataError(
            f"`voices` (={count}) is more than the {most} that {language.name} has "
            f"({len(synthetic.VARIANTS)} throats, {_counted(len(said), 'accent')}); take that many, and more --takes"
        )
    variants = sorted(synthetic.VARIANTS, key=_speaker)  # so that the first ones are not all of one kind
    return [
        Voice(said[(number % len(variants) + number // len(variants)) % len(said)], variants[number % len(variants)],
              number // len(variants))
        for number in range(count)
    ]  # fmt: skip


def write(
    folder: Path,
    words: Sequence[str],
    language: Language,
    count: int | None = None,
    *,
    takes: int,
    better: Sequence[BetterVoice] = (),
    track: Track = untracked,
) -> Made:
    """Write these words to the new folder, said by `count` voices (see voices()) and the better ones.

    Raises DataError for a folder that is there or cannot be made, for more voices than there are, for a word that has
    nothing to say, and where no word fits in a clip.
    """
    chosen = voices(language, count)
    _require_free(folder)
    made = Made(voices=len(chosen), better=[each.name for each in better])
    total = len(words) * (len(chosen) * takes + len(better) * BETTER_TAKES)
    with published(folder) as temporary:
        with synthetic.espeak() as (version, say):
            made.espeak = version
            spoken = _every_clip(words, chosen, takes, say, better)
            for word, name, samples in track(spoken, total=total, what="Synthesising speech"):
                if samples is None:
                    made.too_long[word] += 1
                else:
                    made.clips[word] += 1
                    (temporary / word).mkdir(exist_ok=True)
                    (temporary / word / name).write_bytes(_wave(samples))
        if not made.clips:
            raise DataError(
                f"no voice says {_some(words)} within {LONGEST_S:g} s, and a clip is 1 s; choose shorter words"
            )
        (temporary / "README.txt").write_text(_readme(words, language, made), encoding="utf-8")
    return made


def _every_clip(
    words: Sequence[str], chosen: Sequence[Voice], takes: int, say: synthetic.Say, better: Sequence[BetterVoice]
) -> Iterator[tuple[str, str, NDArray[np.int16] | None]]:
    """The word, the file's name and the samples (S,) of every clip, in the order of speaking; None for one too long."""
    import numpy as np
    import soxr

    for voice in chosen:
        for word in words:
            for take in range(takes):
                clip = synthetic.Clip(voice.accent, voice.variant, word, take)
                random = np.random.default_rng(clip.seed)
                rate, *tone = (int(random.integers(*bounds)) for bounds in (_PACES, (20, 81), (20, 81)))
                for words_a_minute in (rate, _FAST):
                    said = say(clip, words_a_minute, *tone)
                    heard = soxr.resample(said, synthetic.ESPEAK_RATE_HZ, SAMPLE_RATE_HZ)
                    if fits(found := word_in(heard)):
                        break
                name = f"{_speaker(voice.variant)}_nohash_{voice.round * takes + take}.wav"
                yield word, name, synthetic.in_noise(found, random, SNR_DB) if fits(found) else None
    for each in better:
        tell = each.load()
        for word in words:
            for take in range(BETTER_TAKES):
                seed = int.from_bytes(hashlib.sha256(f"{each.name}/{word}/{take}".encode()).digest()[:4])
                random = np.random.default_rng(seed)
                pace, pitch = random.uniform(0.8, 1.25), random.uniform(0.88, 1.14)
                for faster in (pace, 1.5 * pace):
                    samples, rate_hz = tell(word, faster / pitch, seed)
                    if not len(samples):
                        raise synthetic.UnsaidError(f"{each.name} says nothing for {word!r}")
                    # Samples that are taken for those of another rate are higher or lower, as from another throat.
                    heard = soxr.resample(samples, rate_hz * pitch, SAMPLE_RATE_HZ)
                    if fits(found := word_in(heard)):
                        break
                name = f"{_speaker(each.name)}_nohash_{take}.wav"
                yield word, name, synthetic.in_noise(found, random, SNR_DB) if fits(found) else None


def word_in(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The samples (n,) without the silence before and after the word."""
    import numpy as np

    loud = np.flatnonzero(np.abs(samples) > np.abs(samples).max() * 10 ** (_QUIET_DB / 20))
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def fits(samples: NDArray[np.float32]) -> bool:
    """Whether a word (n,) at 16 kHz fits in a clip, with a little room around."""
    return len(samples) <= LONGEST_S * SAMPLES


def _speaker(name: str) -> str:
    """A speaker's name, a hash of the voice's, as in Speech Commands."""
    return hashlib.sha1(name.encode()).hexdigest()[:8]


def _wave(samples: NDArray[np.int16]) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
    return file.getvalue()


def _readme(words: Sequence[str], language: Language, made: Made) -> str:
    said = accents(language)
    accent = f", accents {', '.join(said)}" if len(said) > 1 else ""
    lines = [f"Spoken by {_counted(made.voices, 'voice')} of eSpeak NG {made.espeak}{accent}."]
    if made.better:
        lines.append(f"Spoken as well by {' and '.join(made.better)}, {BETTER_TAKES} times each.")
    lines += [
        f"{word}: {count} clips that took longer than {LONGEST_S:g} s are left out."
        for word, count in made.too_long.items()
    ]
    return README.format(
        version=VERSION, language=f"{language.name} ({language.code})", words=", ".join(words),
        voices="\n".join(lines), low=SNR_DB[0], high=SNR_DB[1],
    )  # fmt: skip


def _require_free(folder: Path) -> None:
    """Raise DataError for a folder that is there, or that cannot be made."""
    if folder.exists() or folder.is_symlink():
        raise DataError(
            f"`out` (={folder}) is already there, and synthetic speech is not mixed with other clips; name a new folder"
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"`out` (={folder}) cannot be made ({error.strerror}); name another folder") from None


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _some(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words[:_SHOWN])) + (" and others" if len(words) > _SHOWN else "")
