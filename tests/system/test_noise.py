"""Which recordings of noise a recipe names: a digest of their content is part of it, wherever a recipe is trained."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import kws, ok_json, refused
from made_up import part
from sounds import write_task

from kws.errors import DataError
from kws.recipe import KINDS, Recipe
from kws.registry.reader import RegistryReader
from kws.speech import builtin_noise, noise, synthetic_noise
from kws.sweeps.trainer import Trainer, WorkerConfig, as_task, carry_out
from kws.training import profile

AUGMENTATION = next(kind for kind in KINDS if kind.name == "augmentation")
ALL = ["--noise", "dataset", "--gain-db", "6", "--speed-change", "0.1", "--shift-frames", "5", "--mask-bands", "4"]
NEEDS = '''"""Needs: the data set's mean."""

from dataclasses import dataclass

from kws.recipe import option


@dataclass(frozen=True, kw_only=True)
class Config:
    times: float = option(0.0, "How often it is added.", absent=0.0)


def prepare(config, recipe, loaded):
    return loaded.card.mean + recipe.seed


def augment(features, config, mean=None):
    return features + config.times * mean if config.times else features
'''


def add_noise(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for at, name in enumerate(names):
        sound = 0.1 * np.random.default_rng(at).standard_normal(20_000)
        soundfile.write(folder / f"{name}.wav", sound, 16_000, subtype="PCM_16")
    return folder


@pytest.fixture
def task(tmp_path, monkeypatch) -> Path:
    """A small task with two recordings of noise, and two that nothing is trained on."""
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KWS_DB", str(tmp_path / "runs.db"))
    folder = write_task(tmp_path / "task")
    add_noise(folder / noise.NOISE, "tap", "wind", "pink_noise", "exercise_bike")
    return folder


def short(task: Path) -> list[str]:
    about = "--arch fc --opt sgd --epochs 2 --batch-size 16 --threads 1"
    return [*about.split(), "--data", str(task)]


def test_names_and_order_do_not_count_and_neither_do_recordings_that_nothing_is_trained_on(task):
    value = noise.pinned("dataset", str(task))
    assert value.startswith("dataset@")
    folder = task / noise.NOISE
    (folder / "tap.wav").rename(folder / "zzz.wav")
    (folder / "pink_noise.wav").write_bytes(b"other")
    (folder / "Exercise_Bike.FLAC").write_bytes(b"more")
    assert noise.pinned("dataset", str(task)) == value
    files, _ = noise.recordings(value, str(task))
    assert sorted(Path(file).name for file in files) == ["wind.wav", "zzz.wav"]
    shutil.copy(folder / "zzz.wav", folder / "again.wav")
    assert noise.pinned("dataset", str(task)) != value


def test_a_folder_and_those_below_it_are_named_from_the_root(task, tmp_path, monkeypatch):
    add_noise(tmp_path / "more" / "below", "tap")
    add_noise(tmp_path / "more" / ".hidden", "wind")
    monkeypatch.chdir(tmp_path)
    value = noise.pinned("more", str(task))
    assert value.startswith(f"{tmp_path}/more@")
    (file,) = noise.recordings(value, str(task))[0]
    assert file.endswith("below/tap.wav")
    assert noise.pinned(value, "nowhere") == value


def test_only_recipes_with_noise_are_changed(task):
    recipes = [Recipe.of(arch="fc", opt="sgd", data=str(task), noise=value) for value in ("none", "dataset")]
    without, with_noise = noise.of_recipes(recipes)
    assert without is recipes[0]
    assert with_noise == recipes[1].changed(noise=noise.pinned("dataset", str(task)))
    assert with_noise.cell not in (recipes[0].cell, recipes[1].cell)


def test_other_recordings_in_the_same_place_are_another_recipe_and_no_run_goes_on_with_them(task):
    run = ok_json("train", *ALL, *short(task))["run"]
    value = ok_json("runs", "show", run)["recipe"]["noise"]
    assert value == noise.pinned("dataset", str(task))
    assert ok_json("rerun", run)["same"]
    (planned,) = ok_json("sweep", *ALL, *short(task), "--dry-run")["runs"]
    assert (planned["run"], planned["status"]) == (run, "finished")

    add_noise(task / noise.NOISE, "tap", "wind", "third")
    (planned,) = ok_json("sweep", *ALL, *short(task), "--dry-run")["runs"]
    assert (planned["run"], planned["status"]) == (None, "new")
    now = noise.pinned("dataset", str(task)).partition("@")[2]
    told = f"`noise` (={value}) names other recordings than those that are there now ({now}); put those back, or"
    assert told in kws("rerun", run).stderr
    again = ok_json("train", *ALL, *short(task))["run"]
    assert ok_json("runs", "diff", run, again)["differ"]["noise"] == [value, f"dataset@{now}"]


def test_what_a_sweep_or_a_cluster_trains_is_what_train_trains(task, tmp_path):
    """Their processes get recipes as plain values, and refuse recordings that are not those of the plan."""
    run = ok_json("train", *ALL, *short(task))["run"]
    with RegistryReader(tmp_path / "runs.db") as registry:
        recipe, epochs = registry.by_id(run).recipe, registry.epochs(run)
    trainer = Trainer(WorkerConfig.here(tmp_path / "elsewhere.db", skip_unreadable=False))
    again = carry_out(trainer, as_task(recipe, do="train"))
    assert again["status"] == "finished"
    with RegistryReader(tmp_path / "elsewhere.db") as registry:
        assert [each.train_loss for each in registry.epochs(again["run"])] == [each.train_loss for each in epochs]
    (task / noise.NOISE / "tap.wav").unlink()
    told = carry_out(trainer, as_task(recipe.changed(seed=1), do="train"))
    assert (told["status"], "names other recordings than those" in told["error"]) == ("failed", True)


def test_a_search_draws_among_recipes_with_the_noise_that_is_there(task):
    pytest.importorskip("optuna", reason='Optuna is not installed: pip install "kws[tune]"')
    from kws.cli import tune, tuning

    given = {"arch": "fc", "data": str(task), "noise": "dataset", "noise_share": "0.5:1"}
    with pytest.MonkeyPatch.context() as patch:
        asked = []
        patch.setattr(tuning, "run", lambda **about: asked.append(about))
        tune.tune(context=None, **given)
    (about,) = asked
    space = tuning._space(about["arch"], about["opts"], about["ranges"], about["fixed"])
    assert space.fixed["noise"] == noise.pinned("dataset", str(task))
    assert "noise_share" in space.searched


def test_data_without_noise_is_refused_in_a_sentence(task, tmp_path):
    else_ = (
        "take noise that is made up: --noise builtin; or name a folder of recordings of noise, as in --noise "
        "path/to/noise, or train without: --noise none"
    )
    shutil.rmtree(task / noise.NOISE)
    about = ["train", *short(task), "--noise"]
    assert refused(*about, "dataset") == f"kws: {task} has no folder _background_noise_; {else_}"
    assert refused(*about, "/nowhere") == f"kws: there is no folder /nowhere; {else_}"
    only = add_noise(tmp_path / "only", "pink_noise")
    never = "(exercise_bike and pink_noise may not)"
    assert refused(*about, only) == f"kws: {only} holds no recordings that may be trained on {never}; {else_}"
    assert refused("sweep", *short(task), "--noise", "/nowhere", "--dry-run").endswith(else_)
    (only / "silence.wav").write_bytes(b"")
    assert "silence.wav cannot be read as audio" in kws(*about, only).stderr
    soundfile.write(only / "silence.wav", np.zeros(20_000), 16_000)
    assert "are silent; name others" in kws(*about, only).stderr
    assert not (tmp_path / "runs.db").exists()


def test_the_built_in_speech_has_noise_of_four_colours_the_same_everywhere(tmp_path):
    made = synthetic_noise.folder(tmp_path)
    sounds = {file.stem: soundfile.read(file, dtype="int16") for file in sorted(made.iterdir())}
    assert {(rate, len(sound)) for sound, rate in sounds.values()} == {(16_000, 480_000)}
    high = []
    for name in ("white", "mean_of_4", "mean_of_16", "mean_of_64"):
        sound = sounds[name][0].astype(float)
        assert np.abs(sound).mean() == pytest.approx(2000, rel=0.01)
        power = np.square(np.abs(np.fft.rfft(sound)))
        high.append(power[len(power) // 4 :].sum() / power.sum())
    assert high == sorted(high, reverse=True) and high[0] > 0.7 and high[-1] < 0.1
    content = hashlib.sha256(b"".join(sound.tobytes() for sound, _ in sounds.values())).hexdigest()[:16]
    assert content == "7f837508b483125e"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache with the built-in noise, which takes a second to make."""
    cache = tmp_path_factory.mktemp("noise")
    return cache, builtin_noise.folder(cache)


def test_built_in_noise_is_the_same_bytes_everywhere_and_differs_in_colour_and_course(made):
    sounds = {file.stem: soundfile.read(file) for file in sorted(made[1].iterdir())}
    assert {*sounds} == {"white", "brown", "wind", "hum", "clatter", "murmur"}
    assert {(rate, len(sound)) for sound, rate in sounds.values()} == {(16_000, 480_000)}
    content = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(made[1].iterdir()))).hexdigest()[:16]
    assert content == "44f3317e2ebd5034", "another NAME for other bytes"
    high, swings = {}, {}
    for name, (sound, _) in sounds.items():
        assert 0.1 < np.abs(sound).max() < 1
        power = np.square(np.abs(np.fft.rfft(sound)))
        high[name] = power[len(power) // 4 :].sum() / power[len(power) // 80 :].sum()  # above 2 kHz, of above 100 Hz
        loud = 10 * np.log10(np.square(sound.reshape(-1, 1600)).mean(axis=1))  # of tenths of a second
        swings[name] = loud.std()
    assert high["brown"] < 0.2 < high["murmur"] < high["white"] and high["hum"] < 0.1
    assert swings["white"] < 0.5 and min(swings["wind"], swings["murmur"]) > 1 and swings["clatter"] > 3


def test_clips_without_recordings_of_noise_are_trained_with_noise_that_is_made_up(task, made, monkeypatch, tmp_path):
    monkeypatch.setenv("KWS_CACHE", str(made[0]))
    shutil.rmtree(task / noise.NOISE)
    (tmp_path / "builtin").mkdir()
    monkeypatch.chdir(tmp_path)
    run = ok_json("train", *short(task), "--noise", "builtin")["run"]
    recipe = ok_json("runs", "show", run)["recipe"]
    assert recipe["noise"] == noise.pinned("builtin", str(task)) == f"builtin@{noise.recordings_in(made[1], '')[1]}"
    assert ok_json("rerun", run)["same"]
    assert refused("train", *short(task), "--noise", "dataset").startswith(f"kws: {task} has no folder")
    assert "holds no recordings" in refused("train", *short(task), "--noise", "./builtin")


@pytest.mark.parametrize("option", [["--gain-db", "6"], ["--speed-change", "0.1"]])
def test_what_needs_to_know_how_features_were_made_is_not_for_arrays(task, tmp_path, option):
    folder = tmp_path / "course"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        arrays = {
            f"X_{split}.p": np.random.default_rng(0).normal(-5, 3, (6, 101, 40)),
            f"Y_{split}.p": np.eye(3)[[0, 1, 2] * 2],
        }
        for name, array in arrays.items():
            (folder / name).write_bytes(pickle.dumps(array))
    told = kws("train", *short(folder), *option).stderr
    assert (
        f"`{option[0][2:].replace('-', '_')}` (={option[1]}) needs features that kws made of recordings, and " in told
    )
    assert "holds arrays; leave " in told
    with pytest.raises(DataError, match=r"noise can be mixed with recordings only, and .* holds arrays; train without"):
        noise.pinned("dataset", str(folder))
    assert ok_json("train", *short(folder), "--shift-frames", "5")["status"] == "finished"


def test_an_augmentation_may_prepare_something_of_the_data_set(task, tmp_path):
    with part(AUGMENTATION, "needs", NEEDS, tmp_path):
        losses = []
        for times in ("0", "0.5", "0.5"):
            run = ok_json("train", *short(task), "--set", f"times={times}")["run"]
            losses.append([each["train_loss"] for each in ok_json("runs", "show", run)["epochs"]])
        assert losses[0] != losses[1] == losses[2]
        recipe = Recipe.of(arch="fc", opt="sgd", times=1.0)
        assert profile.clips_per_second(recipe, clips=8, repeats=1) > 0  # on random clips, without it
