"""Presets: each is a recipe of the size that it promises, a starting point and no more than that."""

from __future__ import annotations

import shlex
import shutil
import tomllib
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from commands import kws, ok, ok_json, refused
from places import ROOT

from kws import architectures
from kws.recipe import Recipe, own_options
from kws.recipe.presets import name_of, preset, presets
from kws.registry.reader import RegistryReader
from kws.reports.scope import is_of_the_report

EACH = [*presets().values()]
IDS = [*presets()]
MOST = {"small": 10_000, "best": 70_000, "large": 350_000}  # parameters


def recipe_of(words: list[str]) -> Recipe:
    """The recipe that these words make of `kws train`, as it is recorded."""
    shown = ok_json("train", *words, "--show")["recipe"]
    return Recipe.of(**{name: tuple(each) if isinstance(each, list) else each for name, each in shown.items()})


@pytest.mark.parametrize("each", EACH, ids=IDS)
def test_a_preset_is_a_recipe_that_says_what_it_is_for_and_how_it_was_found(each):
    assert each.recipe.values.items() >= each.options.items()
    assert each.title and len(each.title) < 65
    assert each.purpose.endswith(".") and each.found.endswith(".")
    assert isinstance(each.trials, int) and each.trials >= 0


@pytest.mark.parametrize("each", EACH, ids=IDS)
def test_a_preset_leaves_seed_data_and_bits_to_who_trains_it(each):
    assert not each.options.keys() & {"speakers", *(own.name for own in own_options() if own.role or own.bits)}


@pytest.mark.parametrize("name", MOST)
def test_a_preset_has_fewer_parameters_than_it_promises(name):
    model = architectures.build(preset(name).recipe, classes=3)
    assert 0 < sum(each.numel() for each in model.parameters()) < MOST[name]


def test_the_files_are_part_of_the_package():
    there = {each.name.removesuffix(".toml") for each in files("kws.recipe.presets").iterdir() if "toml" in each.name}
    assert there == {*IDS}
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert build["tool"]["hatch"]["build"]["targets"]["wheel"] == {"packages": ["kws"]}  # which leaves nothing out


def test_the_reports_preset_is_the_cell_of_the_committed_runs(tmp_path):
    with RegistryReader(Path(shutil.copy(ROOT / "experiments.db", tmp_path / "copy.db"))) as registry:
        of_the_report = [run.recipe for run in registry.runs() if is_of_the_report(run.recipe)]
    cells = {recipe.cell for recipe in of_the_report if (recipe.arch, recipe.opt) == ("cnn", "adam")}
    assert cells == {preset("report").recipe.cell}
    assert preset("report").recipe.cell == Recipe.of(arch="cnn", opt="adam").cell
    assert preset("gru-report").recipe.cell == Recipe.of(arch="gru", opt="adam").cell


@pytest.mark.parametrize("each", EACH, ids=IDS)
def test_a_recipe_has_its_presets_name_by_its_values_whatever_its_seed_data_task_and_bits(each):
    assert name_of(each.recipe) == each.name
    assert name_of(replace(each.recipe, seed=7, data="elsewhere", threads=3)) == each.name
    assert name_of(each.recipe.changed(words=("up", "down"))) == each.name
    assert name_of(each.recipe.changed(epochs=each.recipe.epochs + 1)) is None


def test_a_recipe_keeps_its_presets_name_with_any_recordings_of_the_data_sets_noise():
    recipe = preset("best").recipe
    assert recipe.noise == "dataset"
    assert name_of(recipe.changed(noise="dataset@0123456789ab")) == "best"
    assert name_of(recipe.changed(noise="/elsewhere@0123456789ab")) is None
    assert name_of(recipe.changed(noise="none")) is None


def test_no_two_presets_are_the_same_recipe():
    assert len({each.recipe.cell for each in EACH}) == len(EACH)


# On the command line


@pytest.mark.parametrize("name", IDS)
def test_a_preset_and_the_command_that_it_shows_make_the_same_recipe(name):
    shown = ok_json("train", "--preset", name, "--show")
    assert shown["preset"] == name
    assert shown["starts_from"]["trials"] == preset(name).trials
    assert shown["cell"] == preset(name).recipe.cell
    program, command, *words = shlex.split(shown["command"])
    assert (program, command) == ("kws", "train")
    assert "--preset" not in words
    assert recipe_of(words) == recipe_of(["--preset", name])
    assert recipe_of(words).cell == shown["cell"]


def test_what_is_typed_beside_a_preset_overrides_it_and_makes_it_a_recipe_of_its_own():
    for words in (["--epochs", "5"], ["--set", "epochs=5"]):
        shown = ok_json("train", "--preset", "best", *words, "--show")
        assert shown["recipe"] == ok_json("train", "--preset", "best", "--show")["recipe"] | {"epochs": 5}
        assert (shown["preset"], shown["starts_from"]["name"]) == (None, "best")
    shown = ok("train", "--preset", "best", "--epochs", "5", "--seed", "3", "--show")
    assert "no longer the preset best, but a recipe of its own" in shown
    assert "--epochs 5" in shown.splitlines()[-1] and "--seed 3" in shown.splitlines()[-1]


