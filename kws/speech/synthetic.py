"""Synthetic speech: the built-in data source `synthetic`, generated offline by eSpeak NG.

Real recordings need a download; this source needs none. It speaks WORDS in many voices, adds noise and writes the clips
to a folder in the layout of Speech Commands, so that all other code reads them like real recordings:

    FOLDER/<word>/<speaker>_nohash_<n>.wav      1 s, 16 kHz, mono, 16 bits
    FOLDER/validation_list.txt, testing_list.txt, README.txt

Decisions:
- A voice is an accent of English in one of eSpeak NG's variants (a throat: pitch range, formants, breath, ...). The
  splits share no variant, so that the voices and throats of the test split are new to the network.
- Every voice says "yes" and "no" TAKES times and OTHERS of the other words once. That is enough in every split for a
  third class "other" of the same size.
- Pitch, rate, loudness, position and noise are drawn for each clip from its own generator, seeded by voice, word and
  take.
- eSpeak NG keeps state between utterances (the phase of the pitch's flutter) that its interface cannot reset. So each
  data set loads its own copy of the library and speaks in a fixed order, which gives the same bytes every time.

Accuracies on this source are good for comparing recipes, not for saying how well a network recognises people.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import math
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kws.errors import DataError
from kws.speech.cache import published
from kws.speech.decode import SAMPLE_RATE_HZ, SAMPLES
from kws.speech.progress import untracked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from kws.speech.progress import Track

    Say = Callable[["Clip", int, int, int], NDArray[np.float32]]

NAME = "synthetic"
VERSION = 1  # increase it when a byte of any clip changes

KEYWORDS = ("yes", "no")
OTHER_WORDS = ("up", "down", "left", "right", "on", "off", "stop", "go", "yet", "now")
WORDS: tuple[str, ...] = KEYWORDS + OTHER_WORDS
TAKES = 3  # of each keyword, by each voice
OTHERS = 3  # other words, by each voice

ACCENTS = ("en", "en-us", "en-029", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd")
# Left out: the New York accent, whose words often equal those of en-us byte for byte, and the variants Reed, adam,
# benjamin, caleb, david, edward2, klatt6 and mike2, whose synthesiser takes its noise from C's unseeded rand().
_VARIANT_NAMES = """
    Alex Alicia Andrea Andy Annie AnxiousAndy Demonic Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco Mario
    Michael Mike Nguyen RicishayMax RicishayMax2 RicishayMax3 Storm Tweaky UniRobot anika anikaRobot announcer
    antonio aunty belinda boris croak ed edward f1 f2 f3 f4 f5 fast grandma grandpa gustave ian iven iven2 iven3
    iven4 john kaukovalta klatt klatt2 klatt3 klatt4 klatt5 linda m1 m2 m3 m4 m5 m6 m7 m8 marcelo max michel miguel
    norbert pablo paul pedro quincy rob robert robosoft robosoft2 robosoft3 robosoft4 robosoft5 robosoft6 robosoft7
    robosoft8 sandro shelby steph steph2 steph3 travis victor whisper whisperf zac
"""
VARIANTS = tuple(_VARIANT_NAMES.split())

ESPEAK_RATE_HZ = 22_050
_UTF8, _PHONEMES = 0x1, 0x100  # of espeak_Synth: how a text is encoded, and that sounds stand in it as [[n'oU]]

# Chosen by validation accuracy, so that the report's networks and optimizers neither all fail nor all succeed.
SNR_DB = (-2.0, 20.0)  # of the word, while it is spoken, to the noise
SHIFT_S = 0.1  # maximum distance of the word's middle from the clip's middle, in either direction
PEAK_DB = (-14.0, -2.0)  # relative to full scale, so that nothing is clipped

README = """This speech is synthetic: no human spoke it.

