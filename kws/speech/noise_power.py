"""The mel power of background noise, from which a second is drawn for each clip.

It is computed anew by each process: the four recordings of Speech Commands, five minutes, take 0.3 s and 5 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from kws.errors import DataError
from kws.speech import noise
from kws.speech.decode import SAMPLE_RATE_HZ, read_pieces
from kws.speech.features import band_widths, mel_power

_PIECE_SECONDS = 60  # of a long recording that are read at once; a second that is drawn lies in one of them
_SILENT = 1e-9  # a mean power far below that of the rounding of 16-bit samples: nothing to mix


@dataclass(frozen=True)
class NoisePower:
    """Frames (F, M) of mel power, at which of them a second may begin (S,), and the mean power of each second (S,)."""

    frames: Tensor
    starts: Tensor
    power: Tensor

    def seconds(self, which: Tensor, length: int) -> Tensor:
        """The mel power (N, length, M) of these seconds (N,)."""
        frames, bands = self.frames.shape
        every = self.frames.as_strided((frames - length + 1, length, bands), (bands, bands, 1))  # copies nothing
        return every.index_select(0, self.starts[which])

    def to(self, device: str) -> NoisePower:
        """The same on a device."""
        return NoisePower(*(each.to(device) for each in (self.frames, self.starts, self.power)))


def load(value: str, data: str, length: int) -> NoisePower:
    """The noise that a recipe's `noise` stands for, for clips of `length` frames.

    Raises DataError where there is none, or other recordings than the value's digest says, and ClipError for a
    recording that cannot be read.
    """
    files, digest = noise.recordings(value, data)
    found = _computed(files, digest, length)
    if not len(found.starts):
        raise DataError(f"the recordings that `noise` (={value}) names are silent; name others")
    return found


def mean_power(frames: Tensor) -> Tensor:
    """The mean power (N,) of seconds of sound with this mel power (N, T, M), up to a factor.

    Bands have unit area; times their widths their sum is that of the spectrum, which is the power of the waveform.
    """
    widths = band_widths().to(frames.device)
    return (frames.mean(1) * widths).sum(1)


@lru_cache(2)
def _computed(files: tuple[str, ...], _: str, length: int) -> NoisePower:
    """What load() gives; by the digest of the files' content, too, so that changed files are read anew."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that the bits do not depend on their number
    try:
        pieces = list(_pieces(files, length))
    finally:
        torch.set_num_threads(threads)
    starts, at = [], 0
    for each in pieces:
        starts.append(torch.arange(at, at + len(each) - length + 1))
        at += len(each)
    frames, start = torch.cat(pieces), torch.cat(starts)
    total = torch.nn.functional.pad((frames.double() @ band_widths().double()).cumsum(0), (1, 0))
    power = ((total[start + length] - total[start]) / length).float()
    heard = power > _SILENT
    return NoisePower(frames, start[heard], power[heard])


def _pieces(files: tuple[str, ...], length: int) -> Iterator[Tensor]:
    """Each recording's mel power (F, M), F at least `length`; what is shorter is repeated."""
    least = (length - 1) * SAMPLE_RATE_HZ // 100
    for file in files:
        for waveform in read_pieces(file, _PIECE_SECONDS):
            whole = waveform if len(waveform) >= least else np.resize(waveform, least)
            yield mel_power(torch.from_numpy(whole)[None])[0]
