"""An older registry is brought up to date: no row changes, a copy is kept, and it happens whole or not at all."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from at_once import at_once
from commands import dump, kws, ok, ok_json, refused, sql
from ledger import ENVIRONMENT, make_card, make_epochs, make_evaluation, make_recipe, make_registry, start
from older import to_schema_4
from places import ROOT
from sounds import write_task

from kws.errors import RegistryError
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING
from kws.registry.schema import SCHEMA_VERSION
from kws.registry.sqlite import Database
from kws.registry.store import Registry

fork = multiprocessing.get_context("fork")
FIXTURES = ROOT / "tests" / "fixtures"
SCHEMA_1 = FIXTURES / "schema1.db"
STATUSES = [FINISHED, FINISHED, FINISHED, INTERRUPTED, FAILED, LOST]
TRAINED = {"nndvmgbd": 1.0, "fgxrdrxd": 7 / 12}  # on the task of tests/sounds.py, and their test accuracies


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    """A registry of schema 1 that stays one."""
    return Path(shutil.copy(SCHEMA_1, tmp_path_factory.mktemp("schema1") / "pristine.db"))


@pytest.fixture
def old(tmp_path) -> Path:
    """A registry of schema 1, where commands look for it."""
    return Path(shutil.copy(SCHEMA_1, tmp_path / "experiments.db"))


@pytest.fixture
def nothing_is_writable(monkeypatch):
    """As it is for a user who may only read; holds for root too."""
    real = os.access
    return lambda: monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and real(path, mode))


def upgrade(path: Path) -> list[str]:
    """Open a registry and close it; what was told."""
    told: list[str] = []
    Database(path, create=False, tell=told.append).close()
    return told


def columns(path: Path) -> dict[str, list[str]]:
    tables = [row[0] for row in sql(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {table: [row[1] for row in sql(path, f"PRAGMA table_info({table})")] for table in tables}


def only(path: Path, wanted: dict[str, list[str]]) -> dict[str, list[tuple]]:
    """Every row of these columns, in the tables' order."""
    return {table: sql(path, f"SELECT {', '.join(names)} FROM {table}") for table, names in wanted.items()}


