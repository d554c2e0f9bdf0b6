"""Labelled streams, made of a split's clips, background noise and silence, to measure what a detector does in them.

Decisions:
- A stream is clips in random order, each after a stretch without speech, and two seconds without speech at the end.
  A stretch and its clip share one background: noise from the data set's recordings, or digital silence.
- Noise is as strong as a ratio says that is drawn for each clip: the mean square of its speech over that of the noise.
- Nothing but the clips, the noise and the settings decides a stream: draws are seeded with a digest of their names,
  contents and values. The same call gives the same bytes.
- Noise is the split's own part of the recordings, as for silence in kws.speech.silence: exercise_bike and pink_noise
  are for test streams alone and nothing else is in them. Other recordings are cut in time; a network that was trained
  with noise mixed in has heard the whole of them, those parts too, and a validation stream is easier for that.
- A word's window is where its clip is loud: from the first to the last 20 ms that are at most 25 dB below the loudest,
  or above the clip's quietest tenth by 0.3 of the way from there to the loudest: the "s" of "yes" is 30 dB below its
  vowel in a quiet room. In a noisy clip, and in one without any power, that is its whole second.
- A clip is the second that is heard in training. Its ends fade over 5 ms, so that the cut is no click.
- With `whole_noise` each recording's part follows at the end, whole and as loud as it was recorded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kws.errors import ClipError, DataError, RecipeError
from kws.events import NO_KEYWORDS, NO_WORDS, NOISE, SPLITS, keywords_of
from kws.recipe import FIRST, Config
from kws.recipe.partition import Partition
from kws.speech import digests, synthetic, synthetic_noise
from kws.speech.cache import cache_folder
from kws.speech.decode import SAMPLE_RATE_HZ, SAMPLES, SUFFIXES, duration_ms, read_recording
from kws.speech.digests import Stamp
from kws.speech.folder import Clip, read_folder
from kws.speech.listing import assigned, require_listed
from kws.speech.long import from_file, in_16_bits
from kws.speech.names import without_ending
from kws.speech.progress import Track, untracked
from kws.speech.silence import HELD_OUT, Part, parts_of
from kws.speech.sources import locate

DRAWN, EVERY = "drawn", "all"
_TAIL_S = 2.0
_FADE = SAMPLE_RATE_HZ * 5 // 1000
_FRAME, _STEP = SAMPLE_RATE_HZ // 50, SAMPLE_RATE_HZ // 100
_FLOOR_DB = 25.0  # below the loudest frame, within which a frame is speech
_RISE = 0.3  # of the decibels from a clip's quietest tenth to its loudest frame
_SILENT = 1e-9  # mean square


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """What a stream is made of, and in which ratios."""

    split: str
    others: str = DRAWN  # which other words: those that the task draws for "other", or all of the split
    keywords: bool = True
    speech: float = 0.5  # the share of the time that clips take
    noisy: float = 0.5  # the share of clips, with the stretch before them, that have noise
    snr_db: tuple[float, float] = (5.0, 20.0)  # between which a ratio is drawn
    whole_noise: bool = False
    minutes: float | None = None  # at least, unless the clips end before

    def __post_init__(self) -> None:
        if not 0 < self.speech <= 1:
            raise RecipeError(f"`speech` (={self.speech:g}) is a share; it must be more than 0 and at most 1")
        if not 0 <= self.noisy <= 1:
            raise RecipeError(f"`noisy` (={self.noisy:g}) is a share; it must be from 0 to 1")
        if not -100 <= self.snr_db[0] <= self.snr_db[1] <= 100:
            low, high = self.snr_db
            raise RecipeError(f"`snr` (={low:g},{high:g}) must be two numbers of decibels, the lower first, as in 5,20")
        if self.minutes is not None and not 0 < self.minutes <= 1e6:
            raise RecipeError(f"`minutes` (={self.minutes:g}) must be more than 0")


@dataclass(frozen=True)
class _Item:
    """A clip, the samples without speech before it, and where its noise begins (None: silence) and how strong it is."""

    clip: Clip
    before: int
    noise: tuple[Part, int] | None
    snr_db: float


class MadeStream:
    """A stream that is made as it is read; its labels are known when it was read once."""

    def __init__(
        self,
        data: str,
        task: Config,
        mixture: Mixture,
        *,
        speakers: str | None = None,
        pattern: str | None = None,
        align: str = FIRST,
        partition: Partition | None = None,
        some_of: tuple[str, ...] = (),
        track: Track = untracked,
    ) -> None:
        """Choose clips, noise and places. Raises DataError for what the data lacks.

        With the classes of a run, `some_of`, it may lack some of these; `not_said` are the keywords without clips.
        """
        if mixture.split not in SPLITS:
            raise RecipeError(f"`split` (={mixture.split}) must be one of {', '.join(SPLITS)}")
        self.mixture, self._partition = mixture, partition
        source = locate(data, track=track)
        if source.is_arrays:
            raise DataError(f"{source.folder} holds arrays of features; a stream is made of recordings")
        self.source, self._folder = source.name, source.folder
        folder = read_folder(source.place, speakers, pattern, partition=partition, align=align, track=track)
        require_listed(folder, source.folder)
        found = assigned(folder, task, some_of=some_of, track=track)
        own = [clip for clip in found.clips if clip.split == mixture.split and clip.word != NOISE]
        names = found.classes
        spoken = [clip for clip in own if names[clip.label] not in NO_KEYWORDS]
        self.words = {clip.place: names[clip.label] for clip in spoken}
        said = {*self.words.values()}
        self.not_said = tuple(word for word in keywords_of(names) if mixture.keywords and word not in said)
        others = [clip for clip in own if clip.place not in self.words]
        if mixture.others == EVERY:
            every = {clip.place for clip in found.clips if names[clip.label] not in NO_KEYWORDS}
            others = [clip for clip in folder.clips if clip.split == mixture.split and clip.place not in every]
        others = [clip for clip in others if clip.word not in NO_WORDS]
        clips = [*(spoken if mixture.keywords else []), *others]
        if not clips:
            raise DataError(f"{source.folder} has no clips for this stream in its {mixture.split} split")
        self._noise, self.noise_is_held_out = self._parts(data, mixture)
        self.fingerprint = self._digest(clips)
        self._draw = np.random.default_rng(int(self.fingerprint[:16], 16))
        self._items = self._planned(clips)
        self.samples = sum(item.before + SAMPLES for item in self._items) + round(_TAIL_S * SAMPLE_RATE_HZ)
        if mixture.whole_noise:
            self.samples += sum(_samples(part) for part in self._noise)
        self._windows: list[list[Any]] = []
        self._used: list[dict[str, Any]] = []

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / SAMPLE_RATE_HZ

    @property
    def items(self) -> int:
        """Its clips."""
        return len(self._items)

    def pieces(self) -> Iterator[np.ndarray]:
        """The stream (n,) float32 at 16 kHz, an item at a time. Raises ClipError for a clip that cannot be read."""
        self._windows, self._used = [], []
        at = 0
        for item in self._items:
            piece, extent = self._mixed(item)
            begin = at + item.before
            word = self.words.get(item.clip.place)
            if word is not None:
                ends = [round((begin + end) / SAMPLE_RATE_HZ, 4) for end in extent]
                self._windows.append([*ends, word])
            self._used.append(self._described(item, begin))
            at += len(piece)
            yield piece
        yield np.zeros(round(_TAIL_S * SAMPLE_RATE_HZ), np.float32)
        at += round(_TAIL_S * SAMPLE_RATE_HZ)
        for part in self._noise if self.mixture.whole_noise else ():
            self._used.append({"second": round(at / SAMPLE_RATE_HZ, 4), "noise": part.file, "level": "as recorded"})
            left = _samples(part)
            for piece in from_file(Path(part.file), part.begin_ms / 1000, left / SAMPLE_RATE_HZ).pieces:
                yield in_16_bits(piece[:left])
                left -= len(piece[:left])
            yield np.zeros(left, np.float32)
            at += _samples(part)

    def labels(self, wav_file: str) -> dict[str, Any]:
        """What the labels file says, after pieces() was read to its end."""
        shown = {item["noise"] for item in self._used if item.get("noise")}
        return {
            "wav_file": wav_file,
            "sample_rate": SAMPLE_RATE_HZ,
            "length_sec": self.seconds,
            "detection_windows": self._windows,
            "made_from": {
                "data": self.source,
                "split": self.mixture.split,
                **({} if self._partition is None else {"splits": self._partition.told}),
                "fingerprint": self.fingerprint,
                "settings": asdict(self.mixture),
                "clips": sum("clip" in item for item in self._used),
                "noise": sorted(Path(file).name for file in shown),
                "noise_held_out": self.noise_is_held_out,
                "noise_seconds": sum(part.end_ms - part.begin_ms for part in self._noise) / 1000 if shown else 0.0,
                "items": [
                    item | ({"noise": Path(item["noise"]).name} if item.get("noise") else {}) for item in self._used
                ],
            },
        }

    def _parts(self, data: str, mixture: Mixture) -> tuple[list[Part], bool]:
        """The parts of noise recordings that belong to the split, and whether nothing is ever trained on them."""
        if not mixture.noisy and not mixture.whole_noise:
            return [], False
        place = synthetic_noise.folder(cache_folder()) if data == synthetic.NAME else locate(data).noise
        files = {
            str(path.relative_to(place)): path
            for path in sorted(place.rglob("*"))
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        }
        parts = parts_of({name: duration_ms(path) for name, path in files.items()})
        own = [
            part._replace(file=str(files[part.file])) for part in parts if part.split == mixture.split and part.starts
        ]
        if not own:
            raise DataError(
                f"{self._folder} has no recordings of noise in {NOISE} for its {mixture.split} split; put some there, "
                "or make the stream without: --noisy 0"
            )
        return own, all(without_ending(Path(part.file).name) in HELD_OUT for part in own)

    def _digest(self, clips: list[Clip]) -> str:
        files = [(clip.path, clip.stamp) for clip in clips]
        files += [(part.file, Stamp.of(Path(part.file).stat())) for part in self._noise]
        # Under a name of its own: digests that are kept for the folder are of all its clips, and would be forgotten.
        held = digests.of_files(self._folder / f".stream-{self.mixture.split}", files)
        digest = hashlib.sha256(json.dumps(asdict(self.mixture), sort_keys=True).encode())
        whole = (Path(clip.path) for clip in clips if clip.align != FIRST and clip.at_ms is None)
        if any(duration_ms(path) > 1000 for path in whole):
            digest.update(b"aligned by energy\0")
        for clip, content in zip(clips, held, strict=False):
            word = self.words.get(clip.place, "")
            digest.update(f"{word}\0{clip.name}\0".encode("utf-8", "surrogateescape") + content)
        for part, content in zip(self._noise, held[len(clips) :], strict=True):
            digest.update(f"{part.begin_ms}\0{part.end_ms}\0".encode() + content)
        return digest.hexdigest()

    def _planned(self, clips: list[Clip]) -> list[_Item]:
        mixture, draw = self.mixture, self._draw
        mean = SAMPLES * (1 - mixture.speech) / mixture.speech
        wanted = None if mixture.minutes is None else mixture.minutes * 60 * SAMPLE_RATE_HZ
        weights = np.array([part.starts for part in self._noise], float)
        items, at = [], 0
        for place in draw.permutation(len(clips)).tolist():
            if wanted is not None and at >= wanted:
                break
            before = round(mean * draw.uniform(0.5, 1.5))
            is_noisy, part, share, snr = draw.random(), draw.random(), draw.random(), draw.uniform(*mixture.snr_db)
            noise = None
            if is_noisy < mixture.noisy:
                which = self._noise[int(np.searchsorted(weights.cumsum() / weights.sum(), part, side="right"))]
                noise = which, int(share * _samples(which))
            items.append(_Item(clips[place], before, noise, snr))
            at += before + SAMPLES
        return items

    def _mixed(self, item: _Item) -> tuple[np.ndarray, tuple[int, int]]:
        """An item's samples, and where its speech begins and ends in its clip."""
        try:
            clip = read_recording(*item.clip.place).waveform.copy()
        except ClipError as error:
            raise ClipError(f"{error}; repair or delete it") from None
        extent = loud_extent(clip)
        power = float(np.square(clip[slice(*extent)], dtype=np.float64).mean())
        fade = np.linspace(0, 1, _FADE, dtype=np.float32)
        clip[:_FADE] *= fade
        clip[-_FADE:] *= fade[::-1]
        made = np.zeros(item.before + SAMPLES, np.float32)
        made[item.before :] = clip
        if item.noise is not None:
            noise = _from(*item.noise, len(made))
            loud = float(np.square(noise, dtype=np.float64).mean())
            if loud > _SILENT:
                gain = np.sqrt(power / loud / 10 ** (item.snr_db / 10)) if power > _SILENT else 1.0
                made += np.float32(gain) * noise
        most = float(np.abs(made).max(initial=0))
        return in_16_bits(made / np.float32(most) if most > 1 else made), extent

    def _described(self, item: _Item, begin: int) -> dict[str, Any]:
        found: dict[str, Any] = {"second": round(begin / SAMPLE_RATE_HZ, 4), "clip": item.clip.name}
        if item.clip.speaker is not None:
            found["speaker"] = item.clip.speaker
        if item.noise is not None:
            found |= {"noise": item.noise[0].file, "snr_db": round(item.snr_db, 2)}
        return found


