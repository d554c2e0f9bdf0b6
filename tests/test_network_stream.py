"""A stream is heard as its seconds are, whatever pieces it comes in: against features by NumPy in double precision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kws import architectures
from kws.inference.card import ModelCard
from kws.inference.detector import Detector
from kws.inference.network import NetworkModel
from kws.recipe import Recipe
from kws.speech.features import mel_filters
from kws.speech.front_end import FRONT_END

MEAN, STD = -7.0, 3.0
AUDIO = (0.1 * np.random.default_rng(0).standard_normal(2 * 16_000 + 37)).astype(np.float32)
HOP, WINDOW = 160, 400


def model() -> NetworkModel:
    torch.manual_seed(0)
    network = architectures.build(Recipe.of(arch="tc-resnet", opt="adam"), 3)
    with torch.no_grad():
        network.train()(torch.randn(8, 101, 40))
    return NetworkModel(ModelCard(words=("yes", "no", "other"), run="r", temperature=0.7), network, MEAN, STD)


MODEL = model()


def by_windows() -> np.ndarray:
    """Probabilities (H, 3) from the last 101 frames that are complete at each hop; before all there is silence."""
    frames_back = np.concatenate([np.zeros(120 * HOP), AUDIO.astype(np.float64)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    filters = mel_filters().double().numpy()
    windows = []
    for hop in range(len(AUDIO) // 320):
        end = 120 * HOP + (hop + 1) * 320
        ends = [end - 120 - HOP * back for back in range(100, -1, -1)]  # frames have their centres at whole hops
        frames = np.stack([frames_back[at - WINDOW : at] for at in ends])
        power = np.abs(np.fft.rfft(frames * hann, n=FRONT_END.transform)) ** 2
        windows.append((np.log(power @ filters + FRONT_END.offset) - MEAN) / STD)
    with torch.inference_mode():
        logits = MODEL.network(torch.tensor(np.stack(windows), dtype=torch.float32)) / 0.7
        return torch.softmax(logits, 1).numpy()


EXPECTED = by_windows()


def test_a_hop_is_the_second_that_ends_with_it():
    found = np.concatenate(list(Detector(MODEL).scores([AUDIO])))
    assert found.shape == EXPECTED.shape
    np.testing.assert_allclose(found, EXPECTED, atol=2e-5)
    assert np.ptp(EXPECTED) > 0.01  # or any network would do


@given(st.lists(st.integers(0, len(AUDIO)), max_size=30))
@settings(max_examples=15, deadline=None)
def test_pieces_do_not_matter(cuts):
    found = np.concatenate(list(Detector(MODEL).scores(np.split(AUDIO, sorted(cuts)))))
    np.testing.assert_allclose(found, EXPECTED, atol=2e-5)


@pytest.mark.parametrize("length", [0, 1, 319])
def test_what_is_shorter_than_a_hop_gives_nothing(length):
    detector = Detector(MODEL)
    assert sum(map(len, detector.scores([AUDIO[:length]]))) == 0
    assert list(detector.stream([AUDIO[:length], AUDIO[:0]])) == []
