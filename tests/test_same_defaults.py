"""train, sweep and tune have the same options of a recipe, with the same defaults; where not, help gives the reason."""

from __future__ import annotations

import re

import pytest
from commands import PROGRAM, ok, ok_json

from kws.cli import recipe_options, sweeping, tuning
from kws.recipe import Recipe, every_option, names
from kws.sweeps.plan import expand

OPTIONS = {name: {each.name: each for each in PROGRAM.commands[name].params} for name in ("train", "sweep", "tune")}
OF_RECIPES = [name for name in OPTIONS["train"] if name in names() or name == "preset"]
LACKING = {"sweep": {"seed"}, "tune": {"until"}}  # --seeds instead; all good trials would end alike
ELSE = ("preset", "data")  # of which a sweep takes several


def searched(name):
    option = every_option().get(name)
    return bool(option and option.search)


@pytest.mark.parametrize("command", ["sweep", "tune"])
def test_every_option_of_a_recipe_is_there_under_the_same_flags(command):
    others = OPTIONS[command]
    assert set(OF_RECIPES) - set(others) == LACKING[command]
    for name in set(OF_RECIPES) & set(others):
        flags = [{*each.opts, *each.secondary_opts} for each in (OPTIONS["train"][name], others[name])]
        assert flags[1] <= flags[0] and flags[0] - flags[1] <= {f"--no-{name.replace('_', '-')}"}, name
        assert others[name].rich_help_panel == OPTIONS["train"][name].rich_help_panel, name


@pytest.mark.parametrize("command", ["sweep", "tune"])
def test_defaults_are_told_alike_or_the_reason_is(command):
    """But for ranges that are searched where nothing else is said."""
    told = {}
    for name in OF_RECIPES:
        if name in OPTIONS[command] and name not in ELSE and not (command == "tune" and searched(name)):
            found = [re.findall(r"[Bb]y default (.*?)\.?$", OPTIONS[of][name].help) for of in ("train", command)]
            if found[0] != found[1]:
                told[name] = found[1]
    if command == "sweep":
        assert told == {}
        return
    assert {*told} == {"opt", "epochs", "seed"}
    assert told["opt"] == ["adam alone, so that a search needs no more than a network"]
    assert told["epochs"] == [
        "20, or the preset's: fewer than the 50 of `kws train`, for trials are compared with one another alone"
    ]
    assert OPTIONS["tune"]["seed"].default == Recipe.seed  # which its own help tells


def test_the_three_make_the_same_recipe_of_the_same_options(monkeypatch):
    plans, searches = [], []
    monkeypatch.setattr(sweeping, "rehearse", lambda plan, *_, **__: plans.extend(plan))
    monkeypatch.setattr(tuning, "run", lambda **about: searches.append(about))
    chosen = ("--arch", "tc-resnet", "--opt", "sgd", "--threads", 1, "--device", "cpu")
    trained = ok_json("train", *chosen, "--show")["recipe"]
    ok("sweep", *chosen, "--dry-run")
    ok("tune", *chosen, "--epochs", Recipe.epochs)
    [swept] = expand(*plans)
    [search] = searches
    assert search["opts"] == ["sgd"] and search["ranges"] == {}
    tuned = Recipe.of(arch=search["arch"], opt="sgd", ignoring=True, **search["fixed"])
    for name, value in trained.items():
        for recipe in (swept, tuned):
            has = recipe.values[name]
            assert has == (tuple(value) if isinstance(value, list) else value), name
    assert swept.values == tuned.values
    assert recipe_options.SEARCHED == "adam"