def loud_extent(waveform: np.ndarray) -> tuple[int, int]:
    """Where a clip (S,) is loud: the first sample, and that after the last. The whole clip if it has no power."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, _FRAME)[::_STEP]
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    if power.max() <= _SILENT:
        return 0, len(waveform)
    decibels = 10 * np.log10(np.maximum(power, _SILENT))
    most, quiet = decibels.max(), np.quantile(decibels, 0.1)
    loud = np.flatnonzero(decibels >= min(most - _FLOOR_DB, quiet + _RISE * (most - quiet)))
    return int(loud[0]) * _STEP, int(loud[-1]) * _STEP + _FRAME


def _samples(part: Part) -> int:
    return (part.end_ms - part.begin_ms) * SAMPLE_RATE_HZ // 1000


def _from(part: Part, first: int, count: int) -> np.ndarray:
    """So many samples of a part of a recording from its sample `first` on, which goes on at its beginning."""
    found, at, missing = [], first, count
    while missing > 0:
        wanted = min(missing, _samples(part) - at)
        begin = part.begin_ms / 1000 + at / SAMPLE_RATE_HZ
        there = np.concatenate(list(from_file(Path(part.file), begin, wanted / SAMPLE_RATE_HZ).pieces))[:wanted]
        found.append(there)
        missing -= len(there)
        at = 0
    return np.concatenate(found)