kws made it with eSpeak NG {espeak} (data source "{name}", version {version}): {voices} voices, each an accent of
English in one of eSpeak NG's variants, say {words}.
Pitch, rate, loudness, position and background noise (signal-to-noise ratio {low:g} to {high:g} dB) differ from clip to
clip and are the same on every run. The layout is that of Speech Commands: <word>/<speaker>_nohash_<n>.wav, 1 s, 16 kHz;
validation_list.txt and testing_list.txt name the clips of those splits, and the remaining clips are for training.
No variant is in two splits. Accuracies on it compare recipes; they do not say how well a network hears people.
"""


class UnsaidError(DataError):
    """A text in which eSpeak NG finds nothing to say."""


class Clip(NamedTuple):
    """One clip to generate: a voice, a word, and the number of the take."""

    accent: str
    variant: str
    word: str
    take: int

    @property
    def voice(self) -> str:
        """The voice as eSpeak NG names it."""
        return f"{self.accent}+{self.variant}"

    @property
    def split(self) -> str:
        """Its split: every tenth variant, with all its accents, is for validation and every tenth for testing."""
        return {3: "validation", 8: "testing"}.get(VARIANTS.index(self.variant) % 10, "training")

    @property
    def path(self) -> str:
        """Its path inside the data set; the speaker's name is a hash of the voice, as in Speech Commands."""
        speaker = hashlib.sha1(self.voice.encode()).hexdigest()[:8]
        return f"{self.word}/{speaker}_nohash_{self.take}.wav"

    @property
    def seed(self) -> int:
        """The seed of everything random in it."""
        return int.from_bytes(hashlib.sha256(f"{self.voice}/{self.word}/{self.take}".encode()).digest()[:8])


def synthesise(folder: Path, *, track: Track = untracked) -> None:
    """Write the data set to `folder`, completely or not at all; if another process finishes first, its result stays.

    Raises DataError if eSpeak NG cannot be used.
    """
    _write(folder, _clips(ACCENTS, VARIANTS), track)


def folder(cache: Path, *, track: Track = untracked) -> Path:
    """The data set's folder below `cache`, generated on first use. Raises DataError if eSpeak NG cannot be used."""
    place = cache / f"{NAME}-v{VERSION}"
    if not place.is_dir():
        synthesise(place, track=track)
    return place


def _clips(accents: Sequence[str], variants: Sequence[str]) -> list[Clip]:
    """The clips of these voices, in the order of speaking."""
    clips = []
    for number, (variant, accent) in enumerate((v, a) for v in variants for a in accents):
        takes = [(word, take) for word in KEYWORDS for take in range(TAKES)]
        takes += [(OTHER_WORDS[(OTHERS * number + i) % len(OTHER_WORDS)], 0) for i in range(OTHERS)]
        clips += [Clip(accent, variant, word, take) for word, take in takes]
    return clips


def _write(folder: Path, clips: Sequence[Clip], track: Track) -> None:
    import soundfile

    with published(folder) as made:
        for word in sorted({clip.word for clip in clips}):
            (made / word).mkdir()
        with espeak() as (version, say):
            for clip in track(clips, total=len(clips), what="Synthesising speech"):
                # Encoded in memory: libsndfile makes many small system calls on a file it opens, 0.6 ms per clip.
                file = io.BytesIO()
                soundfile.write(file, waveform(clip, say), SAMPLE_RATE_HZ, subtype="PCM_16", format="WAV")
                (made / clip.path).write_bytes(file.getvalue())
        for split in ("validation", "testing"):
            lines = sorted(clip.path for clip in clips if clip.split == split)
            (made / f"{split}_list.txt").write_text("".join(f"{line}\n" for line in lines))
        text = README.format(
            espeak=version,
            name=NAME,
            version=VERSION,
            voices=len({clip.voice for clip in clips}),
            words=", ".join(WORDS),
            low=SNR_DB[0],
            high=SNR_DB[1],
        )
        (made / "README.txt").write_text(text)


def waveform(clip: Clip, say: Say) -> NDArray[np.int16]:
    """The clip as 16-bit samples (S,): the word at a random position in noise of a random colour and modulation."""
    import numpy as np
    import soxr

    random = np.random.default_rng(clip.seed)
    spoken = say(clip, int(random.integers(120, 240)), int(random.integers(20, 81)), int(random.integers(20, 81)))
    return in_noise(soxr.resample(spoken, ESPEAK_RATE_HZ, SAMPLE_RATE_HZ)[:SAMPLES], random, SNR_DB)


