"""The doctor: every kind of damage is named, and what can be mended is, after a copy was made."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import pytest
from commands import dump, kws, ok, ok_json, recipe_with, sql
from ledger import ENVIRONMENT, cut_off, make_epochs, make_recipe, start, train

from kws.registry import doctor
from kws.registry.runs import FAILED, INTERRUPTED, RUNNING
from kws.registry.store import Registry

UNREADABLE = b"no safetensors"


@pytest.fixture
def runs(db) -> tuple[str, str]:
    """A registry with a finished run, whose key is 1, and an interrupted one."""
    with Registry(db, create=True) as opened:
        return train(opened, make_recipe(epochs=2)), cut_off(opened)


def test_the_doctor_has_nothing_to_say_about_a_registry_in_order(runs, db, registry):
    start(registry)  # this one runs
    before = dump(db)
    for options in ([], ["--fix"]):
        assert ok("db", "doctor", *options) == f"{db} is in order\n"
        assert ok_json("db", "doctor", *options) == {"schema": 1, "found": [], "left": [], "copy": None}
    assert dump(db) == before
    assert not list(Path.cwd().glob("*before-fix*"))


DAMAGE = {
    "a missing epoch": ("DELETE FROM epochs WHERE run_key = 1 AND epoch = 1", "has gaps in its epochs", False),
    "epochs_done": ("UPDATE trainings SET epochs_done = 7 WHERE key = 1", "says 7 epochs but has 2", True),
    "accuracy of a run": (
        "UPDATE trainings SET test_accuracy = 0.1 WHERE key = 1",
        "shows another test accuracy",
        True,
    ),
    "no accuracy of a run": ("UPDATE trainings SET test_accuracy = NULL WHERE key = 1", "another test accuracy", True),
    "accuracy of answers": (
        "UPDATE evaluations SET accuracy = 0.1",
        "says a test accuracy of 0.1000, but its answers make 0.8333",
        False,
    ),
    "no answers": ("DELETE FROM evaluations", "is finished but has no answers on its test split", False),
    "answers that are not zlib's": ("UPDATE evaluations SET predictions = x'00'", "cannot be read", False),
    "logits of other answers": (
        f"UPDATE logits SET logits = x'{zlib.compress(bytes(36)[:-2] + b'<<').hex()}'",
        "has logits on its test split that do not make its answers",
        True,
    ),
    "logits that are not zlib's": ("UPDATE logits SET logits = x'00'", "cannot be read", False),
    "too few answers": (
        f"UPDATE evaluations SET predictions = x'{zlib.compress(bytes([0, 1])).hex()}'",
        "has 2 answers on 6 test clips",
        False,
    ),
    "weights": (
        "UPDATE weights SET safetensors = zeroblob(length(safetensors))",
        "has weights that are not what their SHA-256 says",
        False,
    ),
    "weights of no kind": (
        f"UPDATE weights SET safetensors = x'{UNREADABLE.hex()}', sha256 = '{hashlib.sha256(UNREADABLE).hexdigest()}'",
        "has weights that cannot be loaded",
        False,
    ),
    "a checkpoint": (
        "UPDATE checkpoints SET safetensors = zeroblob(length(safetensors))",
        "has checkpoints that are not what their SHA-256 says",
        True,
    ),
    "a checkpoint of no kind": (
        f"UPDATE checkpoints SET safetensors = x'{UNREADABLE.hex()}', "
        f"sha256 = '{hashlib.sha256(UNREADABLE).hexdigest()}'",
        "has checkpoints that cannot be loaded",
        True,
    ),
    "a checkpoint too many": (
        "INSERT INTO checkpoints SELECT 1, 2, sha256, safetensors, url FROM checkpoints",
        "is finished but still has a checkpoint",
        True,
    ),
    "no splits": ("DELETE FROM splits", "answers that cannot be read", False),
    "a lost run": ("UPDATE trainings SET status = 'running', ended_at = NULL WHERE key = 2", "is lost", True),
}


OF_A_FILE = {
    "a foreign key": ("INSERT INTO tags VALUES (99, 'x')", "a row of tags belongs to nothing in trainings", False),
    "no data set": ("DELETE FROM data", "a row of trainings belongs to nothing in data", False),
    "a loss without an end": ("UPDATE epochs SET train_loss = 9e999 WHERE epoch = 2", "losses are not finite", False),
    "a loss of answers without an end": (
        "UPDATE evaluations SET loss = 9e999",
        "has an evaluation whose loss is not finite",
        False,
    ),
    "a mean without an end": ("UPDATE data SET mean = 9e999", "mean or standard deviation is not finite", False),
    "band means without an end": (
        "UPDATE data SET band_means = '[1.0, Infinity]'",
        "mean or standard deviation is not finite",
        False,
    ),
}  # which a server does not let happen, or spells otherwise


@pytest.mark.parametrize(
    ("damage", "problem", "mended"),
    [
        *(pytest.param(*each, id=name) for name, each in DAMAGE.items()),
        *(pytest.param(*each, id=name, marks=pytest.mark.sqlite_file) for name, each in OF_A_FILE.items()),
    ],
)
def test_the_doctor_names_what_is_not_in_order_and_mends_what_can_be(runs, db, damage, problem, mended):
    sql(db, "UPDATE sessions SET process_started = 'earlier'")
    assert ok("db", "doctor") == f"{db} is in order\n"
    sql(db, damage)
    before = dump(db)
    found = kws("db", "doctor")
    assert found.exit_code == 1
    assert problem in found.stdout + found.stderr
    assert "--fix mends it" in found.stdout or not mended
    assert dump(db) == before
    fixed = kws("db", "doctor", "--fix")
    copy = Path("postgres.before-fix.db").absolute()
    if isinstance(db, Path):
        copy = db.with_name("experiments.before-fix.db")
    if mended:
        assert fixed.exit_code == 0
        assert f"{problem}" in fixed.stdout
        assert "(mended)" in fixed.stdout
        assert copy.name in fixed.stderr
        assert dump(copy) == before
        assert ok("db", "doctor") == f"{db} is in order\n"
    else:
        assert fixed.exit_code == 1
        assert dump(db) == before
        assert not copy.exists()


@pytest.mark.parametrize(
    "damage",
    [
        recipe_with('"words":["yes","no"]', '"words":"yes,no"') + " WHERE key = 1",
        recipe_with('"batch_size":1024', '"batch_size":0') + " WHERE key = 1",
        pytest.param(
            recipe_with('"epochs":', '"epochs":"fifty","x":') + " WHERE key = 1",
            marks=pytest.mark.sqlite_file,
        ),
        "UPDATE trainings SET status = 'running'; UPDATE sessions SET heartbeat_at = 'lately', host = 'another'",
        "UPDATE data SET classes = 'yes,no'",
        "INSERT INTO splits SELECT data_fingerprint, 'another', fingerprint, clips, counts, labels FROM splits LIMIT 1",
    ],
)
def test_a_run_that_cannot_be_read_at_all_is_named(runs, db, damage):
    sql(db, *damage.split(";"))
    before = dump(db)
    result = kws("db", "doctor")
    assert result.exit_code == 1
    assert runs[0] in result.stdout
    assert dump(db) == before


@pytest.mark.sqlite_file
@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM splits WHERE split = 'test'",
        "DELETE FROM data",
        "UPDATE trainings SET name = CAST(x'ff' AS TEXT)",
        recipe_with('"words":["yes","no"]', '"words":"yes,no"'),
        "UPDATE trainings SET test_accuracy = 'high'",
        "UPDATE trainings SET parameters = '[]'",
        "UPDATE epochs SET train_accuracy = x'00', iteration_losses = 'few'",
        "UPDATE evaluations SET loss = 'low'",
        "UPDATE tags SET tag = x'00'",
        "UPDATE data SET source = x'00'",
        "PRAGMA writable_schema = 1;"
        "UPDATE sqlite_master SET sql = CAST(x'43524541544520ff' AS TEXT) WHERE name = 'tags'",
    ],
)
def test_whatever_is_damaged_no_command_ends_in_a_traceback(runs, db, damage):
    sql(db, "INSERT INTO tags VALUES (1, 'x')")
    sql(db, *damage.split(";"))
    for command in ("db doctor", "db info", "runs list", f"runs show {runs[0]}", "runs diff last last", "compare"):
        result = kws(*command.split())  # an exception would come through
        assert result.exit_code == 0 or result.stdout or result.stderr.startswith("kws: ")


def test_what_can_be_mended_is_mended_beside_what_cannot(runs, db):
    sql(db, "DELETE FROM epochs WHERE run_key = 1 AND epoch = 2")
    result = kws("db", "doctor", "--fix", "--json")
    assert result.exit_code == 1
    assert f'"{runs[0]}"' in result.stdout
    problems = [line.strip() for line in result.stdout.splitlines() if "problem" in line]
    assert problems.count('"problem": "says 2 epochs but has 1"') == 1  # found, and not left
    assert problems.count('"problem": "is finished but has 1 of 2 epochs"') == 2
    assert sql(db, "SELECT epochs_done FROM runs WHERE key = 1") == [(1,)]


def test_a_lost_run_that_was_mended_is_interrupted_and_can_go_on(registry, db):
    run_id = start(registry)
    sql(db, "UPDATE sessions SET process_started = 'earlier'")
    assert f"run {run_id} is lost; to resume it: kws train --resume {run_id}" in kws("db", "doctor").stdout
    ok("db", "doctor", "--fix")
    run = registry.run(run_id)
    assert run.status == INTERRUPTED
    assert run.ended_at >= run.started_at


@pytest.mark.parametrize("meanwhile", ["goes on", "ends"])
def test_a_lost_run_that_another_process_takes_meanwhile_is_left_to_it(registry, db, meanwhile):
    run_id = start(registry)
    sql(db, "UPDATE sessions SET process_started = 'earlier'")
    found = doctor.examine(db)
    assert [finding.run for finding in found] == [run_id]
    registry.go_on(run_id, epochs=registry.by_id(run_id).recipe.epochs, environment=ENVIRONMENT)
    if meanwhile == "ends":
        registry.end(run_id, FAILED, "no reason")
    assert doctor.mend(db, found, "2026-01-01T00:00:00+00:00")[1] == 0
    assert registry.by_id(run_id).status == (FAILED if meanwhile == "ends" else RUNNING)


@pytest.mark.sqlite_file
def test_no_page_can_be_overwritten_without_the_doctor_seeing_it(runs, db, tmp_path):
    whole = db.read_bytes()
    (size,) = sql(db, "PRAGMA page_size")[0]
    broken = tmp_path / "broken.db"
    for page in range(1, len(whole) // size):
        broken.write_bytes(whole[: page * size] + b"\xff" * size + whole[(page + 1) * size :])
        result = kws("db", "doctor", "--db", broken)
        assert result.exit_code == 1, page
        assert "the file is damaged" in result.stdout or str(broken) in result.stderr
    assert ok("db", "doctor") == f"{db} is in order\n"


def test_an_epoch_that_is_recorded_while_the_doctor_looks_is_no_finding(registry, db, monkeypatch):
    run_id = start(registry)
    known = Registry.epochs

    def meanwhile(self, asked):
        registry.record(run_id, make_epochs(1)[0])
        return known(self, asked)

    monkeypatch.setattr("kws.registry.reader.RegistryReader.epochs", meanwhile)
    assert doctor.examine(db) == []
