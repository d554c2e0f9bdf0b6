"""Of a registry of many runs only what may have changed is read again, and nothing that has changed is missed."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import sql
from ledger import make_recipe, make_registry, start, train

from kws.errors import RegistryError
from kws.registry import all_runs
from kws.registry.all_runs import AllRuns
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry


@pytest.fixture
def db(tmp_path, monkeypatch) -> Path:
    """Six runs, which are many here; they are compared with what they were at every reading."""
    monkeypatch.setattr(all_runs, "MANY", 3)
    monkeypatch.setattr(all_runs, "_SHARE", 0)
    path = tmp_path / "experiments.db"
    make_registry(path, [make_recipe("fc", "sgd", seed=seed) for seed in range(6)])
    return path


@pytest.fixture
def asked(monkeypatch) -> list[int]:
    """How many runs each further reading makes."""
    found: list[int] = []
    made = RegistryReader.runs_of

    def counted(self, *arguments, **more):
        runs = made(self, *arguments, **more)
        found.append(len(runs))
        return runs

    monkeypatch.setattr(RegistryReader, "runs_of", counted)
    return found


def read(runs: AllRuns, path: Path) -> None:
    with RegistryReader(path) as registry:
        runs.read(registry)


def expected(path: Path) -> tuple:
    with RegistryReader(path) as registry:
        return tuple(registry.runs())


CHANGES = {
    "a tag": lambda db, run: sql(db, f"INSERT INTO tags SELECT key, 'good' FROM trainings WHERE id = '{run}'"),
    "a note": lambda db, run: sql(db, f"UPDATE trainings SET note = 'odd' WHERE id = '{run}'"),
    "a test": lambda db, run: sql(db, f"UPDATE trainings SET test_accuracy = 0.125 WHERE id = '{run}'"),
    "a deletion": lambda db, run: sql(db, f"UPDATE trainings SET deleted_at = started_at WHERE id = '{run}'"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_to_an_old_run_is_seen_and_no_other_run_is_read(db, asked, change):
    known = AllRuns()
    read(known, db)
    before = known.runs
    CHANGES[change](db, before[1].id)
    asked.clear()
    read(known, db)
    assert sum(asked) <= 1
    assert known.runs == expected(db) != before
    assert known.runs[-1] is before[-1], "what has not changed is the same object"


def test_new_runs_and_those_that_train_are_read_each_time(db, asked, monkeypatch):
    known = AllRuns()
    read(known, db)
    monkeypatch.setattr(all_runs, "_SHARE", 1e9)  # older runs are not compared again
    with Registry(db) as registry:
        run_id = start(registry)
        train(registry, make_recipe("cnn", "adam"))
        asked.clear()
        read(known, db)
        assert asked == [2]
        assert known.runs == expected(db)
        registry.end(run_id, "failed", "it broke")
        asked.clear()
        read(known, db)
        assert asked == [1]
        assert known.runs == expected(db)
    assert known.is_behind, "older runs may have changed"


def test_nothing_is_read_where_nothing_has_changed(db, asked):
    known = AllRuns()
    read(known, db)
    before = known.runs
    asked.clear()
    read(known, db)
    assert asked == []
    assert known.runs is before


def test_another_registry_in_its_place_is_read_whole(db, tmp_path):
    known = AllRuns()
    read(known, db)
    make_registry(tmp_path / "new.db", [make_recipe("cnn", "adam", seed=seed) for seed in range(5)])
    (tmp_path / "new.db").replace(db)
    read(known, db)
    assert known.runs == expected(db)
    assert len(known.runs) == 5


def test_the_newest_are_read_alone(db, asked):
    with RegistryReader(db) as registry:
        found = all_runs.newest(registry, 2)
        assert all_runs.count(registry) == 6
    assert asked == [2]
    assert found == expected(db)[-2:]


def test_the_accuracies_of_many_runs_are_those_of_each(db, monkeypatch):
    monkeypatch.setattr("kws.registry.protocols._AT_ONCE", 4)
    with RegistryReader(db) as registry:
        ids = [run.id for run in registry.runs()]
        found = registry.accuracies_of([*ids, "nobody"])
        assert {each: [*found[each]] for each in found} == {each: registry.validation_accuracies(each) for each in ids}
        assert all(found.values())


def test_the_processor_seconds_of_many_runs_are_those_of_each(db, monkeypatch):
    monkeypatch.setattr("kws.registry.protocols._AT_ONCE", 4)
    with RegistryReader(db) as registry:
        ids = [run.id for run in registry.runs()]
        sql(db, f"UPDATE epochs SET processor_seconds = NULL WHERE epoch = 1 AND run_key = {keys(db)[ids[0]]}")
        found = registry.processor_seconds([*ids, "nobody"])
        assert found == {each: registry.curve(each).all_processor_seconds for each in ids}
        assert found[ids[0]] is None
        assert all(found[each] for each in ids[1:])


def keys(db) -> dict[str, int]:
    return dict(sql(db, "SELECT id, key FROM trainings"))


@pytest.mark.sqlite_file
@pytest.mark.parametrize("wrong", ["'long'", "x'ff'", "9e999"])
def test_processor_seconds_that_are_none_are_told(db, wrong):
    sql(db, f"UPDATE epochs SET processor_seconds = {wrong} WHERE epoch = 1 AND run_key = 1")
    with RegistryReader(db) as registry, pytest.raises(RegistryError, match=r"is damaged: run \w+ cannot be read"):
        registry.processor_seconds([run.id for run in registry.runs()])
