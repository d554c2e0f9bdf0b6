"""What a command waits for before it answers: no library that it can do without, and nothing read twice."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from ledger import make_card, make_recipe, with_manifests
from places import ROOT

sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]

from benchmarks import ledger as recorded  # noqa: E402 - the repository's root is not where tests are looked for
from kws.errors import RecipeError, RegistryError, UnknownRunError  # noqa: E402
from kws.events import SPLITS, TEST, VALIDATION  # noqa: E402
from kws.recipe import Recipe  # noqa: E402
from kws.registry import protocols  # noqa: E402
from kws.registry.reader import RegistryReader  # noqa: E402
from kws.registry.store import Registry  # noqa: E402
from kws.reports import scope, table1  # noqa: E402

HEAVY = {
    *("torch", "pandas", "matplotlib", "scipy", "sqlmodel", "sqlalchemy", "alembic", "pydantic", "psycopg", "jinja2"),
    *("requests", "soundfile", "soxr", "safetensors", "starlette", "uvicorn", "onnx", "onnxruntime", "optuna", "ray"),
}
NOT_IMPORTED = {
    "--help": HEAVY | {"numpy", "rich", "typer", "typing", "dataclasses", "sqlite3", "kws.cli", "kws.recipe"},
    "runs list": HEAVY
    | {"numpy", "statistics", "tomllib", "rich.progress", "kws.registry.queries", "kws.reports.metrics"},
    "compare": HEAVY | {"tomllib", "rich.progress", "kws.registry.queries", "kws.reports.formats", "kws.reports.folds"},
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Three seeds of each cell of Table 1, so that intervals and ties are computed."""
    path = tmp_path_factory.mktemp("start_up") / "runs.db"
    recorded.build(str(path), 12)
    return path


@pytest.mark.parametrize("command", NOT_IMPORTED)
def test_a_command_that_only_reads_imports_nothing_that_it_can_do_without(command, registry):
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('\\n' + ' '.join(sys.modules), file=sys.stderr))\n"
        "from kws.__main__ import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command.split()],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "KWS_DB": str(registry)},
    )
    assert {"--help": "Usage", "runs list": "finished", "compare": " = "}[command] in done.stdout
    imported = set(done.stderr.splitlines()[-1].split())
    assert "kws.terminal.streams" in imported
    assert sorted(imported & NOT_IMPORTED[command]) == []


ODD_RATES = [0.001 * number for number in range(1, 20)]


def test_seeds_of_a_recipe_are_read_alike_and_stay_apart():
    recipes = [make_recipe("cnn", "adam", seed=seed, learning_rate=0.002) for seed in (0, 5, 2**63 - 1)]
    others = [make_recipe("cnn", "adam", seed=seed, learning_rate=rate) for seed in range(2) for rate in ODD_RATES]
    read_text = Recipe.texts_reader()
    assert [read_text(each.text) for each in others] == others  # more recipes than it compares texts with at once
    read = [read_text(each.text) for each in recipes]
    assert read == recipes
    assert [each.values for each in read] == [each.values for each in recipes]
    assert [list(each.values) for each in read] == [list(each.values) for each in recipes]
    assert [(each.text, each.digest, each.cell) for each in read] == [
        (each.text, each.digest, each.cell) for each in recipes
    ]
    assert len({each.digest for each in read}) == 3
    assert len({each.cell for each in read}) == 1


def test_a_seed_that_cannot_be_is_refused_when_it_is_read():
    text = make_recipe(seed=7).text
    read_text = Recipe.texts_reader()
    assert read_text(text).seed == 7  # from then on, what is around a seed is known
    with pytest.raises(RecipeError, match="`seed`"):
        read_text(text.replace('"seed":7', f'"seed":{2**63}'))
    for wrong in ("", "-1", '"7"', "07", "7.5", "7e1", "null", "\u0667", "7,"):
        with pytest.raises((RecipeError, ValueError)):
            read_text(text.replace('"seed":7', f'"seed":{wrong}'))