def in_noise(
    spoken: NDArray[np.float32], random: np.random.Generator, snr_db: tuple[float, float]
) -> NDArray[np.int16]:
    """A word of at most 1 s at 16 kHz as a clip (S,) of 16 bits: at a random position, in noise as waveform() says.

    `snr_db` is the range of the word's level, while it is spoken, over the noise's.
    """
    import numpy as np

    spare = SAMPLES - len(spoken)
    start = round(spare / 2 + SHIFT_S * SAMPLE_RATE_HZ * random.uniform(-1.0, 1.0))
    start = min(max(start, 0), spare)
    mixed = np.zeros(SAMPLES)
    mixed[start : start + len(spoken)] = spoken / math.sqrt(np.mean(np.square(spoken)))

    # Power falls with frequency to the power of `colour`: 0 is white noise, 1 pink, 2 brown.
    colour, swell_hz, phase = random.uniform(0.0, 2.0), random.uniform(2.0, 8.0), random.uniform(0.0, 2 * math.pi)
    spectrum = np.fft.rfft(random.standard_normal(SAMPLES))
    spectrum *= np.maximum(np.arange(len(spectrum)), 50.0) ** (-colour / 2)
    cycles = np.arange(SAMPLES) * (swell_hz / SAMPLE_RATE_HZ)
    noise = np.fft.irfft(spectrum) * (1 + random.uniform(0.0, 1.0) * np.sin(2 * math.pi * cycles + phase))
    mixed += noise * (10 ** (-random.uniform(*snr_db) / 20) / math.sqrt(np.mean(np.square(noise))))

    peak = 10 ** (random.uniform(*PEAK_DB) / 20)
    return np.round(mixed * (peak * 32_767 / np.abs(mixed).max())).astype(np.int16)


@contextmanager
def espeak() -> Iterator[tuple[str, Say]]:
    """The version of a newly loaded eSpeak NG, and a function that speaks a word with it. Raises DataError.

    Source: espeak-ng/speak_lib.h and espeak_ng.h of eSpeak NG 1.52.
    """
    import numpy as np

    heard: list[bytes] = []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    def hear(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            heard.append(ctypes.string_at(samples, 2 * count))
        return 0

    # The library is copied because loading the same file twice gives the same library with its state. The copy's folder
    # also gives the voice data a short path; eSpeak NG would truncate a long one.
    with tempfile.TemporaryDirectory(prefix="kws-") as home:
        library = load_espeak(Path(home))
        try:
            library.espeak_SetSynthCallback(hear)

            def say(clip: Clip, rate: int, pitch: int, pitch_range: int) -> NDArray[np.float32]:
                heard.clear()
                text = clip.word.encode()
                # It silently ignores an unknown variant.
                known = (Path(home) / "espeak-ng-data" / "voices" / "!v" / clip.variant).is_file()
                status = library.espeak_ng_SetVoiceByName(clip.voice.encode())
                for parameter, value in ((1, rate), (3, pitch), (4, pitch_range)):
                    status = status or library.espeak_ng_SetParameter(parameter, value, 0)
                # Otherwise it seeds its breath noise by the clock.
                library.espeak_ng_SetRandSeed(ctypes.c_long(clip.seed & 0x7FFFFFFF))
                flags = _UTF8 | (_PHONEMES if text.startswith(b"[[") else 0)
                status = status or library.espeak_Synth(
                    text, ctypes.c_size_t(len(text) + 1), 0, 0, 0, flags, None, None
                )
                spoken = np.frombuffer(b"".join(heard), dtype=np.int16).astype(np.float32)
                if not status and known and not spoken.any():
                    raise UnsaidError(f"eSpeak NG says nothing for {clip.word!r} in the voice {clip.voice!r}")
                if status or not known:
                    raise unusable(f"the voice {clip.voice!r} does not say {clip.word!r}")
                return spoken

            yield library.espeak_Info(None).decode().split()[0], say
        finally:
            library.espeak_Terminate()


def load_espeak(home: Path) -> ctypes.CDLL:
    """ESpeak NG, ready to speak into a callback, loaded from a copy in the empty folder `home`. Raises DataError."""
    try:
        import espeakng_loader

        copy = home / "library"
        shutil.copyfile(espeakng_loader.get_library_path(), copy)
        (home / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
        library = ctypes.CDLL(os.fspath(copy))
    except (ImportError, OSError, RuntimeError) as error:
        raise unusable(str(error)) from error
    library.espeak_Info.restype = ctypes.c_char_p
    library.espeak_ng_InitializePath(os.fsencode(home))
    if library.espeak_ng_Initialize(None) or library.espeak_ng_InitializeOutput(1, 0, None):  # 1: synchronously
        raise unusable("it finds no voice data")
    return library


def unusable(reason: str) -> DataError:
    """The error for an eSpeak NG that is not there, or does not work."""
    return DataError(
        f"the data source {NAME!r} needs eSpeak NG, which cannot be used here ({reason}): reinstall it with "
        "`pip install --force-reinstall espeakng-loader`, or name a folder of recordings with --data"
    )
