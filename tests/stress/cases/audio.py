"""Recordings: damaged, odd and impossible ones, through kws.speech.decode and kws.speech.dataset."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path
from typing import Any

from tests.stress.cases import REPORT, Place, UnwantedError, damaged, nonsense

_RATES = (
    0, 1, 2, 7, 100, 8000, 11025, 15999, 16000, 16001, 22050, 44100, 48000, 96000, 192000, 655350, 10 ** 6, 10 ** 7,
    10 ** 8, 10 ** 9, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1,
)  # fmt: skip
_CHANNELS = (0, 1, 1, 1, 2, 2, 3, 6, 8, 16, 24, 255, 256, 1_024, 1_025, 32_768, 65_535)
_BITS = (0, 1, 7, 8, 12, 16, 16, 16, 20, 24, 32, 64, 65_535)
_TAGS = (0, 1, 1, 1, 2, 3, 3, 6, 7, 0x11, 0x31, 0x55, 0xFFFE, 0xFFFF)
_SIZES = (0, 1, 3, 2**16, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
_WRITTEN = {
    ".wav": (
        "PCM_U8",
        "PCM_16",
        "PCM_24",
        "PCM_32",
        "FLOAT",
        "DOUBLE",
        "ULAW",
        "ALAW",
        "IMA_ADPCM",
        "MS_ADPCM",
        "GSM610",
    ),
    ".flac": ("PCM_S8", "PCM_16", "PCM_24"),
    ".ogg": ("VORBIS", "OPUS"),
    ".mp3": ("MPEG_LAYER_III",),
    ".aiff": ("PCM_S8", "PCM_16", "FLOAT", "ULAW"),
    ".au": ("PCM_16", "DOUBLE", "ALAW"),
}
_CONTAINERS = ("WAV", "WAVEX", "RF64", "AIFF", "AU", "CAF", "W64", "FLAC", "OGG", "NIST", "VOC", "MP3")
_DATASET_SHARE = 0.06


def attempt(draw: random.Random, place: Place) -> None:
    """Make a recording and read it, alone or as one clip of a data set."""
    as_dataset = draw.random() < _DATASET_SHARE
    suffix = draw.choice((".wav", ".wav", ".wav", ".flac", ".ogg", ".WAV", ".mp3", ".aiff", ".au"))
    folder = place.task() / "yes" if as_dataset else place.folder
    clip = folder / (draw.choice(("0a0a0a0a_nohash_0", "ä", "x y", "\udcff")) + suffix)
    make = draw.choice((_good_damaged, _good_damaged, _headed, _headed, _headed, _headed, _written, _written, _strange))
    make(draw, place, clip)
    if as_dataset:
        _load(draw, place)
    else:
        _read(clip)


def _read(clip: Path) -> None:
    import numpy as np

    from kws.speech.decode import SAMPLES, read_waveform

    waveform = read_waveform(clip)
    if waveform.shape != (SAMPLES,) or waveform.dtype != np.float32 or not np.isfinite(waveform).all():
        raise UnwantedError(f"a waveform of shape {waveform.shape}, {waveform.dtype}, that is not one finite second")


def _load(draw: random.Random, place: Place) -> None:
    import torch

    from kws.speech import dataset

    os.environ["KWS_CACHE"] = str(place.folder / "cache")
    loaded = dataset.load(str(place.folder / "task"), REPORT, skip_unreadable=draw.random() < 0.5)
    for name, split in loaded.splits.items():
        if len(split) and not torch.isfinite(split.features).all():
            raise UnwantedError(f"features of the {name} split that are not finite")


def _good_damaged(draw: random.Random, place: Place, clip: Path) -> None:
    good = sorted((place.materials / "audio").iterdir())
    same = [path for path in good if path.suffix == clip.suffix.lower()]
    data = draw.choice(same if same and draw.random() < 0.8 else good).read_bytes()
    clip.write_bytes(data if draw.random() < 0.03 else damaged(draw, data))


def _headed(draw: random.Random, place: Place, clip: Path) -> None:
    """A WAV file whose header may say anything."""
    tag, channels, rate, bits = (draw.choice(values) for values in (_TAGS, _CHANNELS, _RATES, _BITS))
    if draw.random() < 0.6:  # one that could be read, but for one or two fields
        tag, bits = draw.choice(((1, 16), (1, 16), (1, 16), (1, 8), (1, 24), (1, 32), (3, 32), (3, 64)))
        channels = draw.choice((1, 1, 2, channels))
    frame = channels * bits // 8
    data = _samples(draw, bits, draw.choice((0, 1, 10, 1_000, 16_000, 40_000)))
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * frame % 2**32, frame % 2**16, bits)
    if draw.random() < 0.2:
        layout = layout[: draw.randrange(17)]
    if tag == 0xFFFE and draw.random() < 0.7:
        layout += struct.pack("<HHIH14s", 22, bits, 0, 1, bytes.fromhex("000000001000800000aa00389b71"))
    chunks = [_chunk(draw, b"fmt ", layout), _chunk(draw, b"data", data)]
    for _ in range(draw.choice((0, 0, 0, 1, 2))):
        extra = draw.choice((b"LIST", b"fact", b"bext", b"fmt ", b"data", b"\0\0\0\0", draw.randbytes(4)))
        chunks.insert(draw.randrange(3), _chunk(draw, extra, draw.randbytes(draw.randrange(40))))
    if draw.random() < 0.05:
        draw.shuffle(chunks)
    body = b"WAVE" + b"".join(chunks)
    kind = draw.choice((b"RIFF", b"RIFF", b"RIFF", b"RIFF", b"RIFX", b"RF64"))
    clip.write_bytes(_chunk(draw, kind, body))


def _samples(draw: random.Random, bits: int, count: int) -> bytes:
    """Samples that are loud, silent, or no numbers."""
    import numpy as np

    random_ = np.random.default_rng(draw.randrange(2**32))
    if bits in (32, 64) and draw.random() < 0.7:
        values = random_.standard_normal(count)
        odd = draw.choice((np.nan, np.inf, -np.inf, 1e30, -1e38, 1e-40, 1e6, 1e7, 0.0))
        values[random_.random(count) < draw.choice((0.0, 0.001, 0.5, 1.0))] = odd
        with np.errstate(all="ignore"):
            return values.astype(f"<f{bits // 8}").tobytes()
    return random_.bytes(count * min(max(bits, 8), 64) // 8)


def _chunk(draw: random.Random, name: bytes, data: bytes) -> bytes:
    size = draw.choice((*_SIZES, draw.randrange(2**32))) if draw.random() < 0.06 else len(data)
    return name + struct.pack("<I", size % 2**32) + data + bytes(len(data) % 2)


def _written(draw: random.Random, place: Place, clip: Path) -> None:
    """What libsndfile writes, of another depth, rate, number of channels or container than is usual."""
    import numpy as np

    from tests.stress.cases import sounds

    suffix = clip.suffix.lower()
    wanted: dict[str, Any] = {"subtype": draw.choice(_WRITTEN[suffix]), "format": suffix[1:].upper()}
    if draw.random() < 0.25:
        wanted = {"format": draw.choice(_CONTAINERS)}
    rate = draw.choice([rate for rate in _RATES if 0 < rate < 2**31])
    count = draw.choice((0, 1, 2, 100, 5_000, 16_000, 20_000))
    channels = draw.choice((1, 1, 1, 2, 3, 8))
    samples = np.random.default_rng(draw.randrange(2**32)).uniform(-1, 1, (count, channels))
    if draw.random() < 0.2:
        samples *= draw.choice((0.0, 1e-30, 10.0, 1e5, 1e7, 1e30, np.inf, np.nan))
    if not sounds.write(clip, samples, rate, **wanted):
        _headed(draw, place, clip)
        return
    if draw.random() < 0.2:
        clip.write_bytes(damaged(draw, clip.read_bytes()))


def _strange(draw: random.Random, place: Place, clip: Path) -> None:
    """What is no recording, or no file."""
    match draw.randrange(7):
        case 0:
            clip.mkdir()
        case 1:
            clip.symlink_to(draw.choice(("nowhere", clip.name, "/dev/zero", "/dev/null", "..")))
        case 2:
            os.mkfifo(clip)
        case 3:
            good = (place.materials / "audio" / "good.wav").read_bytes()
            clip.write_bytes(draw.choice((b"", b"ID3", b"\xef\xbb\xbf", bytes(100))) + good * draw.choice((1, 2)))
        case 4:
            head = draw.choice(
                (b"RIFF", b"fLaC", b"OggS", b"FORM", b"RF64", b"riff", b".snd", b"ID3\x03", b"\xff\xfb\x90")
            )
            clip.write_bytes(head + nonsense(draw))
        case 5:
            clip.write_bytes(b"RIFF\xff\xff\xff\xffWAVE" + b"LIST\0\0\0\0" * draw.choice((1, 100, 10_000)))
        case _:
            clip.write_bytes(nonsense(draw))
