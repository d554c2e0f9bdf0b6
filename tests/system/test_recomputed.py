"""Every figure of `kws compare` against a script that reads the raw file and imports nothing of kws."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
import recompute
from commands import ok, sql
from ledger import ENVIRONMENT, PARAMETERS, WEIGHTS, make_card, make_epochs, make_recipe, start
from places import ROOT

from kws.events import SPLITS, Evaluation, Manifest
from kws.registry.store import Registry

pytestmark = pytest.mark.sqlite_file
REPORT = [
    {"arch": arch, "opt": opt, "softmax": softmax}
    for arch, opt, softmax in (
        ("fc", "sgd", False), ("fc", "adam", False), ("cnn", "sgd", False), ("cnn", "adam", False), ("fc", "sgd", True),
        ("fc", "adam", True),
    )
]  # fmt: skip


def card_of(draw, *, clips: int = 60, speakers: str = "known", source: str = "clips"):
    """A data set: speakers known, unknown, all one and the same, or of which some said the same sound."""
    card = make_card(source, clips=clips)
    manifests = {}
    for split in SPLITS:
        names = [f"s{i}" for i in draw.integers(1 if speakers == "one" else clips // 4, size=clips)]
        digests = [hashlib.sha256(f"{source} {split} {i}".encode()).digest() for i in range(clips)]
        for copy in range(0, 12, 2) if speakers == "same sounds" else ():
            digests[copy] = digests[copy + 31]
        manifests[split] = Manifest(
            paths=tuple(f"{split}/{i}.wav" for i in range(clips)),
            digests=b"".join(digests),
            speakers=None if speakers == "unknown" else tuple(names),
            modified_ns=(0,) * clips,
            seconds=(1.0,) * clips,
        )
    return card if speakers == "older" else dataclasses.replace(card, manifests=manifests)


def answer(registry, draw, card, seed: int, *, ease: float, logits: bool = True, **recipe) -> str:
    """A finished run that gets about so many clips right, the same hard clips wrong as others do."""
    made = make_recipe(**recipe, seed=seed)
    size = PARAMETERS[made.arch]
    run_id = start(registry, made, card, parameters=size, multiply_accumulates=2 * size, environment=ENVIRONMENT)
    slow = int(draw.integers(4)) + 5 * (made.opt == "sgd")
    for epoch in make_epochs(made.epochs, iterations=1):
        accuracy = round(min(0.85 + 0.1 * draw.random(), 0.2 + 0.05 * max(0, epoch.epoch - slow)), 3)
        registry.record(run_id, dataclasses.replace(epoch, validation_accuracy=accuracy))
    labels = np.frombuffer(card.labels["test"], np.uint8)
    hard = np.random.default_rng(len(labels)).normal(size=len(labels))
    right = ease + draw.normal(0, 0.2) + hard + draw.normal(0, 0.7, len(labels)) > 0
    heard = np.where(right, labels, (labels + 1 + draw.integers(2, size=len(labels))) % 3).astype(np.uint8)
    outputs = draw.normal(0, 1, (len(labels), 3)) + 3 * np.eye(3)[heard]
    evaluation = Evaluation(
        split="test", loss=float(draw.random()), objective=0.3, accuracy=float((heard == labels).mean()),
        predictions=heard.tobytes(), labels=labels.tobytes(), logits=outputs.astype("<f2").tobytes() if logits else b"",
    )  # fmt: skip
    registry.finish(run_id, evaluation, card, WEIGHTS)
    return run_id


def fill(path, number: int, *, seeds, speakers: str = "known", logits: bool = True, ease: float = 1.5, cells=REPORT):
    """A registry whose cells have these seeds; the same number gives the same one."""
    draw = np.random.default_rng(number)
    card = card_of(draw, speakers=speakers)
    with Registry(path, create=True) as registry:
        for cell, own in zip(cells, seeds, strict=True):
            for seed in own:
                answer(registry, draw, card, seed, ease=ease + draw.normal(0, 0.2), logits=logits, **cell)


def compared(path, metric: str = "test-accuracy", reach: float = 0.9) -> int:
    """How many figures were compared; none of them differs."""
    paper = ["--paper"] if metric == "test-accuracy" else []
    said = ok(
        "compare", "--db", path, "--where", "true", "--metric", metric, "--reach", reach, "--format", "json", *paper
    )
    count, wrong = recompute.compare(path, json.loads(said), metric, reach)
    assert not wrong, "\n".join(wrong)
    return count


# Which seeds each of the report's cells has, and what else is odd about the registry
ODD = {
    "seeds shared in part": {"seeds": [range(5), range(2, 7), [0, 1, 2], [1, 2, 3], [0, 6], [6, 7, 8, 9]]},
    "single seeds": {"seeds": [[0], range(4), [0], [3], [0, 1, 2], [0]]},
    "none in common": {"seeds": [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [1]]},
    "cells missing": {"seeds": [[0, 1, 2], [], [0, 1, 2], [], [0, 2], []]},
    "speakers unknown": {"seeds": [range(3)] * 6, "speakers": "unknown"},
    "without a manifest": {"seeds": [range(3), range(2), range(4), [5], [0, 1], [1]], "speakers": "older"},
    "one speaker": {"seeds": [range(3), [0], range(2), [1], [0], range(2)], "speakers": "one"},
    "the same sounds": {"seeds": [range(3)] * 6, "speakers": "same sounds"},
    "no logits": {"seeds": [range(3), range(2), range(2), [0], [1], range(3)], "logits": False},
    "all right": {"seeds": [range(3), [0], range(2), range(2), [0], range(2)], "ease": 9.0},
    "all wrong": {"seeds": [range(3), [0], range(2), range(2), [0], range(2)], "ease": -9.0},
}


@pytest.mark.parametrize("odd", ODD)
def test_every_figure_beside_the_report_is_recomputed(odd, tmp_path):
    path = tmp_path / "experiments.db"
    fill(path, 1, **ODD[odd])
    assert compared(path) > 100


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    path = tmp_path_factory.mktemp("recomputed") / "experiments.db"
    fill(path, 2, seeds=[range(4), range(2), [0], range(1, 4), range(3), [2, 5]])
    return path


@pytest.mark.parametrize("metric", recompute.METRICS)
@pytest.mark.parametrize("speakers", ["known", "unknown"])
def test_every_metrics_figures_are_recomputed(metric, speakers, uneven, tmp_path):
    path = uneven
    if speakers == "unknown":
        path = tmp_path / "unknown.db"
        shutil.copy(uneven, path)
        sql(path, "UPDATE manifests SET speakers = NULL")
    for reach in (0.5, 0.93) if metric in recompute.TO_REACH else (0.9,):
        assert compared(path, metric, reach) > 50


def test_what_is_left_out_and_trained_again_is_recomputed(uneven, tmp_path):
    """Deleted and failed runs do not count; of a seed trained twice, the later run does; each data set has a table."""
    path = tmp_path / "experiments.db"
    shutil.copy(uneven, path)
    draw = np.random.default_rng(3)
    with Registry(path) as registry:
        first, second = registry.runs()[:2]
        registry.delete(first.id)
        answer(registry, draw, card_of(np.random.default_rng(2)), second.recipe.seed, ease=0.5, **REPORT[0])
        other = card_of(draw, clips=40, source="others")
        for seed in range(3):
            answer(registry, draw, other, seed, ease=1.0, arch="fc", opt="adam", learning_rate=0.01)
            answer(registry, draw, other, seed, ease=2.0, arch="fc", opt="adam")
            answer(registry, draw, other, seed, ease=2.0, arch="cnn", opt="adam", epochs=3)
    assert len(recompute.tables(path)) == 3
    compared(path)


def test_the_registry_that_ships_is_recomputed(tmp_path):
    path = tmp_path / "experiments.db"
    shutil.copy(ROOT / "experiments.db", path)  # opening an older one upgrades it
    for metric in ("test-accuracy", "test-loss", "epochs-to-reach", "seconds-to-reach"):
        assert compared(path, metric) > 400


def test_a_figure_that_is_wrong_is_found(uneven):
    said = json.loads(ok("compare", "--db", uneven, "--format", "json", "--paper"))
    said["tables"][0]["cells"][2]["high"] += 2e-9
    said["tables"][0]["paper"]["claims"][3]["evidence"][0]["freedom"] *= 1 + 3e-9
    _, wrong = recompute.compare(uneven, said)
    assert [line.partition(": ")[0].rpartition(".")[2] for line in sorted(wrong)] == ["high", "freedom"]


def test_the_script_imports_nothing_of_kws():
    for file in (ROOT / "tests").glob("recompute*.py"):
        tree = ast.parse(file.read_text())
        imported = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert imported
        assert not {module for module in imported if module.split(".")[0] in ("kws", "ledger", "commands")}
