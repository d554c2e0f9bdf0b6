"""A part of a recipe is one file: made-up ones are found everywhere, and no two values of an option share a cell."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator

import made_up
import pytest
from commands import TRAIN, kws, ok, ok_json, refused
from ledger import make_recipe, make_registry, make_run
from sounds import write_task

from kws.errors import RecipeError
from kws.recipe import KINDS, NETWORK, Recipe, every_option, kind_of, names, parse, varying
from kws.registry.reader import RegistryReader
from kws.registry.selection import Selection
from kws.reports import labels
from kws.reports.table1 import tables
from kws.sweeps import plan

NETWORK_FILE = '''"""Tiny: one hidden layer."""

from dataclasses import dataclass

import torch
from torch import nn

from kws.recipe import count, option

ORDER = 9


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int = option(6, "Units of the hidden layer.", check=count, search="4:8")
    bias: bool = option(True, "Whether layers have one.")


class Network(nn.Module):
    def __init__(self, classes, config):
        super().__init__()
        self.hidden = nn.Linear(4040, config.width, bias=config.bias)
        self.last = nn.Linear(config.width, classes, bias=config.bias)

    def forward(self, features):
        return self.last(torch.relu(self.hidden(features.flatten(1))))
'''
OPTIMIZER_FILE = '''"""RMSprop: as in torch.optim.RMSprop."""

from dataclasses import dataclass

import torch

from kws.recipe import above_zero, option


@dataclass(frozen=True, kw_only=True)
class Config:
    learning_rate: float = option(0.002, "How far a step goes.", check=above_zero)
    smoothing: float = option(0.9, "Of the squares.")


def optimizer(parameters, config):
    return torch.optim.RMSprop(parameters, lr=config.learning_rate, alpha=config.smoothing)
'''
SCHEDULE_FILE = '''"""Halving: the learning rate is halved again and again."""

from dataclasses import dataclass

from kws.recipe import count, option


@dataclass(frozen=True, kw_only=True)
class Config:
    halvings: int = option(2, "How often.", check=count)


def factor(step, steps, config):
    return 0.5 ** (step * (config.halvings + 1) // steps)
'''
LOSS_FILE = '''"""Smoothed: cross-entropy with smoothed labels."""

from dataclasses import dataclass

import torch.nn.functional as F

from kws.recipe import below_one, option


@dataclass(frozen=True, kw_only=True)
class Config:
    smoothing_of_labels: float = option(0.1, "How much.", check=below_one)


def loss(logits, labels, config):
    return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=config.smoothing_of_labels)
'''
AVERAGING_FILE = '''"""EMA: an exponential moving average."""

from dataclasses import dataclass

from kws.recipe import below_one, option


@dataclass(frozen=True, kw_only=True)
class Config:
    decay: float = option(0.5, "Of the average.", check=below_one)


def updated(average, model, config):
    now = {name: each.detach().clone() for name, each in model.state_dict().items()}
    if not average:
        return now
    return {name: config.decay * average[name] + (1 - config.decay) * each for name, each in now.items()}
'''
AUGMENTATION_FILE = '''"""Offset: more or less."""

from dataclasses import dataclass

import torch

from kws.recipe import not_negative, option


@dataclass(frozen=True, kw_only=True)
class Config:
    added: float = option(0.0, "The largest.", check=not_negative, absent=0.0)


def augment(features, config):
    return features + config.added * (2 * torch.rand(len(features), 1, 1) - 1) if config.added else features
'''
TASK_FILE = '''"""Named: some words, and all others."""

from dataclasses import dataclass

from kws.recipe import option


@dataclass(frozen=True, kw_only=True)
class Config:
    words: tuple[str, ...] = option(("yes", "no"), "The keywords.")
    strictness: int = option(0, "Of what is taken for a word.")


def classes(config):
    return (*config.words, "other")


def assign(folder, config, track):
    from kws.speech.classes import Assigned, draw_classes

    classes, clips = draw_classes(folder.clips, config.words, folder.place)
    return Assigned(classes=classes, clips=clips)
'''
# Of each kind: a part's file, its name and the value of an option that is not its default, with another.
FILES = {
    "network": (NETWORK_FILE, "tiny", "width", 7, 5),
    "optimizer": (OPTIMIZER_FILE, "rmsprop", "smoothing", 0.8, 0.7),
    "loss": (LOSS_FILE, "smoothed", "smoothing_of_labels", 0.2, 0.3),
    "schedule": (SCHEDULE_FILE, "halving", "halvings", 3, 4),
    "averaging": (AVERAGING_FILE, "ema", "decay", 0.25, 0.75),
    "augmentation": (AUGMENTATION_FILE, "offset", "added", 0.5, 1.5),
    "task": (TASK_FILE, "named", "strictness", 1, 2),
}
BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.fixture(params=FILES)
def part(request, tmp_path) -> Iterator[str]:
    """A kind of part that has one more file."""
    text, name, *_ = FILES[request.param]
    with made_up.part(BY_NAME[request.param], name, text, tmp_path):
        yield request.param


def chosen(kind: str) -> dict[str, str]:
    """The values that take the made-up part."""
    about = {"arch": "fc", "opt": "adam"}
    return about if BY_NAME[kind].several else about | {BY_NAME[kind].option: FILES[kind][1]}


def options_of(values: dict[str, object]) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def test_its_options_are_found_everywhere(part, tmp_path, monkeypatch):
    _, name, option, value, other = FILES[part]
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "cache"))
    db, about = tmp_path / "runs.db", options_of(chosen(part))
    write_task(tmp_path / "task")
    short = ["--data", tmp_path / "task", "--db", db, "--epochs", 1, "--batch-size", 16, "--threads", 1]
    flag = f"--{option.replace('_', '-')}"

    for command in ("train", "sweep", "tune"):  # on the command line
        assert flag in ok(command, "--help")
    assert option in names()

    run = ok_json("train", *about, flag, value, *short)["run"]  # in the registry
    shown = ok_json("runs", "show", run, "--db", db)["recipe"]
    assert (shown[option], shown.get(BY_NAME[part].option, name)) == (value, name)
    (row,) = ok_json("db", "query", f"SELECT {option} FROM runs", "--db", db)["rows"]
    assert row == [value]
    assert [each["run"] for each in ok_json("runs", "list", "--where", f"{option} = {value}", "--db", db)["runs"]] == [
        run
    ]
    assert ok_json("runs", "list", "--where", f"{option} = {other}", "--db", db)["runs"] == []

    second = ok_json("train", *about, "--set", f"{option}={other}", *short)["run"]  # by --set
    assert ok_json("runs", "diff", run, second, "--db", db)["differ"][option] == [value, other]

    with RegistryReader(db) as registry:  # in labels, rows and columns
        runs = registry.runs()
        assert len(set(labels.of_runs(runs))) == 2
        assert any(option.replace("_", " ") in label for label in labels.of_runs(runs))
        for axes in ({}, {"rows": option}, {"columns": option}):
            (table,) = tables(registry, runs, **axes)
            assert sorted(each for cell in table.cells for each in cell.runs) == sorted((run, second))
            assert len(table.cells) == 2
            assert str(value) in f"{table.rows} {table.columns}"
        first = registry.by_id(run).recipe

    words = shlex.split(labels.command(first))  # in the command that trains it again
    assert ok_json("rerun", run, "--db", db)["same"]
    again = ok_json(*words[1:], "--db", db)["run"]
    with RegistryReader(db) as registry:
        assert registry.by_id(again).recipe.digest == first.digest

    planned = ok_json("sweep", *about, flag, f"{value},{other}", "--dry-run", *short)["runs"]  # as an axis of a sweep
    assert [each["status"] for each in planned] == ["finished", "finished"]


def test_it_is_an_axis_of_a_search(part):
    pytest.importorskip("optuna", reason='Optuna is not installed: pip install "kws[tune]"')
    from kws.cli import tuning
    from kws.sweeps import search as searches

    _, _, option, value, other = FILES[part]
    about = chosen(part)
    ranges = {name: text for name, text in about.items() if name not in ("arch", "opt")} | {option: f"{value},{other}"}
    space = tuning._space(about["arch"], [about["opt"]], ranges, {"data": "clips", "seed": 0, "epochs": 2})
    assert space.searched[option].choices == (value, other)
    search = searches.Search(space, random=True, prune=False, seed=0, epochs=2)
    drawn = [search.begin()[1] for _ in range(8)]
    assert {recipe.values[option] for recipe in drawn} == {value, other}
    assert all(space.holds(recipe) for recipe in drawn)
    assert not space.holds(drawn[0].changed(**{option: 9 if isinstance(value, int) else 0.6}))


def test_two_values_of_any_option_never_share_a_cell(part, db):
    recipes = [Recipe.of(**chosen(part), **{FILES[part][2]: value}, seed=3) for value in FILES[part][3:]]
    assert recipes[0].cell != recipes[1].cell
    assert varying(recipes) == [FILES[part][2]]
    make_registry(db, recipes)
    with RegistryReader(db) as registry:
        found = tables(registry, registry.runs())
    assert [len(cell.runs) for table in found for cell in table.cells] == [1, 1]


@pytest.mark.parametrize("name", [name for name, each in every_option().items() if not each.bits and not each.role])
def test_two_values_of_an_option_of_today_never_share_a_cell(name):
    about = {"arch": "cnn", "opt": "sgd"}
    kind = kind_of(name)
    if kind and not kind.several:  # a part that has it
        about[kind.option] = next(iter(kind.takers()[name]))
    if name == "head_epochs":
        about["pretrained"] = "bcdfghjk@0123456789ab"
    usual = Recipe.of(**about)
    other = {bool: True, int: 7, float: 0.55}.get(every_option()[name].base)
    others = {
        "channels": (8, 4),
        "words": ("up",),
        "leave_out": ("go", "stop"),
        "other_words": "unknown",
        "precision": "bf16",
        "selection": "best",
        "noise": "dataset",
        "noise_snr": (5.0, 15.0),
        "spoken": "synthetic",
        "also": "clips",
        "speakers": "{n}",
        "split_shares": "70/15/15",
        "fold": "2/5",
        "pretrained": "bcdfghjk@0123456789ab",
        "sampling": "balanced",
    }
    changed = Recipe.of(**about, **{name: (others | {"depth": 14}).get(name, other)})
    assert changed.cell != usual.cell
    assert changed.digest != usual.digest
    runs = [make_run("bbbbbbbb"), make_run("cccccccc")]
    runs = [dataclasses.replace(run, recipe=recipe) for run, recipe in zip(runs, (usual, changed), strict=True)]
    if not every_option()[name].condition:  # which make tables of their own
        place = labels.titles(runs, "arch", "opt")
        assert place(runs[0]) != place(runs[1])
        assert "[" not in str(place(runs[1])[0])


@pytest.mark.parametrize("name", [name for name, each in every_option().items() if each.bits or each.role])
def test_seed_place_and_bits_alone_make_no_other_cell(name):
    about = {"arch": "cnn", "opt": "sgd"}
    if kind := kind_of(name):  # a part that has it
        about[kind.option] = next(iter(kind.takers()[name]))
    other = {"data": "elsewhere", "test_data": "elsewhere", "device": "cuda", "pattern": "{label}", "align": "first"}
    changed = Recipe.of(**about, **{name: (other | {"other": "elsewhere"}).get(name, 7)})
    assert changed.cell == Recipe.of(**about).cell
    assert (changed.digest == Recipe.of(**about).digest) == (name != "seed")


def test_a_run_that_is_older_than_an_option_has_what_the_option_says_for_that_and_stays_in_its_cell(tmp_path):
    before = make_recipe("fc", "sgd")
    with made_up.part(
        BY_NAME["augmentation"], "older", AUGMENTATION_FILE.replace("option(0.0,", "option(0.3,"), tmp_path
    ):
        read = Recipe.from_text(before.text)
        assert (read.added, Recipe.of(arch="fc", opt="sgd").added) == (0.0, 0.3)
        assert read.digest == before.digest
        assert Recipe.of(arch="fc", opt="sgd", added=0.0).cell == before.cell
        assert Recipe.of(arch="fc", opt="sgd").cell != before.cell


def test_a_key_that_is_missing_and_for_which_nothing_is_declared_is_refused():
    values = json.loads(make_recipe("fc", "sgd").text)
    del values["optimizer"]["momentum"]
    with pytest.raises(RecipeError, match="the optimizer sgd lacks its `momentum`"):
        Recipe.from_text(json.dumps(values))


def test_what_this_version_does_not_know_is_kept_and_tells_recipes_apart(db):
    values = json.loads(make_recipe("fc", "sgd").text)
    values["optimizer"]["warmth"] = 3
    one = Recipe.from_text(json.dumps(values))
    values["optimizer"]["warmth"] = 4
    other = Recipe.from_text(json.dumps(values))
    assert one != other
    assert one.cell != other.cell
    assert Recipe.from_text(one.text) == one
    make_registry(db, [one, other])
    with RegistryReader(db) as registry:
        assert registry.runs(Selection())[0].recipe == one
        (table,) = tables(registry, registry.runs())
    assert table.rows == tuple(f"Fully-connected, warmth {value} (567,171 params)" for value in (3, 4))


def test_a_name_that_two_kinds_declare_is_refused(tmp_path):
    text = SCHEDULE_FILE.replace("halvings", "momentum")
    refused = pytest.raises(RecipeError, match="the option momentum is declared by two kinds of part")
    with made_up.part(BY_NAME["schedule"], "clash", text, tmp_path), refused:
        names()


def test_options_are_known_without_importing_the_file_that_declares_them(tmp_path):
    with made_up.part(NETWORK, "slow", "raise SystemExit\n" + NETWORK_FILE, tmp_path):
        assert {"width", "bias"} <= NETWORK.part("slow").options.keys()


def test_old_names_are_read_wherever_names_are(tmp_path, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KWS_DB", str(tmp_path / "runs.db"))
    write_task(tmp_path / "task")
    run = ok_json(*TRAIN, "--data", tmp_path / "task", "--maps", "2,1", "--softmax", "--set", "slice_size=8")["run"]
    recipe = ok_json("runs", "show", run)["recipe"]
    assert (recipe["channels"], recipe["softmax_before_loss"], recipe["micro_batch_size"]) == ([2, 1], True, 8)
    where = "softmax AND maps = '[2, 1]' AND slice_size = 8 AND channels = maps"
    assert [each["run"] for each in ok_json("runs", "list", "--where", where)["runs"]] == [run]
    assert "channels 2,1" in ok("compare", "--rows", "maps")
    assert "there is no option `mapz`" in refused("compare", "--rows", "mapz", code=2)
    assert "given twice" in refused(*TRAIN, "--maps", "2,1", "--set", "channels=2,1")
    assert kws("train", "--arch", "fc", "--opt", "sgd", "--set", "momentum").exit_code == 1


def test_what_is_resolved_where_a_command_runs_can_be_set_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KWS_DB", str(tmp_path / "runs.db"))
    task = write_task(tmp_path / "task")
    about = ["--set", f"data={task}", "--set", "threads=1", "--set", "device=cpu", "--set", "epochs=1"]
    run = ok_json("train", "--arch", "fc", "--opt", "sgd", "--set", "batch_size=16", *about)["run"]
    recipe = ok_json("runs", "show", run)["recipe"]
    assert (recipe["data"], recipe["threads"], recipe["device"], recipe["epochs"]) == (str(task), 1, "cpu", 1)
    planned = ok_json("sweep", "--arch", "fc", "--opt", "sgd", "--set", "batch_size=16", *about, "--dry-run")["runs"]
    assert [(each["run"], each["status"]) for each in planned] == [(run, "finished")]
    for command in (["train"], ["sweep", "--dry-run"]):
        about = ["--arch", "fc", "--opt", "sgd"]
        assert "`threads` (=0) must be at least 1" in refused(*command, *about, "--set", "threads=0")
        assert "`device` (=tpu) must be one of cpu, cuda" in refused(*command, *about, "--set", "device=tpu")
        assert "`device` is given twice" in refused(*command, *about, "--device", "cpu", "--set", "device=cpu")
    assert "`epochs` is given twice" in refused("train", "--resume", run, "--epochs", 3, "--set", "epochs=4")
    assert "`threads` (=-1) must be at least 1" in refused("tune", "--arch", "fc", "--threads", -1)
    assert "`threads` (=0) must be at least 1" in refused("tune", "--arch", "fc", "--set", "threads=0")


def test_parts_that_share_a_name_may_give_it_different_types(tmp_path):
    """Each value is that of the part that was chosen, wherever it was typed."""
    with made_up.part(NETWORK, "counted", NETWORK_FILE.replace("width", "tau").replace("Tiny", "Counted"), tmp_path):
        for arch, text, value in (("counted", "5", 5), ("bc_resnet", "5", 5.0), ("bc_resnet", "0.5", 0.5)):
            recipe = Recipe.of(arch=arch, opt="sgd", tau=parse("tau", text))
            assert (recipe.tau, type(recipe.tau)) == (value, type(value))
            assert Recipe.from_text(recipe.text) == recipe
        with pytest.raises(RecipeError, match=r"`tau` \(=0.5\) must be a whole number"):
            Recipe.of(arch="counted", opt="sgd", tau=parse("tau", "0.5"))
        assert plan.several("tau", "3,4") == [3, 4]