def schema(path: Path) -> dict[str, object]:
    """What tables are, but for the order of their columns and the names of their types."""

    def affinity(declared: str) -> str:
        for part, name in (("INT", "INTEGER"), ("CHAR", "TEXT"), ("TEXT", "TEXT"), ("BLOB", "BLOB"), ("FLOA", "REAL")):
            if part in declared.upper():
                return name
        return "NUMERIC"

    def of(table: str) -> tuple:
        unique = {
            tuple(column[2] for column in sql(path, f"PRAGMA index_info({index[1]})"))
            for index in sql(path, f"PRAGMA index_list({table})")
            if index[2]
        }
        return (
            {(name, affinity(kind), notnull, pk) for _, name, kind, notnull, _, pk in info[table]},
            {row[2:5] for row in sql(path, f"PRAGMA foreign_key_list({table})")},
            unique,
            "WITHOUT ROWID" in statements[table],
        )

    statements = dict(sql(path, "SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    info = {table: sql(path, f"PRAGMA table_info({table})") for table in statements}
    return {table: of(table) for table in statements}


# Nothing that was in it changes


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_every_row_of_every_table_is_as_it_was(old, journal, pristine):
    sql(old, f"PRAGMA journal_mode = {journal}")
    was = columns(pristine)
    before = only(old, was)
    assert {table: len(rows) for table, rows in before.items()} == {
        "data": 2, "splits": 6, "runs": 6, "epochs": 13, "evaluations": 4, "weights": 3,
    }  # fmt: skip
    upgrade(old)
    assert only(old, was) == before
    assert sql(old, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert sql(old, "PRAGMA integrity_check") == [("ok",)]
    assert sql(old, "PRAGMA foreign_key_check") == []
    new = {table: rows for table, rows in dump(old).items() if table not in was and table != "trainings"}
    looks = new.pop("tests")
    assert new == {"sessions": [], "tags": [], "checkpoints": [], "logits": [], "manifests": [], "sources": []}
    assert len(looks) == 4  # every evaluation was one
    assert sql(old, "SELECT DISTINCT rerun_of, deleted_at FROM runs") == [(None, None)]


def test_an_upgraded_registry_has_the_tables_of_a_new_one(old, tmp_path):
    upgrade(old)
    make_registry(tmp_path / "new.db")
    assert schema(old) == schema(tmp_path / "new.db")
    assert len(schema(old)) == 14


def test_a_registry_of_schema_2_keeps_every_row_and_has_the_tables_of_a_new_one(tmp_path):
    path = Path(shutil.copy(FIXTURES / "schema2.db", tmp_path / "experiments.db"))
    before, was = dump(path), columns(path)
    assert {table: len(rows) for table, rows in before.items()} == {
        "data": 2, "splits": 6, "runs": 4, "sessions": 4, "tags": 2, "epochs": 9, "evaluations": 4, "weights": 3,
        "checkpoints": 1,
    }  # fmt: skip
    (told,) = upgrade(path)
    assert told.endswith(str(tmp_path / "experiments.schema-2.db"))
    assert only(path, was) == only(tmp_path / "experiments.schema-2.db", was)
    added = {"logits": [], "manifests": [], "sources": [], "tests": before["evaluations"]}
    assert {table: len(rows) for table, rows in dump(path).items()} == {
        "trainings" if table == "runs" else table: len(rows) for table, rows in (before | added).items()
    }
    make_registry(tmp_path / "new.db")
    assert schema(path) == schema(tmp_path / "new.db")
    assert [run["tags"] for run in ok_json("runs", "list", "--sort=-started")["runs"]] == [["first", "paper"], [], []]


def test_a_registry_of_schema_4_shows_the_recipes_that_it_had_and_one_text_of_each(tmp_path):
    """In it are recipes of networks and optimizers that there are no more, and a look at a split for a purged run."""
    path = Path(shutil.copy(FIXTURES / "schema4.db", tmp_path / "experiments.db"))
    was, before = columns(path), dump(path)
    (told,) = upgrade(path)
    copy = tmp_path / "experiments.schema-4.db"
    assert told.endswith(str(copy))
    kept = {table: names for table, names in was.items() if table != "tests"}
    assert [
        [value.replace("\\u00fc\\u00df", "üß") if isinstance(value, str) else value for value in row]
        for row in only(copy, kept)["runs"]
    ] == [list(row) for row in only(path, kept)["runs"]]
    assert {t: r for t, r in only(path, kept).items() if t != "runs"} == {
        t: r for t, r in only(copy, kept).items() if t != "runs"
    }
    with Registry(path) as registry:
        runs = registry.runs()
        rows = sql(path, "SELECT recipe_digest, cell_digest FROM trainings")
        assert [(run.recipe.digest, run.recipe.cell) for run in runs] == rows  # whatever options there are by now
        assert [run.recipe.values.get("channels") for run in runs] == [(32, 16), (32, 16), None, (8, 4), None, None]
        assert (runs[4].recipe.arch, runs[4].recipe.opt, runs[3].recipe.learning_rate) == (
            "gone", "lion", 0.12345678901234567
        )  # fmt: skip
        cells = {run.recipe.cell for run in runs if run.status == "finished"}
    assert {row[0] for row in sql(path, "SELECT recipe FROM tests")} == cells
    assert len(sql(path, "SELECT * FROM tests")) == len(before["tests"]) == len(cells) + 2  # a seed, and a purged one
    make_registry(tmp_path / "new.db")
    assert schema(path) == schema(tmp_path / "new.db")


def test_a_registry_of_schema_5_keeps_every_row_and_its_epochs_say_no_processor_seconds(tmp_path):
    path = Path(shutil.copy(FIXTURES / "schema5.db", tmp_path / "experiments.db"))
    was, before = columns(path), dump(path)
    assert {table: len(rows) for table, rows in before.items() if rows} == {
        "data": 1, "splits": 3, "trainings": 3, "sessions": 3, "epochs": 7, "evaluations": 2, "logits": 2, "weights": 2,
        "checkpoints": 1, "tests": 2, "tags": 1,
    }  # fmt: skip
    (told,) = upgrade(path)
    assert told.endswith(str(tmp_path / "experiments.schema-5.db"))
    assert only(path, was) == before == dump(tmp_path / "experiments.schema-5.db")
    make_registry(tmp_path / "new.db")
    assert schema(path) == schema(tmp_path / "new.db")
    with Registry(path) as registry:
        epochs = [registry.epochs(run.id) for run in registry.runs()]
    assert {epoch.processor_seconds for run in epochs for epoch in run} == {None}


def test_its_weights_are_the_same_bytes_and_answer_as_they_did(old, tmp_path, pristine):
    write_task(tmp_path / "task")
    kept = dict(sql(pristine, "SELECT id, safetensors FROM weights JOIN runs ON run_key = key"))
    for run_id, accuracy in TRAINED.items():
        assert ok_json("eval", run_id)["accuracy"] == accuracy
    with Registry(old) as registry:
        assert {run_id: registry.weights(run_id) for run_id in kept} == kept


def test_every_command_that_reads_works_on_it(old, tmp_path):
    runs = ok_json("runs", "list", "--sort=-started")["runs"]
    assert [run["status"] for run in runs] == STATUSES
    assert {run["run"]: run["test_accuracy"] for run in runs if run["run"] in TRAINED} == TRAINED
    assert (runs[0]["name"], runs[0]["note"], runs[0]["tags"]) == ("first", "a note", [])
    for run in runs:
        assert len(ok_json("runs", "show", run["run"])["epochs"]) == run["epochs"]
    assert "nndvmgbd" in ok("compare", "--where", "true", "--format", "csv")


def test_a_run_of_an_older_registry_goes_on(old, tmp_path):
    write_task(tmp_path / "task")
    for table in ("weights", "evaluations"):
        sql(old, f"DELETE FROM {table} WHERE run_key = 2")
    sql(old, "UPDATE runs SET status = 'running', ended_at = NULL, test_accuracy = NULL WHERE key = 2")
    run = ok_json("train", "--resume", "fgxrdrxd", "--epochs", 3)
    assert (run["status"], run["epochs"]) == ("finished", 3)
    assert ok_json("eval", "fgxrdrxd")["accuracy"] == run["test_accuracy"]


def test_new_runs_are_recorded_beside_the_old_ones(old):
    with Registry(old) as registry:
        run_id = start(registry)
        registry.record(run_id, make_epochs(1)[0], b"a checkpoint")
        registry.tag(run_id, ["new"])
        registry.delete("fgxrdrxd")
        registry.go_on("jbzxkzrf", epochs=5, environment=ENVIRONMENT)
        assert [run.status for run in registry.runs()] == [FINISHED, FINISHED, RUNNING, FAILED, LOST, RUNNING]


# The copy


def test_a_copy_of_what_it_was_is_beside_it_and_is_named_once(old, tmp_path, pristine):
    copy = tmp_path / "experiments.schema-1.db"
    before = dump(old)
    first = kws("runs", "list")
    assert first.exit_code == 0
    assert first.stderr.splitlines() == [
        f"{old} was upgraded to schema {SCHEMA_VERSION}; as it was, it is kept as {copy}"
    ]
    assert dump(copy) == before
    assert columns(copy) == columns(pristine)
    assert sql(copy, "PRAGMA user_version") == [(1,)]
    kept = copy.read_bytes()
    again = kws("runs", "list")
    assert (again.stdout, again.stderr) == (first.stdout, "")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [old.name, copy.name]
    assert copy.read_bytes() == kept


def test_a_copy_never_takes_the_place_of_a_file(old, tmp_path):
    names = ["experiments.schema-1.db", "experiments.schema-1-2.db"]
    for name in names:
        (tmp_path / name).write_text(f"mine: {name}")
    before = dump(old)
    (told,) = upgrade(old)
    assert told.endswith(str(tmp_path / "experiments.schema-1-3.db"))
    assert dump(tmp_path / "experiments.schema-1-3.db") == before
    for name in names:
        assert (tmp_path / name).read_text() == f"mine: {name}"


@pytest.mark.parametrize("name", ["no ending", "two.dots.db", "a%20b #?.db", "æ 語.db"])
def test_the_registry_and_its_folder_may_have_any_name(tmp_path, name, pristine):
    folder = tmp_path / f"50% of {name}"
    folder.mkdir()
    path = Path(shutil.copy(SCHEMA_1, folder / name))
    (told,) = upgrade(path)
    copy = path.with_name(f"{path.stem}.schema-1{path.suffix}")
    assert str(copy) in told
    assert dump(copy) == dump(pristine)


# Whole or not at all


def test_an_upgrade_that_fails_half_way_leaves_the_file_as_it_was(old):
    sql(old, "CREATE TABLE tags (something TEXT, else_ TEXT)")  # the third step will find its name taken
    before = dump(old), schema(old)
    with pytest.raises(RegistryError, match="table tags already exists") as refusal:
        upgrade(old)
    assert str(old) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert (dump(old), schema(old), sql(old, "PRAGMA user_version")) == (*before, [(1,)])
    sql(old, "DROP TABLE tags")
    assert len(upgrade(old)) == 1
    assert sql(old, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE runs SET words = '{'",
        "UPDATE runs SET maps = '[1'",
        "DROP TABLE evaluations",
        "DROP TABLE splits",
        "ALTER TABLE runs RENAME COLUMN seed TO sead",
    ],
)
def test_one_that_is_damaged_is_told_so_in_one_sentence_and_is_as_it_was(old, damage):
    sql(old, damage)
    before = old.read_bytes()
    told = refused("runs", "list", "--db", old)
    assert str(old) in told
    assert old.read_bytes() == before
    assert not list(old.parent.glob("*schema-1*"))


def dies_half_way(path: Path) -> None:
    from alembic import op

    create = op.create_table

    def create_table(name, *arguments, **options):
        if name == "checkpoints":
            os._exit(9)
        return create(name, *arguments, **options)

    op.create_table = create_table
    upgrade(path)


def test_an_upgrade_that_is_killed_half_way_leaves_the_file_as_it_was(old):
    before = dump(old), schema(old)
    child = fork.Process(target=dies_half_way, args=(old,))
    child.start()
    child.join(30)
    assert child.exitcode == 9
    assert (dump(old), schema(old), sql(old, "PRAGMA user_version")) == (*before, [(1,)])
    assert len(upgrade(old)) == 1
    assert sql(old, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


def test_a_file_that_may_not_be_written_is_refused_in_one_sentence_and_left_alone(old, tmp_path, nothing_is_writable):
    content = old.read_bytes()
    nothing_is_writable()
    for command in (["runs", "list"], ["compare"], ["db", "info"], ["eval", "last"]):
        sentence = refused(*command)
        assert f"{old} has an older schema and cannot be written" in sentence
    assert [entry.name for entry in tmp_path.iterdir()] == [old.name]
    assert old.read_bytes() == content


@pytest.mark.parametrize("version", [0, -1])
def test_a_schema_that_never_was_is_refused_in_one_sentence_and_nothing_is_copied(old, tmp_path, version):
    sql(old, f"PRAGMA user_version = {version}")
    assert str(old) in refused("runs", "list")
    assert [entry.name for entry in tmp_path.iterdir()] == [old.name]


def opens(path: Path, barrier, results) -> None:
    barrier.wait()
    try:
        told = upgrade(path)
        with Registry(path) as registry:
            results.put((len(told), len(registry.runs())))
    except BaseException as error:
        results.put(repr(error))
        raise


@pytest.mark.parametrize("journal", ["wal", "delete"])
def test_six_processes_that_open_an_old_file_at_once_all_succeed_and_one_makes_a_copy(tmp_path, journal, pristine):
    for attempt in range(2):
        path = Path(shutil.copy(SCHEMA_1, tmp_path / f"{attempt}.db"))
        sql(path, f"PRAGMA journal_mode = {journal}")
        found = at_once(opens, [(path,)] * 6)
        assert sorted(found) == [(0, 6)] * 5 + [(1, 6)]
        assert [entry.name for entry in tmp_path.glob(f"{attempt}.schema*")] == [f"{attempt}.schema-1.db"]
        assert dump(tmp_path / f"{attempt}.schema-1.db") == dump(pristine)


def test_a_current_registry_is_opened_without_what_upgrades_need(tmp_path):
    make_registry(tmp_path / "experiments.db")
    program = (
        "import sys\nfrom kws.cli import app\ntry:\n    app(['runs', 'list'])\nexcept SystemExit as end:\n"
        "    print(end.code, [name for name in ('alembic', 'sqlalchemy', 'sqlmodel') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_the_fixture_is_a_registry_of_schema_1(pristine):
    assert sql(pristine, "PRAGMA user_version") == [(1,)]
    assert sql(pristine, "PRAGMA application_id") == [(0x6B777331,)]


# Schema 4: losses on one scale, and a ledger of what was tested


@pytest.fixture
def of_schema_3(tmp_path) -> Path:
    """A registry of schema 3 with a run that had a softmax before cross-entropy, and one that had not."""
    path = tmp_path / "experiments.db"
    make_registry(path, [make_recipe(softmax=True), make_recipe()])
    to_schema_3(path)
    return path


def to_schema_3(path: Path) -> None:
    """What schema 4 brought is taken away again."""
    to_schema_4(path)
    sql(
        path,
        "PRAGMA journal_mode = DELETE",
        "CREATE TABLE before AS SELECT * FROM evaluations",
        "DROP TABLE evaluations",
        "CREATE TABLE evaluations (run_key INTEGER NOT NULL, data_fingerprint TEXT NOT NULL, split TEXT NOT NULL, "
        "evaluated_at VARCHAR NOT NULL, clips INTEGER NOT NULL, loss FLOAT NOT NULL, accuracy FLOAT NOT NULL, "
        "predictions BLOB NOT NULL, PRIMARY KEY (run_key, data_fingerprint, split), "
        "FOREIGN KEY(run_key) REFERENCES runs (key), FOREIGN KEY(data_fingerprint) REFERENCES data (fingerprint)) "
        "WITHOUT ROWID",
        "INSERT INTO evaluations SELECT run_key, data_fingerprint, split, evaluated_at, clips, objective, accuracy, "
        "predictions FROM before",
        "DROP TABLE before",
        "DROP TABLE manifests",
        "DROP TABLE tests",
        *(f"ALTER TABLE data DROP COLUMN {name}" for name in ("draw", "content", "band_means", "unused")),
        *(f"ALTER TABLE runs DROP COLUMN {name}" for name in ("speakers", "instruction_set")),
        "PRAGMA user_version = 3",
    )


def test_a_double_softmaxs_loss_becomes_that_of_the_probabilities_and_stays_as_the_objective(of_schema_3):
    before = {row[0]: row[1:] for row in sql(of_schema_3, "SELECT run_key, predictions, accuracy FROM evaluations")}
    upgrade(of_schema_3)
    with Registry(of_schema_3) as registry:
        softmax, plain = registry.runs()
        ((card, of_softmax),) = registry.evaluations(softmax.id)
        ((_, of_plain),) = registry.evaluations(plain.id)
        logits = registry.logits(softmax.id, card.fingerprint, "test")
    outputs = torch.from_numpy(np.frombuffer(logits, "<f2").astype(float).reshape(-1, 3))
    labels = torch.frombuffer(bytearray(of_softmax.labels), dtype=torch.uint8).long()
    assert of_softmax.loss == pytest.approx(torch.nn.functional.cross_entropy(outputs, labels).item(), abs=1e-12)
    assert (of_softmax.objective, of_plain.loss, of_plain.objective) == (0.37, 0.37, 0.37)
    after = {row[0]: row[1:] for row in sql(of_schema_3, "SELECT run_key, predictions, accuracy FROM evaluations")}
    assert after == before


def test_a_double_softmaxs_loss_without_logits_is_unknown_and_is_said_so(of_schema_3):
    sql(of_schema_3, "DELETE FROM logits")
    upgrade(of_schema_3)
    with Registry(of_schema_3) as registry:
        softmax, plain = registry.runs()
        assert [registry.evaluations(run.id)[0][1].loss for run in (softmax, plain)] == [None, 0.37]
    assert "loss unknown" in ok("runs", "show", softmax.id)
    assert ok_json("runs", "show", softmax.id)["evaluations"][0]["loss"] is None


def test_every_evaluation_of_an_older_registry_is_in_the_ledger_by_the_recipes_own_digest(of_schema_3):
    upgrade(of_schema_3)
    with Registry(of_schema_3) as registry:
        wanted = {(run.id, run.recipe.cell) for run in registry.runs()}
        again = start(registry, make_recipe(seed=1))
        registry.finish(again, make_evaluation(make_card()), make_card(), b"")
        wanted |= {(again, make_recipe().cell)}
    assert set(sql(of_schema_3, "SELECT run_id, recipe FROM tests")) == wanted
    assert sql(of_schema_3, "SELECT count(DISTINCT recipe) FROM tests") == [(2,)]
