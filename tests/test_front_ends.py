"""Features of another front end are told from other recordings, though only one front end is recorded."""

from __future__ import annotations

import dataclasses
import math
import os

import numpy as np
import pytest
from commands import TRAIN, kws, ok, ok_json, refused, sql, state
from ledger import make_card
from recordings import write_folder

from kws.recipe import Recipe
from kws.registry.location import locate
from kws.reports.front_ends import Lowest, differing, doubt
from kws.speech import dataset
from kws.speech.front_end import FRONT_END

# Of the training splits of Speech Commands (yes, no and other) and of the built-in synthetic speech: the bands'
# averages, and all features' mean and standard deviation.
REAL = (
    [
        *(-7.67, -7.53, -7.83, -8.14, -8.39, -8.51, -8.63, -8.95, -9.18, -9.36, -9.63, -9.81, -9.95, -10.18),
        *(-10.30, -10.46, -10.54, -10.61, -10.64, -10.70, -10.82, -10.95, -11.06, -11.11, -11.11, -11.12, -11.21),
        *(-11.30, -11.35, -11.39, -11.48, -11.62, -11.73, -11.85, -11.95, -12.04, -12.11, -12.19, -12.41, -12.89),
    ],
    3.81,
)
SYNTHETIC = (
    [
        *(-3.63, -4.08, -4.32, -4.47, -4.71, -4.87, -5.04, -5.38, -5.60, -5.74, -5.98, -6.11, -6.19, -6.38),
        *(-6.41, -6.50, -6.55, -6.62, -6.66, -6.70, -6.75, -6.81, -6.88, -6.92, -6.95, -7.02, -7.14),
        *(-7.23, -7.24, -7.26, -7.35, -7.49, -7.63, -7.71, -7.81, -7.94, -8.01, -8.06, -8.11, -8.20),
    ],
    2.64,
)
# The same quantities of Speech Commands made quieter, louder, noisier and narrower: mean, standard deviation, and the
# slope of the bands' averages over those of the clips as they are.
ORDINARY = {
    "ten times quieter": (-12.6, 2.35, 0.56),
    "five times louder": (-8.0, 4.67, 1.15),
    "with white noise 40 dB below full scale": (-7.0, 1.97, 0.40),
    "of one word": (-10.2, 3.96, 1.34),
    "babble": (-6.1, 3.21, 1.40),
}
DECIBELS = 10 / math.log(10)


def card(means, std, *, recorded: bool, name: str = "other", turn=lambda value: value, scale: float = 1.0):
    turned = [turn(value) for value in means]
    return dataclasses.replace(
        make_card(name),
        front_end=FRONT_END.describe() if recorded else {},
        band_means=tuple(turned),
        mean=sum(turned) / len(turned),
        std=scale * std,
    )


def ordinary(mean, std, slope, *, recorded):
    centre = sum(REAL[0]) / 40
    floor = math.log(FRONT_END.offset)
    return card([max(mean + slope * (value - centre), floor) for value in REAL[0]], std, recorded=recorded)


@pytest.mark.parametrize("trained_on_recordings", [True, False])
@pytest.mark.parametrize("of", [REAL, SYNTHETIC], ids=["real", "synthetic"])
def test_other_recordings_raise_no_doubt(of, trained_on_recordings):
    run = card(*of, recorded=trained_on_recordings, name="run")
    for other in (REAL, SYNTHETIC):
        assert doubt(run, card(*other, recorded=not trained_on_recordings)) is None
    if of is REAL:
        for what, changed in ORDINARY.items():
            assert doubt(run, ordinary(*changed, recorded=not trained_on_recordings)) is None, what
        silence = Lowest(math.log(FRONT_END.offset), is_silence=True)
        assert doubt(card(*REAL, recorded=True, name="run"), card(*REAL, recorded=False), silence) is None


@pytest.mark.parametrize("trained_on_recordings", [True, False])
@pytest.mark.parametrize("of", [REAL, SYNTHETIC], ids=["real", "synthetic"])
def test_decibels_and_bands_in_another_order_do(of, trained_on_recordings):
    run = card(*of, recorded=trained_on_recordings, name="run")
    for means, std in (REAL, SYNTHETIC):
        other = {"recorded": not trained_on_recordings}
        assert doubt(run, card(means, std, **other, turn=lambda value: DECIBELS * value, scale=DECIBELS))
        assert "correlate" in doubt(run, card(means[::-1], std, **other))
        assert "correlate" in doubt(run, card(np.random.default_rng(0).permutation(means).tolist(), std, **other))
        assert "correlate" in doubt(run, card([1e-3 * (-1) ** k for k in range(40)], 1.0, **other))


@pytest.mark.parametrize("trained_on_recordings", [True, False])
def test_decimal_logarithms_and_samples_of_16_bits_do(trained_on_recordings):
    run = card(*REAL, recorded=trained_on_recordings, name="run")
    other = {"recorded": not trained_on_recordings}
    assert "spread" in doubt(run, card(*REAL, **other, turn=lambda value: value / math.log(10), scale=1 / math.log(10)))
    if trained_on_recordings:
        assert "never above 6" in doubt(run, card(*REAL, **other, turn=lambda value: value + 2 * math.log(32768)))


