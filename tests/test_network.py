"""A run's network on clips and on streams: the same answers whichever way the sound comes in."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kws.errors import ClipError, RecipeError
from kws.inference.card import ModelCard
from kws.inference.detector import Detector
from kws.inference.network import FRAMES, HOP_SAMPLES, NetworkModel
from kws.speech.features import log_mel

CARD = ModelCard(words=("yes", "no", "other"), run="abcdefgh", temperature=0.7, thresholds={"yes": 0.9, "no": 0.4})
MEAN, STD = -7.0, 3.0
SECOND = 16_000


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(FRAMES * 40, 8), nn.Tanh(), nn.Linear(8, 3))
    return NetworkModel(CARD, network, MEAN, STD)


def sound(samples, seed=0):
    return np.random.default_rng(seed).uniform(-0.3, 0.3, samples).astype(np.float32)


def told(model, features):
    """The probabilities (B, K) of features (B, T, M), by the network itself."""
    with torch.no_grad():
        return torch.softmax(model.network((features - MEAN) / STD) / CARD.temperature, dim=1).numpy()


def test_a_clip_is_heard_as_in_training(model):
    clips = np.stack([sound(SECOND, seed) for seed in range(70)])
    expected = told(model, log_mel(torch.from_numpy(clips)))
    assert model.probabilities(clips) == pytest.approx(expected, abs=1e-6)


def test_no_clips_have_no_probabilities(model):
    assert model.probabilities(np.empty((0, SECOND), np.float32)).shape == (0, 3)


def test_each_hop_of_a_stream_is_the_window_of_features_that_ends_there(model):
    heard = sound(3 * SECOND)
    found = model.stream().push(heard)
    assert len(found) == 3 * SECOND // HOP_SAMPLES
    whole = log_mel(torch.from_numpy(heard)[None])[0]  # within the stream its frames have no padding
    for hop in (51, 60, 120):
        window = whole[2 * hop - 100 : 2 * hop + 1]
        assert found[hop] == pytest.approx(told(model, window[None])[0], abs=1e-5)


def test_before_a_stream_there_is_silence(model):
    heard = sound(SECOND)
    padded = np.concatenate([np.zeros(2 * SECOND, np.float32), heard])
    assert model.stream().push(heard) == pytest.approx(model.stream().push(padded)[100:], abs=1e-6)


def test_digital_silence_is_heard_as_in_a_clip(model):
    silent = torch.full((1, FRAMES, 40), math.log(1e-6))
    assert model.stream().push(np.zeros(HOP_SAMPLES, np.float32)) == pytest.approx(told(model, silent), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 40_000), max_size=8))
def test_how_a_stream_is_cut_into_pieces_changes_nothing(model, cuts):
    heard = sound(40_000)
    stream = model.stream()
    pieces = [stream.push(piece) for piece in np.split(heard, sorted(cuts))]
    assert np.concatenate(pieces) == pytest.approx(model.stream().push(heard), abs=1e-6)


def test_a_detector_hears_one_channel_at_16_khz(model):
    detector = Detector(model)
    one = sound(SECOND)
    assert detector.probabilities(np.stack([one, one], axis=1)) == pytest.approx(detector.probabilities(one), abs=1e-6)
    assert detector.probabilities(one[:8_000]) == pytest.approx(
        detector.probabilities(np.concatenate([one[:8_000], np.zeros(8_000, np.float32)])), abs=1e-6
    )


def test_other_rates_are_resampled(model):
    tone = np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000).astype(np.float32) / 3
    same = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32) / 3
    detector = Detector(model)
    assert detector.probabilities(tone, 48_000) == pytest.approx(detector.probabilities(same), abs=0.02)


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (np.empty(0, np.float32), "not empty"),
        (np.zeros((2, 2, 2), np.float32), "(samples, channels)"),
        (np.zeros(100, np.int16), "32,768"),
        (np.array([0.0, np.nan]), "not finite"),
        (np.array([0.0, np.inf]), "not finite"),
    ],
)
def test_audio_that_cannot_be_heard_is_refused_in_a_sentence(model, audio, says):
    with pytest.raises(ClipError, match=says.replace("(", r"\(").replace(")", r"\)")):
        Detector(model).predict(audio)


def test_a_prediction_is_the_most_probable_word(model):
    detector = Detector(model)
    answer, probabilities = detector.predict(sound(SECOND)), detector.probabilities(sound(SECOND))
    assert answer.word == CARD.words[probabilities.argmax()]
    assert answer.probability == pytest.approx(probabilities.max())
    assert list(answer.probabilities) == list(CARD.words)


def test_only_keywords_have_thresholds(model):
    detector = Detector(model)
    assert detector.thresholds() == {"yes": 0.9, "no": 0.4}
    assert detector.thresholds(0.3) == {"yes": 0.3, "no": 0.3}
    assert detector.thresholds({"no": 0.2}) == {"no": 0.2}
    with pytest.raises(RecipeError, match="'other' is none of the keywords yes, no"):
        detector.thresholds({"other": 0.5})


def test_a_card_survives_its_text():
    assert ModelCard.from_json(CARD.to_json()) == CARD
