"""Negatives: clips of what is no keyword, from another source than the data, for words of one's own.

Who records a few words has recordings of these words alone, and a detector must be told what they are not. A source is
`builtin` or a folder of recordings in any layout.

Decisions:
- All clips of a source are negatives, but for those of the keywords and of their inflections. They keep the splits that
  the source gives, or get them as the data does where a recipe says how (`--split`, `--fold`).
- `builtin` is synthetic speech of common words (see kws.speech.spoken), each by VOICES voices, and, in a folder
  `_silence_`, seconds of noise of four colours at levels from -80 to -20 dB of full scale, and of digital silence. It
  is made on first use, to the same bytes everywhere. Recordings of people and rooms are better: a network that has
  never heard people say other words than the keywords takes more of them for keywords.
- Where the speakers of a source are unknown and the data's are known, each of its clips counts as a speaker's.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kws.errors import DataError
from kws.events import NO_WORDS
from kws.speech import synthetic, synthetic_noise
from kws.speech.cache import cache_folder, published
from kws.speech.clips import Clip, Folder
from kws.speech.dealing import deal
from kws.speech.decode import SAMPLE_RATE_HZ, SAMPLES
from kws.speech.folder import read_folder
from kws.speech.names import labels_of
from kws.speech.progress import Track, untracked
from kws.speech.sources import locate
from kws.speech.unheard import is_form_of_any

if TYPE_CHECKING:
    import numpy as np

    from kws.recipe.partition import Partition

BUILTIN = "builtin"
VERSION = 1  # increase it when a byte of any clip changes
VOICES = 3  # that say each word
_NOISES, _SILENCES = 40, 8  # clips of each colour, and of digital silence
_LEVELS_DB = -80.0, -20.0
_SILENCE = NO_WORDS[1]
_README = """This speech is synthetic: no human spoke it.

kws made it with eSpeak NG {espeak}: {voices} voices say each of {words} common English words, and {silence} holds
seconds of noise and of digital silence. Networks learn from it what their keywords are not.
"""


def beside(folder: Folder, value: str, keywords: Sequence[str], *, track: Track = untracked) -> Folder:
    """The folder with the clips of what is no keyword in the source that `value` names.

    Raises DataError where there are none, and where the source is the folder itself.
    """
    there = _read(folder, value, track)
    if folder.partition:
        there = _divided(there, folder.partition)
    words = sorted({clip.word for clip in there.clips})
    barred = {*labels_of(words, keywords), *(word for word in words if is_form_of_any(word, keywords))}
    name = there.place.name
    clips = [
        clip._replace(of=name, speaker=_speaker(folder, clip, name)) for clip in there.clips if clip.word not in barred
    ]
    if not clips:
        raise DataError(f"`other` (={value}) has no recordings besides those of the keywords ({', '.join(words)})")
    return replace(folder, clips=[*folder.clips, *clips])


def _read(folder: Folder, value: str, track: Track) -> Folder:
    if value == BUILTIN:
        return read_folder(made(cache_folder(), track=track), align=folder.align)
    source = locate(value, track=track)
    if source.is_arrays:
        raise DataError(f"`other` (={value}) holds arrays, not recordings; name a folder of recordings, or {BUILTIN}")
    if source.folder.resolve() == folder.place.resolve():
        raise DataError(
            f"`other` (={value}) is the data itself, whose other words are used without it: --other-words other"
        )
    return read_folder(source.place, align=folder.align, track=track)


def _divided(there: Folder, partition: Partition) -> Folder:
    """The same clips in the splits of a partition, whatever their words: each split has its share of all."""
    keys = [clip.speaker or clip.name for clip in there.clips]
    parts = deal(keys, [""] * len(keys), partition.shares)
    clips = [clip._replace(split=partition.splits[part]) for clip, part in zip(there.clips, parts, strict=True)]
    return replace(there, clips=clips)


def _speaker(folder: Folder, clip: Clip, source: str) -> str | None:
    if not folder.has_speakers:
        return None
    return f"{source}/{clip.speaker or clip.name}"


def made(cache: Path, *, track: Track = untracked) -> Path:
    """The folder of the built-in negatives below `cache`, made on first use. Raises DataError without eSpeak NG."""
    place = cache / f"negatives-v{VERSION}"
    if not place.is_dir():
        _write(place, track)
    return place


def _write(place: Path, track: Track) -> None:
    from kws.speech.spoken import WORDS

    words = WORDS.split()
    clips = sorted(
        (_clip(word, take) for word in words for take in range(VOICES)),
        key=lambda clip: (clip.variant, clip.accent, clip.word),
    )
    with published(place) as folder:
        for word in (*words, _SILENCE):
            (folder / word).mkdir()
        with synthetic.espeak() as (version, say):
            for clip in track(clips, total=len(clips), what="Synthesising other words"):
                _save(folder / clip.path, synthetic.waveform(clip, say))
        for name, samples in _silence():
            _save(folder / _SILENCE / name, samples)
        about = {"espeak": version, "voices": VOICES, "words": len(words), "silence": _SILENCE}
        (folder / "README.txt").write_text(_README.format(**about))


def _clip(word: str, take: int) -> synthetic.Clip:
    """The take of a word by a voice that follows from both, another one in each take."""
    number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8]) + take * (len(synthetic.VARIANTS) // VOICES)
    accent = synthetic.ACCENTS[number % len(synthetic.ACCENTS)]
    return synthetic.Clip(accent, synthetic.VARIANTS[number % len(synthetic.VARIANTS)], word, take)


def _silence() -> Iterator[tuple[str, np.ndarray]]:
    """The names of clips without speech, and their samples, int16 (S,); neighbours in a recording are one speaker's."""
    import numpy as np

    low, high = _LEVELS_DB
    for colour, over in synthetic_noise.MEANS.items():
        recording = synthetic_noise.recording(over).astype(np.float64)
        recording /= math.sqrt(float(np.square(recording).mean()))
        for number in range(_NOISES):
            begin = (number * (len(recording) - SAMPLES)) // (_NOISES - 1)
            level = 10 ** ((low + (high - low) * number / (_NOISES - 1)) / 20)
            samples = recording[begin : begin + SAMPLES] * level * 32_768
            yield _named(f"{colour}{number // 4}", number), samples.round().clip(-32_768, 32_767).astype(np.int16)
    for number in range(_SILENCES):
        yield _named(f"none{number}", number), np.full(SAMPLES, number - _SILENCES // 2, np.int16)


def _named(of: str, number: int) -> str:
    return f"{hashlib.sha1(of.encode()).hexdigest()[:8]}_nohash_{number}.wav"


def _save(path: Path, samples: np.ndarray) -> None:
    import soundfile

    file = io.BytesIO()  # as in kws.speech.synthetic: libsndfile makes many small system calls on a file
    soundfile.write(file, samples, SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
    path.write_bytes(file.getvalue())
