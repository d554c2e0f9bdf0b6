"""Spoken words: synthetic speech of many words and voices, which a network is trained on besides its data's clips.

A network that tells keywords from a few other words only learns what tells these apart: without "go" among them, it
takes "go" for "no". So eSpeak NG, which makes the built-in data (see kws.speech.synthetic), says, in the voices that
speak that data's training split:

- near misses of each keyword: what it becomes with one sound replaced, left out or added ("no" becomes "toe", "nigh",
  "oh", "note"), as sounds, so that they need not be words;
- common English words;
- the keywords themselves. Without these all that sounds synthetic would be "other", and a network would learn that.

Neither near misses nor words are among them that are a keyword or a word that is left out, are inflected from one, or
sound like one or like its inflection. Clips have the background noise of the built-in speech.

Features are made once and cached. A recipe names them by a digest of their sound, as in `synthetic@4f2a91c3d0e1`, since
another eSpeak NG speaks otherwise.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import tempfile
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kws.errors import DataError
from kws.events import keywords_of
from kws.recipe import TASK, Config
from kws.recipe.pinned import place_and_digest
from kws.speech import synthetic
from kws.speech.cache import cache_folder, published
from kws.speech.front_end import FRONT_END
from kws.speech.unheard import is_form_of_any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

NONE, SYNTHETIC = "none", "synthetic"
VERSION = 1  # increase it when a byte of any clip changes
NEAR_MISSES = 60  # of a keyword, at most
VOICES_OF_NEAR, VOICES_OF_WORD, VOICES_OF_KEYWORD = 11, 4, 400
WORDS = """
    about above again air all and animal answer apple arm ask baby back bad bag ball bank bath beach bed bell best
    bird black blue boat body book box boy bread bridge bring brown bus butter call camp car card cat chair child
    church city clean clock cloth cold color cook cool corn cow cup cut dance dark day deep desk dinner dirt doctor
    dog door dream dress drink drive dry ear early earth eat egg eight eye face fall family far farm fast father
    feet field fifth fill film fine fire fish five flag floor flower fly food foot four friend fruit game garden
    gate girl glass gold good grass green group hair half hand happy hat head hear heart heavy hill home horse hot
    hour house ice inch iron island jazz job juice jump keep key kick kind king kitchen lake lamp land large last
    late laugh leaf learn leg lesson letter life light lion list live long lunch machine man map march market meat
    middle milk mind minute monday money month moon morning mother mouth music name near neck needle never new next
    night nine noise north nose note number ocean office oil old one open orange order other page paint paper park
    part party people picture pig place plant play please pocket point pool power present price queen question quick
    radio rain read red rest rice ring river road rock room round salt same sand school sea second seed seven shape
    sheep ship shirt shoe shop short shout show sing sister six size skin sky sleep slow small smile snow soap song
    soon sound soup south spring square star start station stone street strong sugar summer sun sure swim table tall
    tea teach ten thank thing think three time tired today together tomorrow tooth town train tree true turn two
    uncle under village visit voice wait walk wall warm wash watch water week west wheel white wide wild wind window
    winter wish woman wood word work world write yard year yellow yesterday young your zero
"""
_CONSONANTS = (
    "p",
    "b",
    "t",
    "d",
    "k",
    "g",
    "f",
    "v",
    "T",
    "s",
    "z",
    "S",
    "h",
    "m",
    "n",
    "l",
    "r",
    "w",
    "j",
    "tS",
    "dZ",
)
_VOWELS = ("I", "E", "a", "V", "0", "U", "i:", "u:", "A:", "O:", "3:", "eI", "aI", "OI", "oU", "aU")
_AT_NO_END = ("h", "w", "j")  # consonants that no English word ends in
_ENDINGS = ("s", "ed", "ing", "er")
_STRESSES = "',%=|"


class Utterance(NamedTuple):
    """What is said, as eSpeak NG reads it, by whom, and the keyword that it is; None for another word."""

    clip: synthetic.Clip
    keyword: str | None


def pinned(value: str, task: Config) -> str:
    """The value of a recipe's `spoken` with the digest of what is said, which is made if it is not there yet."""
    if value == NONE or place_and_digest(value)[1]:
        return value
    return f"{SYNTHETIC}@{_about(_folder(task))['digest']}"


def features(value: str, task: Config) -> tuple[Tensor, list[str | None]]:
    """The log-mel features (N, T, M) of what a recipe's `spoken` stands for, and the keyword of each, None for others.

    Raises DataError where what is said here has another digest than the value's.
    """
    import numpy as np
    import torch

    folder = _folder(task)
    about, wanted = _about(folder), place_and_digest(value)[1]
    if wanted and wanted != about["digest"]:
        raise DataError(
            f"`spoken` (={value}) names other speech than eSpeak NG makes here ({about['digest']}); install the one "
            "that made it, or train with this as a new run: --spoken synthetic"
        )
    return torch.from_numpy(np.load(folder / "features.npy")), about["keywords"]


def _about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return found


def _folder(task: Config) -> Path:
    """The folder of the features for a task's keywords and the words that it leaves out, made on first use."""
    classes: tuple[str, ...] = TASK.part(task.NAME).load().classes(task)
    return _made(keywords_of(classes), tuple(getattr(task, "leave_out", ())), cache_folder())


