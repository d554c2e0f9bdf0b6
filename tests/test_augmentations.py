"""Augmentations of features, held to the same done to waveforms, whose features are then computed anew."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from short import data_of, split_of, up_to
from sounds import write_task

from kws.errors import RecipeError
from kws.recipe import Recipe
from kws.recipe.parts import AUGMENTATION
from kws.speech import noise, noise_power
from kws.speech.features import log_mel
from kws.training import checkpoints, loop, weights
from kws.training.augmentations import gain, speed
from kws.training.augmentations import noise as mixing
from kws.training.augmenting import Scale

SCALE = Scale(mean=-8.0, std=3.0, offset=1e-6)
TIME_S = np.arange(16_000) / 16_000


@cache
def voices(clips: int, seed: int = 0) -> np.ndarray:
    """Seconds of sound (N, S) like a word: a falling tone's overtones, in the middle of quiet noise."""
    random = np.random.default_rng(seed)
    pitch = random.uniform(60, 80, (clips, 1)) * (1.2 - 0.4 * TIME_S)
    phase = 2 * np.pi * np.cumsum(pitch, axis=1) / 16_000
    tone = sum(np.sin(k * phase) / k for k in range(3, 60))
    loud = np.exp(-(((TIME_S - 0.5) / random.uniform(0.1, 0.2, (clips, 1))) ** 2))
    return (0.1 * tone * loud + 3e-5 * random.standard_normal((clips, 16_000))).astype(np.float32)


def features_of(waveforms: np.ndarray) -> torch.Tensor:
    return (log_mel(torch.from_numpy(np.ascontiguousarray(waveforms, np.float32))) - SCALE.mean) / SCALE.std


def rms(difference: torch.Tensor) -> float:
    return float(difference.double().square().mean().sqrt())


def augmented(name: str, features: torch.Tensor, *prepared: object, seed: int = 0, **options: object) -> torch.Tensor:
    torch.manual_seed(seed)
    part = AUGMENTATION.part(name)
    return part.load().augment(features, part.config(**options), *prepared)


@pytest.fixture(scope="module")
def hiss(tmp_path_factory) -> Path:
    """Recordings of noise: two below 2 kHz, and the two that nothing is trained on, above 6 kHz."""
    folder = tmp_path_factory.mktemp("noise") / noise.NOISE
    folder.mkdir()
    random = np.random.default_rng(3)
    for name, low, high in (
        ("tap", 100, 2000), ("wind", 100, 1000), ("pink_noise", 6000, 7900), ("Exercise_Bike", 6000, 7900)
    ):  # fmt: skip
        spectrum = np.fft.rfft(random.standard_normal(3 * 16_000))
        hz = np.fft.rfftfreq(3 * 16_000, 1 / 16_000)
        spectrum[(hz < low) | (hz > high)] = 0
        sound = np.fft.irfft(spectrum)
        soundfile.write(folder / f"{name}.wav", 0.1 * sound / sound.std(), 16_000, subtype="FLOAT")
    return folder


@pytest.fixture
def prepared(hiss, tmp_path) -> mixing.Prepared:
    return mixing.Prepared(SCALE, noise_power.load(str(hiss), str(tmp_path), 101))


ON = {
    "speed": {"speed_change": 0.1},
    "shift": {"shift_frames": 10},
    "noise": {"noise": "dataset"},
    "gain": {"gain_db": 6.0},
    "spec_augment": {"mask_bands": 8, "mask_frames": 20},
}


def further(name: str, prepared: mixing.Prepared) -> tuple[object, ...]:
    return {"noise": (prepared,), "gain": (SCALE,)}.get(name, ())


# Gain


@pytest.mark.parametrize("decibels", [-20.0, -6.0, 6.0, 20.0])
def test_a_gain_of_features_is_that_of_the_waveform(decibels):
    sound = voices(8)
    found = gain.amplified(features_of(sound), torch.full((8,), decibels), SCALE)
    wanted = features_of(sound * np.float32(10 ** (decibels / 20)))
    assert (found - wanted).abs().max() < 1e-3
    assert rms(features_of(sound) + decibels / 10 * np.log(10) / SCALE.std - wanted) > 0.01  # the offset matters


def test_gains_are_drawn_evenly_up_to_so_many_decibels_either_way():
    features = features_of(0.3 * np.sin(2 * np.pi * 1000 * TIME_S)[None]).expand(400, -1, -1).contiguous()
    at = features[0, 50].argmax()
    louder = augmented("gain", features, SCALE, gain_db=6.0)[:, 50, at] - features[:, 50, at]
    decibels = louder * SCALE.std * 10 / np.log(10)
    assert -6 <= decibels.min() < -5.8
    assert 5.8 < decibels.max() <= 6
    assert abs(decibels.mean()) < 0.6


# Speed


