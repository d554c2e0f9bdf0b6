"""How long a file takes: the median of single clips or single hops, one thread, one after the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from kws.inference.detections import HOP_SAMPLES
from kws.speech.decode import SAMPLES

if TYPE_CHECKING:
    from kws.inference.onnx_model import OnnxModel

RUNS = 200
_WARM = 20


def milliseconds(file: OnnxModel) -> float:
    """The median over RUNS clips or hops of noise."""
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, SAMPLES).astype(np.float32)
    stream = file.stream()
    took = []
    for _ in range(_WARM + RUNS):
        begin = time.perf_counter()
        if file.is_streaming:
            stream.push(noise[:HOP_SAMPLES])
        else:
            file.probabilities(noise[None])
        took.append(time.perf_counter() - begin)
    return 1000 * float(np.median(took[_WARM:]))