def test_the_lowest_features_tell_another_offset_where_there_is_silence_or_they_are_below_it():
    run, other = card(*REAL, recorded=True, name="run"), card(*REAL, recorded=False)
    for offset in (1e-10, 1e-7):
        assert "never below -13.82" in doubt(run, other, Lowest(math.log(offset), is_silence=False))
    for offset in (1e-5, 1e-3):
        assert "silence is at" in doubt(run, other, Lowest(math.log(offset), is_silence=True))
        assert doubt(run, other, Lowest(math.log(offset), is_silence=False)) is None  # as a quiet noise would be


def test_recorded_front_ends_are_compared_choice_by_choice():
    ours, theirs = (card(*REAL, recorded=True, name=name) for name in ("ours", "theirs"))
    assert differing(ours, theirs) == ()
    assert differing(ours, card(*REAL, recorded=False)) == ()
    theirs = dataclasses.replace(theirs, front_end={**FRONT_END.describe(), "offset": 1e-5, "bands": 64})
    assert differing(ours, theirs) == ("bands 64 instead of 40", "offset 1e-05 instead of 1e-06")


def test_of_an_older_registry_without_the_bands_averages_the_scale_is_known():
    run = dataclasses.replace(card(*REAL, recorded=True, name="run"), band_means=None)
    assert doubt(run, card(*REAL, recorded=False)) is None
    assert doubt(run, card(*REAL, recorded=False, turn=lambda value: DECIBELS * value, scale=DECIBELS))
    assert "spread" in doubt(run, card(*SYNTHETIC, recorded=False, scale=DECIBELS))


# From the clips to the warning

WORDS = {"yes": (12, 3, 3), "no": (12, 3, 3), "up": (12, 3, 3)}
TURNS = {
    "the same": lambda features: features,
    "decibels": lambda features: DECIBELS * features,
    "decimal logarithms": lambda features: features / np.log(10),
    "bands reversed": lambda features: features[:, :, ::-1],
    "a smaller offset": lambda features: np.log(np.maximum(np.exp(features) - 1e-6, 0) + 1e-10),
    "a larger offset": lambda features: np.log(np.exp(features) + 1e-4),
    "normalised": lambda features: (features - features.mean()) / features.std(),
}


def write_arrays(folder, loaded, turn):
    folder.mkdir()
    for split, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
        clips = loaded.splits[split]
        features = clips.features.numpy().astype(np.float64) * loaded.card.std + loaded.card.mean
        for kind, array in (("X", turn(features).astype(np.float32)), ("Y", clips.labels.numpy())):
            with (folder / f"{kind}_{name}.p").open("wb") as file:
                np.save(file, array)


@pytest.fixture(scope="module")
def made(tmp_path_factory, new_place):
    """A run on short recordings, which are padded with silence, and their features as arrays in several ways."""
    folder, db = tmp_path_factory.mktemp("front_ends"), new_place()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        task = write_folder(folder / "task", WORDS)
        ok_json(*TRAIN, "--data", task, "--epochs", 1, "--db", db)
        loaded = dataset.load(str(task), Recipe.of(arch="fc", opt="sgd").task)
        for name, turn in TURNS.items():
            write_arrays(folder / name.replace(" ", "_"), loaded, turn)
    return folder, db


@pytest.mark.parametrize("name", TURNS)
def test_arrays_of_another_front_end_are_evaluated_with_a_warning(made, monkeypatch, name):
    folder, db = made
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    arrays = folder / name.replace(" ", "_")
    result = kws("eval", "last", "--data", arrays, "--db", db)
    assert result.exit_code == 0, result.stderr
    warned = f"WARNING: {arrays.name} does not look like features of run" in result.stderr
    assert warned == (name != "the same"), result.stderr
    assert (ok_json("eval", "last", "--data", arrays, "--db", db)["front_end_doubt"] is not None) == warned
    assert f"how many of these {27 // 3} clips it was trained on is not known" in ok(
        "eval", "last", "--data", arrays, "--db", db
    )


@pytest.mark.parametrize("name", ["the same", "decibels", "bands reversed"])
def test_recordings_are_evaluated_with_a_warning_by_a_run_on_such_arrays(made, monkeypatch, name):
    folder, _ = made
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    ok_json(*TRAIN, "--data", folder / name.replace(" ", "_"), "--epochs", 1)
    result = kws("eval", "last", "--data", folder / "task")
    assert result.exit_code == 0, result.stderr
    assert ("does not look like features of run" in result.stderr) == (name != "the same")


def test_a_front_end_that_is_recorded_as_another_one_is_refused(made, monkeypatch):
    folder, _ = made
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    ok_json(*TRAIN, "--data", folder / "task", "--epochs", 1)
    place = locate(os.environ["KWS_DB"])
    sql(place, "UPDATE data SET front_end = replace(front_end, '1e-06', '1e-05')")
    before = state(place)
    assert "made in another way than those that run" in refused("eval", "last", "--data", folder / "task")
    assert "(offset 1e-06 instead of 1e-05)" in refused("eval", "last", "--data", folder / "task")
    assert state(place) == before