@lru_cache(8)
def _made(keywords: tuple[str, ...], leave_out: tuple[str, ...], cache: Path) -> Path:
    about = [VERSION, keywords, sorted(leave_out), FRONT_END.describe()]
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    place = cache / f"spoken-{key}"
    if not place.is_dir():
        _write(place, utterances(keywords, leave_out))
    return place


def _write(place: Path, said: Sequence[Utterance]) -> None:
    import numpy as np
    import torch

    from kws.speech.features import log_mel

    digest, computed = hashlib.sha256(), []
    with synthetic.espeak() as (_, say), published(place) as made:
        for each in said:
            waveform = synthetic.waveform(each.clip, say)
            digest.update(f"{each.keyword}\0".encode() + waveform.tobytes())
            computed.append(log_mel(torch.from_numpy(waveform / np.float32(32_768)).unsqueeze(0)))
        np.save(made / "features.npy", torch.cat(computed).numpy())
        about = {"digest": digest.hexdigest()[:12], "keywords": [each.keyword for each in said]}
        (made / "about.json").write_text(json.dumps(about), encoding="utf-8")


def utterances(keywords: Sequence[str], leave_out: Sequence[str]) -> list[Utterance]:
    """All that is said, voice by voice. Raises DataError if eSpeak NG cannot be used."""
    barred = (*keywords, *leave_out)
    with _sounds() as sounds_of:
        sounds = {bare(sounds_of(word + ending)) for word in barred for ending in ("", *_ENDINGS)}
        near = [
            text
            for keyword in keywords
            for text in _some([each for each in near_misses(sounds_of(keyword)) if bare(each) not in sounds])
        ]
        words = [
            word for word in WORDS.split() if not is_form_of_any(word, barred) and bare(sounds_of(word)) not in sounds
        ]
    said = [Utterance(_clip(f"[[{''.join(each)}]]", take), None) for each in near for take in range(VOICES_OF_NEAR)]
    said += [Utterance(_clip(word, take), None) for word in words for take in range(VOICES_OF_WORD)]
    said += [Utterance(_clip(word, take), word) for word in keywords for take in range(VOICES_OF_KEYWORD)]
    return sorted(said, key=lambda each: (each.clip.variant, each.clip.accent, each.clip.word, each.clip.take))


def near_misses(sounds: Sequence[str]) -> list[tuple[str, ...]]:
    """What a word becomes when one of its sounds is replaced by another of its kind, left out, or added at the end.

    `sounds` are eSpeak NG's names of its sounds, with the stress before the vowel that has it.
    """
    found = []
    for place, sound in enumerate(sounds):
        plain = sound.lstrip(_STRESSES)
        stress = sound[: len(sound) - len(plain)]
        is_vowel = _is_vowel(plain)
        last = place == len(sounds) - 1
        kinds = _VOWELS if is_vowel else [each for each in _CONSONANTS if not (last and each in _AT_NO_END)]
        found += [(*sounds[:place], stress + each, *sounds[place + 1 :]) for each in kinds if each != plain]
        if not is_vowel and len(sounds) > 1:
            found.append((*sounds[:place], *sounds[place + 1 :]))
    if _is_vowel(sounds[-1].lstrip(_STRESSES)):
        found += [(*sounds, each) for each in _CONSONANTS if each not in _AT_NO_END]
    return list(dict.fromkeys(tuple(each) for each in found))


def bare(sounds: Sequence[str]) -> tuple[str, ...]:
    """The same sounds without stress."""
    return tuple(each.strip(_STRESSES) for each in sounds)


def _is_vowel(sound: str) -> bool:
    return sound[:1] in "aAeEiIoOuUV0@3"


def _some(found: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """At most NEAR_MISSES of these, those whose digests are least."""
    return sorted(found, key=lambda each: hashlib.sha256("_".join(each).encode()).digest())[:NEAR_MISSES]


def _clip(text: str, take: int) -> synthetic.Clip:
    """The take by a voice that follows from what is said, one of those in the built-in data's training split."""
    variants = [each for each in synthetic.VARIANTS if synthetic.Clip("", each, "", 0).split == "training"]
    number = int.from_bytes(hashlib.sha256(f"{text}/{take}".encode()).digest()[:8])
    accent = synthetic.ACCENTS[number % len(synthetic.ACCENTS)]
    return synthetic.Clip(accent, variants[number // len(synthetic.ACCENTS) % len(variants)], text, take)


@contextmanager
def _sounds() -> Iterator[Callable[[str], tuple[str, ...]]]:
    """A function that gives the sounds of a word, as eSpeak NG would say it in British English."""
    with tempfile.TemporaryDirectory(prefix="kws-") as home:
        library = synthetic.load_espeak(Path(home))
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_ng_SetVoiceByName(b"en")

        def sounds_of(word: str) -> tuple[str, ...]:
            text = ctypes.c_char_p(word.encode())
            found = library.espeak_TextToPhonemes(ctypes.byref(text), 1, ord("_") << 8)  # "_" between two sounds
            return tuple(each for each in found.decode().split("_") if each.strip(_STRESSES))

        try:
            yield sounds_of
        finally:
            library.espeak_Terminate()