def test_another_part_beside_a_preset_leaves_out_what_only_the_presets_had():
    made = recipe_of(["--preset", "best", "--arch", "fc", "--schedule", "constant"])
    assert made == preset("best").recipe.changed(arch="fc", schedule="constant", micro_batch_size=made.micro_batch_size)
    assert not {"width", "depth", "tau", "warm_up"} & {name for name, each in made.values.items() if each is not None}


def test_an_option_that_a_presets_network_does_not_have_is_refused():
    said = refused("train", "--preset", "gru-report", "--channels", "2,1")
    assert "`channels` (=2,1) is not for gru" in said


def test_without_a_preset_a_network_and_an_optimizer_are_needed_as_ever():
    assert "--arch" in refused("train", "--opt", "adam", code=2)
    assert "--opt" in refused("train", "--arch", "cnn", code=2)
    for command in ("summary", "bench", "tune"):
        assert "--arch" in refused(command, code=2)


def test_a_wrong_name_lists_the_presets_and_so_does_the_help():
    said = refused("train", "--preset", "bset", code=2)
    assert all(f"'{name}'" in said for name in IDS)
    assert all(f"{each.name:<12} {each.title}" in ok("train", "--help") for each in EACH)
    assert "must be one or several of report, fast" in refused("sweep", "--preset", "bset,fast", "--dry-run")


def test_showing_a_recipe_trains_nothing(tmp_path):
    shown = ok("train", "--preset", "small", "--show")
    assert shown.startswith(f"small: {preset('small').title}\n")
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_gone_on_with_takes_no_preset(db):
    from ledger import cut_off

    from kws.registry.store import Registry

    with Registry(db, create=True) as registry:
        cut_off(registry)
    assert "--preset is for a new run" in refused("train", "--resume", "last", "--preset", "best")


def test_summary_describes_a_presets_network():
    found = ok_json("summary", "--preset", "small")
    assert found["arch"] == preset("small").recipe.arch
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"] < MOST["small"]


# Sweeps and searches


def planned(*words: object) -> list[dict]:
    return ok_json("sweep", *words, "--dry-run")["runs"]


def test_a_sweep_of_presets_trains_each_at_every_seed():
    runs = planned("--preset", "small,best", "--seeds", "3,4", "--epochs", "2")
    assert [(run["arch"], run["seed"], run["epochs"]) for run in runs] == [
        ("tc_resnet", seed, 2) for seed in (3, 4)
    ] * 2
    said = kws("sweep", "--preset", "small,best", "--dry-run").stderr
    assert "small, seed 0: new" in said and "best, seed 0: new" in said
    assert len(planned("--preset", "small", "--learning-rate", "0.001,0.01")) == 2


def test_an_option_of_a_sweep_goes_to_the_presets_that_can_take_it():
    said = kws("sweep", "--preset", "report,gru-report", "--channels", "2,1", "--dry-run").stderr
    assert "channels" not in said and [line.split(",")[0].strip() for line in said.splitlines()[1:3]] == ["cnn", "gru"]
    assert "`channels` (=2,1) is not for gru" in refused("sweep", "--preset", "gru-report", "--channels", "2,1")
    assert len(planned("--preset", "best", "--schedule", "constant,one_cycle")) == 2


def test_the_leaderboard_is_every_preset_and_every_cell_of_the_report_of_which_none_is_trained_again(tmp_path):
    registry = shutil.copy(ROOT / "experiments.db", tmp_path / "copy.db")
    runs = planned("--preset", "leaderboard", "--db", registry, "--data", "data/speech_commands")
    assert len(runs) == 5 * (len(EACH) + 4 - 1)  # a cell of the report is a preset
    of_the_report = [run for run in runs if run["arch"] in ("fc", "cnn") and run["epochs"] == 50]
    assert len(of_the_report) == 20
    assert {run["status"] for run in of_the_report} == {"finished"}
    assert {run["seed"] for run in runs} == {*range(5)}


def test_a_search_from_a_preset_varies_what_is_given_and_keeps_the_rest():
    from kws.cli import tuning
    from kws.cli.tune import _values

    assert "there is nothing to search" in refused("tune", "--preset", "best")
    usual = _values(preset("best"))
    arch, opt = usual.pop("arch"), usual.pop("opt")
    del usual["label_smoothing"]
    space = tuning._space(arch, [opt], {"label_smoothing": "0.05:0.2"}, usual | {"seed": 0}, only_given=True)
    assert [*space.searched] == ["label_smoothing"]
    held = preset("best").recipe
    assert space.holds(held.changed(label_smoothing=0.15))
    assert not space.holds(held.changed(label_smoothing=0.3))
    assert not space.holds(held.changed(label_smoothing=0.15, epochs=2))