@pytest.mark.parametrize("factor", [0.8, 0.88, 1.15, 1.25])
def test_a_faster_clip_is_that_of_a_waveform_that_was_resampled(factor):
    sound = voices(8)
    resampled = []
    for each in sound:
        made = soxr.resample(each, 16_000 * factor, 16_000, quality="VHQ")
        more = max(len(made) - 16_000, 0) // 2
        less = max(16_000 - len(made), 0)
        resampled.append(np.pad(made, (less // 2, less - less // 2))[more : more + 16_000])
    bands = slice(0, int(40 * min(factor, 1)) - 1)  # a slower clip has nothing above
    heard = slice(10, 91)  # a faster one has nothing outside
    before, wanted = features_of(sound)[:, heard, bands], features_of(np.stack(resampled))[:, heard, bands]
    found = speed.at_speeds(features_of(sound), torch.full((8,), factor))[:, heard, bands]
    assert rms(found - wanted) < 0.55 * rms(before - wanted)


def test_a_clip_at_its_own_speed_is_itself():
    features = torch.randn(3, 101, 40)
    assert (speed.at_speeds(features, torch.ones(3)) - features).abs().max() < 1e-4


def test_what_comes_in_beside_a_faster_clip_is_its_quietest_frame():
    features = torch.randn(2, 101, 1) + torch.zeros(2, 101, 40)  # the same in all bands
    features[:, 30] = -9.0
    faster = speed.at_speeds(features, torch.tensor([2.0, 1.0]))
    assert torch.equal(faster[0, :25], torch.full((25, 40), -9.0))
    assert torch.equal(faster[0, -25:], torch.full((25, 40), -9.0))


def test_features_are_augmented_in_fp32_in_bfloat16s_recipes_too():
    seen = {}
    for precision in ("fp32", "bf16"):
        recipe = Recipe.of(arch="fc", opt="sgd", batch_size=4, speed_change=0.2, precision=precision)
        torch.manual_seed(1)
        training = loop.Training.begin(recipe, 3)
        training.model.register_forward_pre_hook(lambda _, given, kept=precision: seen.update({kept: given[0].clone()}))
        loop.step(training.model, training.optimizer, split_of(4, seed=0), torch.arange(4), recipe)
    assert seen["bf16"].dtype == torch.float32
    assert torch.equal(seen["fp32"], seen["bf16"])


def test_speeds_are_drawn_evenly_up_to_so_much_either_way():
    ramp = torch.arange(101.0).view(1, -1, 1).expand(400, -1, 40).contiguous()
    moved = augmented("speed", ramp, speed_change=0.2)
    speeds = (moved[:, 60, 0] - moved[:, 40, 0]) / 20
    assert 0.8 <= speeds.min() < 0.81
    assert 1.19 < speeds.max() <= 1.2001
    assert abs(speeds.mean() - 1) < 0.02


# Noise


@pytest.mark.parametrize("ratio", [0.0, 10.0, 20.0])
def test_mixed_features_are_those_of_mixed_waveforms_at_the_ratio_asked(hiss, prepared, ratio):
    """Each clip is mixed with the same second, as a waveform, at that ratio of mean squares."""
    files, _ = noise.recordings(str(hiss), str(hiss))
    clips, seconds = voices(8), torch.arange(0, 160, 20)
    recording = soundfile.read(files[0], dtype="float32")[0]
    drawn = np.stack([recording[160 * int(at) :][:16_000] for at in prepared.noise.starts[seconds]])
    scale = np.sqrt(np.square(clips).mean(1) / np.square(drawn).mean(1) / 10 ** (ratio / 10))
    wanted = features_of(clips + scale[:, None] * drawn)
    found = mixing.mixed(features_of(clips), seconds, torch.full((8,), ratio), prepared)
    inner = slice(2, 99)  # the ends of a second that is cut out are mirrored, those of a longer recording are not
    assert rms((found - wanted)[:, inner]) < 0.15 * rms((features_of(clips) - wanted)[:, inner])
    assert abs((found - wanted)[:, inner].mean()) < 0.01


def test_ratios_and_shares_are_those_asked(prepared):
    loud = features_of(voices(1)).expand(400, -1, -1).contiguous()
    power = SCALE.power(loud)
    mixed = augmented("noise", loud, prepared, noise="dataset", noise_snr=(5.0, 15.0), noise_share=0.5)
    added = noise_power.mean_power(SCALE.power(mixed) - power)
    noisy = (mixed != loud).flatten(1).any(1)
    assert 160 < noisy.sum() < 240
    assert torch.equal(mixed[~noisy], loud[~noisy])
    ratios = 10 * (noise_power.mean_power(power - SCALE.offset)[noisy] / added[noisy]).log10()
    assert 4.9 < ratios.min() < 5.3
    assert 14.7 < ratios.max() < 15.1


def test_exercise_bike_and_pink_noise_are_never_heard(hiss, prepared):
    """They are the only ones with anything above 6 kHz, which would be seen in the upper bands."""
    high = features_of(0.1 * soundfile.read(hiss / "pink_noise.wav")[0][None, :16_000])[:, :, 37:].mean()
    clips = features_of(1e-2 * voices(1)).expand(300, -1, -1).contiguous()
    mixed = augmented("noise", clips, prepared, noise="dataset", noise_snr=(-20.0, -20.0), noise_share=1.0)
    assert (mixed[:, :, :15].mean((1, 2)) > clips[0, :, :15].mean() + 1).all()  # all of them got noise
    assert (mixed[:, :, 37:] - clips[:, :, 37:]).max() < 0.2 < high - clips[:, :, 37:].mean()
    assert len(prepared.noise.frames) == 2 * 301


def test_seconds_lie_within_a_recording_and_short_ones_are_repeated(tmp_path):
    tone = 0.1 * np.sin(2 * np.pi * 1000 * TIME_S)
    soundfile.write(tmp_path / "a.wav", np.tile(tone, 2), 16_000)
    soundfile.write(tmp_path / "b.wav", tone[:4000], 16_000)
    soundfile.write(tmp_path / "c.wav", np.zeros(20_000), 16_000)
    found = noise_power.load(str(tmp_path), str(tmp_path), 101)
    assert sorted(len(each) for each in (found.frames, found.starts)) == [102, 201 + 101 + 126]
    expected = noise_power.mean_power(log_mel(torch.from_numpy(tone[None].astype(np.float32))).exp())
    assert found.power / expected == pytest.approx(np.ones(102), rel=0.02)


def test_long_recordings_of_any_rate_are_read_to_their_end(tmp_path):
    soundfile.write(tmp_path / "a.flac", 0.1 * np.random.default_rng(0).standard_normal((8_000 * 125, 2)), 8_000)
    found = noise_power.load(str(tmp_path), str(tmp_path), 101)
    assert len(found.frames) == 6001 + 6001 + 501
    assert found.frames[:, :20].mean() > 1000 * found.frames[:, 35:].mean()  # nothing above 4 kHz


# All of them


@pytest.mark.parametrize("name", ON)
def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads(name, prepared):
    features = torch.randn(150, 101, 40)
    before, threads = features.clone(), torch.get_num_threads()
    found = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(augmented(name, features, *further(name, prepared), seed=4, **ON[name]))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], augmented(name, features, *further(name, prepared), seed=5, **ON[name]))
    assert torch.equal(features, before)
    assert found[0].isfinite().all()


def test_with_all_of_them_a_training_goes_on_to_the_same_bits(hiss, tmp_path):
    options = {key: value for each in ON.values() for key, value in each.items()} | {"noise": str(hiss)}
    recipe = Recipe.of(arch="fc", opt="adam", epochs=3, batch_size=8, data=str(write_task(tmp_path)), **options)
    train, validation = split_of(16), split_of(6)
    loaded = data_of(train)

    whole = up_to(3, recipe, train, validation, loaded)
    kept = checkpoints.to_bytes(up_to(1, recipe, train, validation, loaded))
    torch.manual_seed(99)
    fresh = up_to(0, recipe, train, validation, loaded)
    checkpoints.restore(fresh, kept)
    list(loop.fit(fresh, train, validation, recipe))
    assert weights.to_bytes(fresh.model) == weights.to_bytes(whole.model)
    for options in ({"speed_change": 0.0}, {"shift_frames": 0}, {"gain_db": 0.0}, {"mask_bands": 0}, {"noise": "none"}):
        without = recipe.changed(**options)  # each of them changed something
        other = up_to(3, without, train, validation, loaded)
        assert weights.to_bytes(other.model) != weights.to_bytes(whole.model)


@pytest.mark.parametrize(
    ("option", "text", "told"),
    [
        ("gain_db", "61", "`gain_db` (=61.0) must be from 0 to 60 dB"),
        ("speed_change", "1", "`speed_change` (=1.0) must be at least 0 and below 1"),
        ("noise", " ", "`noise` (='') must be none, dataset, builtin, or a folder of recordings of noise"),
        ("noise_snr", "loud", "`noise_snr` (='loud') must be two numbers of dB, as in --noise-snr 0,20"),
        ("noise_snr", "20:0", "`noise_snr` (=20,0) must be the least dB and the most, from -100 to 100, as in 0,20"),
        ("noise_snr", "5", "`noise_snr` (=5) must be the least dB and the most, from -100 to 100, as in 0,20"),
        ("noise_share", "0", "`noise_share` (=0.0) must be above 0 and at most 1"),
    ],
)
def test_values_that_cannot_be_are_refused(option, text, told):
    from kws.recipe import parse

    with pytest.raises(RecipeError) as refused:
        Recipe.of(arch="fc", opt="sgd", **{option: parse(option, text)})
    assert str(refused.value) == told
    assert Recipe.of(arch="fc", opt="sgd", noise_snr=parse("noise_snr", "-5:5")).noise_snr == (-5.0, 5.0)
