"""librosa and kaldi-native-fbank: a clip's file to its log-mel features, clip by clip, as their users write it.

librosa has the settings of kws.speech.features and its default dtype, float32. kaldi-native-fbank has the same window,
hop, bands and range; its mel scale and pre-emphasis are Kaldi's own. The first clips are to warm up and do not count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import cores

_WARM = 16
_RATE = _SAMPLES = 16_000


def librosa_clips(folder: str, clips: int) -> float:
    """Clips a second. Runs in a process of its own."""
    return _rate(_librosa, _files(folder, clips))


def librosa_processes(folder: str, clips: int) -> float:
    """Clips a second with a process for each core; starting them does not count. Runs in a process of its own."""
    from multiprocessing import get_context

    files = _files(folder, clips)
    context = get_context("spawn")
    ready = context.Barrier(cores() + 1)
    with context.Pool(cores(), initializer=_warm, initargs=(files[:_WARM], ready)) as pool:
        chunk = math.ceil(len(files) / cores())
        ready.wait()
        start = time.perf_counter()
        pool.map(_librosa, files, chunksize=chunk)
        return len(files) / (time.perf_counter() - start)


def fbank_clips(folder: str, clips: int) -> float:
    """Clips a second. Runs in a process of its own."""
    import kaldi_native_fbank as knf
    import numpy as np

    options = knf.FbankOptions()
    options.frame_opts.samp_freq = _RATE
    options.frame_opts.dither = 0
    options.frame_opts.frame_length_ms, options.frame_opts.frame_shift_ms = 25, 10
    options.frame_opts.window_type = "hann"
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins, options.mel_opts.low_freq, options.mel_opts.high_freq = 40, 20, 8_000

    def features(file: str) -> Any:
        computer = knf.OnlineFbank(options)
        computer.accept_waveform(_RATE, _waveform(file))
        computer.input_finished()
        return np.stack([computer.get_frame(frame) for frame in range(computer.num_frames_ready)])

    return _rate(features, _files(folder, clips))


def _librosa(file: str) -> Any:
    import librosa
    import numpy as np

    power = librosa.feature.melspectrogram(
        y=_waveform(file),
        sr=_RATE,
        n_fft=512,
        hop_length=160,
        win_length=400,
        n_mels=40,
        fmin=20,
        fmax=8_000,
        pad_mode="reflect",
    )
    return np.log(power.T + 1e-6)


def _warm(files: list[str], ready: Any) -> None:
    for file in files:
        _librosa(file)
    ready.wait()


def _waveform(file: str) -> Any:
    import numpy as np
    import soundfile

    samples, _ = soundfile.read(file, dtype="float32")
    return np.pad(samples[:_SAMPLES], (0, max(_SAMPLES - len(samples), 0)))


def _files(folder: str, clips: int) -> list[str]:
    return [str(path) for path in sorted(Path(folder).glob("*/*.wav"))[:clips]]


def _rate(features: Callable[[str], Any], files: list[str]) -> float:
    for file in files[:_WARM]:
        features(file)
    start = time.perf_counter()
    for file in files:
        features(file)
    return len(files) / (time.perf_counter() - start)