@pytest.mark.parametrize("folder", ['a,"seed":3,"b', "seed", ',\\"seed\\":4}', '"seed":9'])
def test_a_text_that_looks_like_a_seed_is_none(folder):
    recipes = [make_recipe(seed=seed, data=folder) for seed in (7, 3, 12)]
    read_text = Recipe.texts_reader()
    assert [read_text(recipe.text) for recipe in recipes] == recipes
    recipe = recipes[0]
    assert Recipe.from_text(json.dumps(json.loads(recipe.text), indent=1)) == recipe


def test_a_recipe_of_each_cell_is_that_of_its_first_run(registry):
    with RegistryReader(registry) as reader:
        runs = reader.runs()
        assert reader.recipes() == [*{run.recipe.cell: run.recipe for run in reversed(runs)}.values()][::-1]
        assert len(reader.recipes()) == 4


def test_a_run_that_is_read_has_all_that_a_run_has(registry):
    with RegistryReader(registry) as reader:
        runs = reader.runs()
        answers = reader.answers([run.id for run in runs], reader.card(runs[0].data_fingerprint), TEST)
        for made in (*runs, *(run.environment for run in runs), *answers.values()):
            assert type(made)(**vars(made)) == made
            assert {*vars(made)} == {each.name for each in dataclasses.fields(made)}
            assert not hasattr(made, "__post_init__")


def test_answers_are_read_for_many_runs_at_once_and_for_unknown_ones_not(registry, monkeypatch):
    monkeypatch.setattr(protocols, "_AT_ONCE", 5)
    with RegistryReader(registry) as reader:
        runs = reader.runs()
        card = reader.card(runs[0].data_fingerprint)
        answers = reader.answers([run.id for run in runs], card, TEST)
        assert answers == {run.id: reader.evaluation(run.id, card.fingerprint, TEST) for run in runs}
        assert reader.answers([runs[0].id], card, VALIDATION) == {runs[0].id: None}
        with pytest.raises(UnknownRunError, match="nothing"):
            reader.answers([runs[0].id, "nothing"], card, TEST)


def test_table_1_reads_a_data_set_once_however_many_runs_are_on_it(registry, monkeypatch):
    asked: list[str] = []
    with RegistryReader(registry) as reader:
        runs = scope.of_the_report(reader, reader.runs()).runs
        card = reader.card
        monkeypatch.setattr(reader, "card", lambda fingerprint: asked.append(fingerprint) or card(fingerprint))
        (table,) = table1.tables(reader, runs)
    assert [cell.n for cell in table.cells] == [3, 3, 3, 3]
    assert asked == [runs[0].data_fingerprint]


@pytest.fixture
def manifests(tmp_path):
    """A registry with a data set whose every clip is known, and its card."""
    card = with_manifests(make_card("clips"))
    with Registry(tmp_path / "manifests.db", create=True) as writer:
        writer.keep_card(card)
    return tmp_path / "manifests.db", card


def test_a_column_of_a_manifest_is_that_of_the_whole(manifests):
    path, card = manifests
    with RegistryReader(path) as reader:
        for split in SPLITS:
            whole = reader.manifest(card.fingerprint, split)
            assert reader.paths(card.fingerprint, split) == whole.paths
            assert reader.speakers(card.fingerprint, split) == whole.speakers
            assert reader.digests(card.fingerprint, split) == whole.each_digest()
        assert reader.paths("elsewhere", TEST) is None
        assert reader.digests("elsewhere", TEST) is None


def test_a_column_that_lacks_a_clip_is_refused(manifests):
    path, card = manifests
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE manifests SET digests = substr(digests, 33)")
    with (
        RegistryReader(path) as reader,
        pytest.raises(RegistryError, match="manifest of the test split does not have its"),
    ):
        reader.digests(card.fingerprint, TEST)


def test_epochs_without_their_iterations_are_the_same_otherwise(registry):
    with RegistryReader(registry) as reader:
        run = reader.runs()[0]
        for whole, alone in zip(reader.epochs(run.id), reader.epochs(run.id, iterations=False), strict=True):
            assert whole.iteration_losses and not alone.iteration_losses
            kept = [name for name in vars(whole) if not name.startswith("iteration")]
            assert [getattr(whole, name) for name in kept] == [getattr(alone, name) for name in kept]
