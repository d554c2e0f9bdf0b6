"""Log-mel features are those of librosa, and each clip's are its own."""

import librosa.feature
import librosa.filters
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recordings import noise, tone

from kws.speech.decode import SAMPLES
from kws.speech.features import hz_to_mel, log_mel, mel_filters, mel_to_hz
from kws.speech.front_end import FRONT_END, FrontEnd

WAVEFORMS = {
    "noise": noise(level=1.0),
    "quiet noise": noise(level=1e-4),
    "a low tone": tone(100, level=0.9),
    "a high tone": tone(7900, level=0.9),
    "a click": np.eye(1, SAMPLES, SAMPLES // 2)[0],
    "sound at the very end": np.concatenate([np.zeros(SAMPLES - 100), noise(seconds=100 / SAMPLES)]),
    "full scale": np.ones(SAMPLES),
    "silence": np.zeros(SAMPLES),
}
OTHER_FRONT_END = FrontEnd(window=512, hop=200, transform=1024, bands=64, low_hz=0.0, high_hz=7000.0, offset=1e-3)
both_front_ends = pytest.mark.parametrize("front_end", [FRONT_END, OTHER_FRONT_END], ids=["ours", "another"])


@pytest.fixture(autouse=True)
def one_thread():
    """More would only wait for each other on so little."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def librosas(waveform: np.ndarray, front_end: FrontEnd) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=16_000,
        n_fft=front_end.transform,
        win_length=front_end.window,
        hop_length=front_end.hop,
        window="hann",
        center=True,
        pad_mode="reflect",
        power=2.0,
        n_mels=front_end.bands,
        fmin=front_end.low_hz,
        fmax=front_end.high_hz,
        htk=False,
        norm="slaney",
    )
    return np.log(power + front_end.offset).T


def random_waveforms(clips: int) -> torch.Tensor:
    return torch.rand((clips, SAMPLES), generator=torch.Generator().manual_seed(0)) * 2 - 1


@both_front_ends
@pytest.mark.parametrize("kind", WAVEFORMS)
def test_features_are_the_logarithm_of_librosas_mel_spectrogram(kind, front_end):
    waveform = WAVEFORMS[kind].astype(np.float32)
    ours = log_mel(torch.from_numpy(waveform)[None], front_end)[0].numpy()
    np.testing.assert_allclose(ours, librosas(waveform, front_end), rtol=0, atol=1e-3)


def test_the_front_end_is_the_one_that_the_report_and_the_module_state():
    assert FRONT_END.describe() == {
        "window": 400,
        "hop": 160,
        "transform": 512,
        "bands": 40,
        "low_hz": 20.0,
        "high_hz": 8000.0,
        "offset": 1e-6,
    }


@pytest.mark.parametrize("clips", [1, 5])
def test_a_second_of_speech_is_101_frames_of_40_bands(clips):
    features = log_mel(random_waveforms(clips))
    assert features.shape == (clips, 101, 40)
    assert features.dtype == torch.float32


@both_front_ends
def test_mel_filters_are_librosas(front_end):
    theirs = librosa.filters.mel(
        sr=16_000, n_fft=front_end.transform, n_mels=front_end.bands, fmin=front_end.low_hz, fmax=front_end.high_hz
    )
    np.testing.assert_allclose(mel_filters(front_end).T.numpy(), theirs, rtol=1e-5, atol=1e-8)


def test_every_band_hears_at_least_two_bins():
    assert (mel_filters() > 0).sum(0).min() >= 2


@pytest.mark.parametrize("batch", [1, 3, 8, 15])
def test_a_clips_features_do_not_depend_on_how_many_share_its_batch(batch):
    waveforms = random_waveforms(16)
    parts = torch.cat([log_mel(part) for part in waveforms.split(batch)])
    assert torch.equal(parts, log_mel(waveforms))


def test_a_clips_features_do_not_depend_on_what_shares_its_batch():
    waveforms = random_waveforms(3)
    before = log_mel(waveforms)[1].clone()
    waveforms[0], waveforms[2] = 0, 1e20  # so loud that their own features overflow
    assert torch.equal(log_mel(waveforms)[1], before)


def test_a_clips_features_do_not_depend_on_its_place_in_the_batch():
    waveforms = random_waveforms(5)
    assert torch.equal(log_mel(waveforms.flip(0)).flip(0), log_mel(waveforms))


def test_the_waveforms_are_left_as_they_are():
    waveforms = random_waveforms(2)
    before = waveforms.clone()
    log_mel(waveforms)
    assert torch.equal(waveforms, before)


def test_silence_is_finite_and_the_least_there_is():
    features = log_mel(torch.zeros(1, SAMPLES))
    assert torch.equal(features, torch.full((1, 101, 40), 1e-6).log())
    assert log_mel(random_waveforms(4)).min() >= features.min()


def test_twice_the_amplitude_is_four_times_the_power():
    waveforms = random_waveforms(1) / 2
    difference = log_mel(2 * waveforms) - log_mel(waveforms)
    torch.testing.assert_close(difference, torch.full_like(difference, 4.0).log(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("hz", [250, 1000, 3000, 6000])
def test_a_tone_is_loudest_in_a_band_that_holds_its_frequency(hz):
    band = log_mel(torch.from_numpy(tone(hz).astype(np.float32))[None])[0, 10:-10].mean(0).argmax().item()
    edges = librosa.mel_frequencies(42, fmin=20, fmax=8000)
    assert edges[band] < hz < edges[band + 2]


@given(st.floats(0, 20_000))
def test_mel_to_hz_undoes_hz_to_mel(hz):
    assert mel_to_hz(hz_to_mel(hz)) == pytest.approx(hz, rel=1e-9, abs=1e-9)


@given(st.floats(0, 100))
def test_hz_to_mel_undoes_mel_to_hz(mel):
    assert hz_to_mel(mel_to_hz(mel)) == pytest.approx(mel, rel=1e-9, abs=1e-9)


@given(st.floats(0, 20_000))
def test_mels_are_librosas(hz):
    assert hz_to_mel(hz) == pytest.approx(librosa.hz_to_mel(hz), rel=1e-9, abs=1e-12)


@given(st.floats(0, 20_000), st.floats(0, 20_000))
def test_a_higher_frequency_has_no_fewer_mels(one, other):
    low, high = sorted((one, other))
    assert hz_to_mel(low) <= hz_to_mel(high) + 1e-12
