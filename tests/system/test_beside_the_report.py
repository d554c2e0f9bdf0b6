"""The committed registry with runs of every preset added: what it says of the report stays the same to the byte."""

from __future__ import annotations

import dataclasses
import shutil

import pytest
from commands import kws, ok
from ledger import WEIGHTS, make_epochs, make_evaluation, start
from places import ROOT

from kws.events import SPLITS
from kws.recipe.presets import presets
from kws.registry.store import Registry
from kws.reports.scope import is_of_the_report

FORMATS = ("table", "markdown", "latex", "csv", "json")


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """Copies of the committed registry: as it is, and with two more tested runs of every preset but the report's."""
    folder = tmp_path_factory.mktemp("beside")
    alone, both = (folder / name for name in ("alone.db", "both.db"))
    for path in (alone, both):
        shutil.copy(ROOT / "experiments.db", path)
    with Registry(both) as registry:
        run = next(run for run in registry.runs() if is_of_the_report(run.recipe))
        manifests = {split: registry.manifest(run.data_fingerprint, split) for split in SPLITS}
        card = dataclasses.replace(registry.card(run.data_fingerprint), manifests=manifests)
        for number, each in enumerate(presets().values()):
            for seed in (100, 101) if each.name != "report" else ():
                recipe = dataclasses.replace(each.recipe, seed=seed, data=run.recipe.data)
                made = start(registry, recipe, card, parameters=1000 * number, environment=run.environment)
                for epoch in make_epochs(2, iterations=1):
                    registry.record(made, epoch)
                registry.finish(made, make_evaluation(card, wrong=10 * number + seed % 2), card, WEIGHTS)
    return alone, both


@pytest.mark.parametrize("options", [(), ("--paper",), ("--metric", "f1")], ids=["plain", "paper", "f1"])
@pytest.mark.parametrize("form", FORMATS)
def test_table_1_is_the_same(beside, form, options):
    alone, both = (ok("compare", "--format", form, *options, "--db", path) for path in beside)
    assert alone == both and "Convolutional" in alone


@pytest.mark.parametrize("kind", ["optimizers", "convergence"])
def test_its_figures_are_the_same(beside, kind, tmp_path):
    alone, both = (tmp_path / f"{place.stem}.svg" for place in beside)
    for place, path in zip(beside, (alone, both), strict=True):
        ok("plot", "--kind", kind, "--out", path, "--db", place)
    assert alone.read_bytes() == both.read_bytes()


def test_the_leaderboard_has_every_preset_and_every_cell_of_the_report(beside):
    shown = kws("compare", "--leaderboard", "--db", beside[1])
    assert shown.exit_code == 0 and shown.stderr == ""
    assert all(f"  {name} " in shown.stdout for name in [*presets(), "Fully-connected, SGD", "Convolutional, SGD"])
