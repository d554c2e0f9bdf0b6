"""Which runs a list or a table is about: by an expression, tags, data, status and time, alone and together."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import clone, dump, kws, ok, ok_json, refused, sql
from ledger import cut_off, make_card, make_recipe, make_registry, start, train

from kws.errors import RegistryError
from kws.registry.location import Location
from kws.registry.runs import FAILED
from kws.registry.selection import Selection, parse_since
from kws.registry.store import Registry

NAMES = ("first", "second", "interrupted", "failed", "lost", "running")


@pytest.fixture(scope="module")
def six_runs(new_place) -> Location:
    """A run of each status, from a day in March each; this process keeps one of them running."""
    path = new_place()
    with Registry(path, create=True) as registry:
        first = train(registry, make_recipe("cnn", "adam", seed=0, epochs=2))
        second = train(registry, make_recipe("fc", "sgd", seed=1, epochs=2, data="folder"), make_card("other"), wrong=3)
        registry.tag(first, ["paper"])
        registry.tag(second, ["paper", "draft"])
        cut_off(registry)
        registry.end(start(registry), FAILED, "no reason")
        lost, running = start(registry), start(registry)
        keys = {run.id: key for key, run in enumerate(registry.runs(), 1)}
        sql(path, "UPDATE sessions SET process_started = 'earlier' WHERE run_key = ?", values=(keys[lost],))
        for key, name in enumerate(NAMES, 1):
            values = (name, f"2026-03-0{key}T12:00:00.000+00:00", key)
            sql(path, "UPDATE trainings SET name = ?, started_at = ? WHERE key = ?", values=values)
        assert registry.run(running).name == "running"
    return path


@pytest.fixture
def db(six_runs, db) -> Location:
    return clone(six_runs, db)


def chosen(*options: object) -> list[str]:
    """The names of the runs that a list shows."""
    return [run["name"] for run in ok_json("runs", "list", "--sort", "-started", *options)["runs"]]


# By an expression


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("arch = 'fc'", ["second"]),
        ("arch = 'cnn' and test_accuracy > 0.8", ["first"]),
        ("test_accuracy > 0.4 and opt IN ('sgd', 'adam')", ["first", "second"]),
        ("status = 'lost'", ["lost"]),
        ("status = 'running'", ["running"]),
        ("status NOT IN ('lost', 'running', 'finished')", ["interrupted", "failed"]),
        ("source = 'other'", ["second"]),
        ("data = 'folder' and source = 'other'", ["second"]),
        ("seed = 1 or name LIKE 'inter%'", ["second", "interrupted"]),
        ("epochs_done < epochs", ["interrupted", "failed", "lost", "running"]),
        ("error IS NOT NULL", ["failed"]),
        ("started_at >= '2026-03-05'", ["lost", "running"]),
        ("test_accuracy = (SELECT max(test_accuracy) FROM runs)", ["first"]),
        ("key IN (SELECT run_key FROM tags WHERE tag = 'draft')", ["second"]),
        ("learning_rate BETWEEN 0.005 AND 0.05", ["second"]),
        pytest.param("1", list(NAMES), marks=pytest.mark.sqlite_file),
        pytest.param("0", [], marks=pytest.mark.sqlite_file),
        ("true", list(NAMES)),
        ("false", []),
        ("softmax = false and NOT softmax", list(NAMES)),
        ("NULL", []),
        ("test_accuracy > 0.8 -- and so on", ["first"]),
        ("\n seed = 1 \n", ["second"]),
    ],
)
def test_where_takes_the_runs_for_which_it_is_true(db, where, names):
    assert chosen("--where", where) == names


@pytest.mark.parametrize(
    "where",
    [
        *("", " ", "nonsense", "arch =", "(", ")", "arch = 'cnn", "?", ":x", "/*", "--", "seed = 1, arch = 'fc'"),
        *(
            "1;",
            "1; DROP TABLE trainings",
            "1); DELETE FROM trainings; --",
            "1) ; SELECT (1",
            "1) UNION SELECT",
            "max(seed) = 1",
        ),
        *(
            "key IN (DELETE FROM trainings RETURNING key)",
            "(INSERT INTO tags VALUES (1, 'x'))",
            "(PRAGMA user_version = 9)",
        ),
        *("1) UNION DELETE FROM trainings WHERE (1", "1) UNION SELECT 1, 2 WHERE (1", "load_extension('x.so')"),
        *(
            "(SELECT 1, 2)",
            "nothing.seed = 1",
            "key IN (SELECT key FROM nothing)",
            "(SELECT * FROM pragma_x)",
            "\udcff",
        ),
        "zeroblob(2000000000)",
    ],
)
def test_where_that_is_no_expression_or_writes_is_refused_in_one_sentence(db, where):
    before = dump(db)
    assert len(refused("runs", "list", f"--where={where}")) < 400
    assert refused("compare", f"--where={where}")
    assert dump(db) == before


@pytest.mark.parametrize(
    "where",
    [
        "false) UNION SELECT key FROM runs WHERE (true",
        "false) UNION ALL SELECT key FROM runs WHERE name = 'first' OR (false",
        "false) UNION SELECT 99 WHERE (true",
        pytest.param("0) UNION SELECT 'x' WHERE (1", marks=pytest.mark.sqlite_file),
        pytest.param("0) UNION SELECT sha256 FROM weights WHERE (1", marks=pytest.mark.sqlite_file),
    ],
)
def test_an_expression_that_closes_the_bracket_shows_runs_of_the_list_at_most_and_changes_nothing(db, where):
    ok("runs", "delete", sql(db, "SELECT id FROM runs WHERE name = 'second'")[0][0])
    before = dump(db)
    assert set(chosen("--where", where)) <= set(NAMES) - {"second"}
    assert dump(db) == before


def test_where_without_end_stops(db, monkeypatch):
    monkeypatch.setattr("kws.registry.selection._SECONDS", 0.1)
    endless = "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c) > 0"
    before = time.monotonic()
    said = refused("runs", "list", "--where", endless)
    assert "took more than 0.1 s and was stopped" in said
    assert "not understood" not in said
    assert time.monotonic() - before < 5


@pytest.mark.parametrize("word", ["interrupted", "locked", "not authorized", "statement timeout"])
def test_an_expression_may_hold_any_word(db, word):
    assert chosen("--where", f"'{word}' = '{word}'") == chosen()
    assert "is not understood (" in refused("runs", "list", "--where", f"'{word}' = nothing")


@pytest.mark.sqlite_file
def test_a_registry_that_is_locked_is_not_an_expression_that_is_not_understood(db, monkeypatch):
    @contextmanager
    def locked(connection, seconds):
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY_SNAPSHOT
        raise error
        yield

    monkeypatch.setattr("kws.registry.queries.only_reading", locked)
    said = refused("runs", "list", "--where", "seed = 1")
    assert "was locked by another program" in said
    assert "not understood" not in said


def test_after_an_expression_the_registry_can_be_written_again(db):
    with Registry(db) as registry:
        with pytest.raises(RegistryError):
            registry.runs(Selection(where="nonsense"))
        assert len(registry.runs(Selection(where="seed = 1"))) == 1
        registry.annotate(registry.run("last").id, "written")
        assert registry.run("last").note == "written"


# By tags, data and status


def test_a_tag_that_is_asked_for_twice_must_be_there_with_the_other(db):
    assert chosen("--tag", "paper") == ["first", "second"]
    assert chosen("--tag", "paper", "--tag", "draft") == chosen("--tag", "draft") == ["second"]
    assert chosen("--tag", "draft", "--tag", "other") == chosen("--tag", "pap") == chosen("--tag", "PAPER") == []


def test_data_is_the_name_that_tables_show_or_what_was_typed(db):
    assert chosen("--data", "other") == chosen("--data", "folder") == ["second"]
    assert chosen("--data", "clips") == [name for name in NAMES if name != "second"]
    assert chosen("--data", "synthetic") == [name for name in NAMES if name != "second"]
    assert chosen("--data", "nothing") == []


@pytest.mark.parametrize(
    ("status", "names"),
    [("finished", ["first", "second"]), *((name, [name]) for name in ("interrupted", "failed", "lost", "running"))],
)
def test_a_status_is_the_true_one(db, status, names):
    assert chosen("--status", status) == names
    assert {run["status"] for run in ok_json("runs", "list", "--status", status)["runs"]} == {status}


def test_a_status_that_there_is_not_is_a_mistake_in_the_command_line(db):
    assert "'superb' is not one of" in refused("runs", "list", "--status", "superb", code=2)


# By time

NOW = datetime(2026, 3, 15, 12, 30, tzinfo=UTC)


@pytest.fixture
def copenhagen(monkeypatch):
    """A place that is an hour before UTC in winter, and two in summer."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.delenv("TZ")
    time.tzset()


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("30min", "2026-03-15T12:00:00.000+00:00"),
        ("12h", "2026-03-15T00:30:00.000+00:00"),
        ("7d", "2026-03-08T12:30:00.000+00:00"),
        (" 2 w ", "2026-03-01T12:30:00.000+00:00"),
        ("0h", "2026-03-15T12:30:00.000+00:00"),
        ("2026-03-01", "2026-02-28T23:00:00.000+00:00"),
        ("2026-07-01", "2026-06-30T22:00:00.000+00:00"),
        ("2026-03-01 12:15", "2026-03-01T11:15:00.000+00:00"),
        ("2026-03-01T12:15:30Z", "2026-03-01T12:15:30.000+00:00"),
        ("2026-03-01T12:15:30.5+05:00", "2026-03-01T07:15:30.500+00:00"),
        ("99999999999999d", "0001-01-01T00:00:00.000+00:00"),
        ("9" * 5_000 + "d", "0001-01-01T00:00:00.000+00:00"),
    ],
)
def test_a_time_is_a_date_of_this_place_or_an_age(copenhagen, text, since):
    assert parse_since(text, NOW) == since


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "yesterday", "7", "d7", "-7d", "7 years", "1.5h", "7d 3h", "7m", "2026-13-01", "2026-02-30"),
        *(
            "2026-03-01T25:00",
            "03/01/2026",
            "12:30",
            "now",
            "0001-01-01T00:00:00+23:59",
            "2026-03-01; DROP TABLE trainings",
        ),
    ],
)
def test_a_time_that_is_none_is_refused_in_one_sentence(db, text):
    with pytest.raises(RegistryError, match="is no time; give a date such as"):
        parse_since(text, NOW)
    assert "is no time" in refused("runs", "list", f"--since={text}")


def test_since_takes_the_runs_that_were_started_then_or_later(db):
    assert chosen("--since", "2026-03-04T12:00Z") == ["failed", "lost", "running"]
    assert chosen("--since", "2026-03-04T12:00:00.001Z") == ["lost", "running"]
    assert chosen("--since", "2999-01-01") == []
    assert chosen("--since", "9999w") == list(NAMES)
    with Registry(db) as registry:
        train(registry)
    assert len(ok_json("runs", "list", "--since", "5min")["runs"]) == 1


# Together, and in other commands


def test_all_that_is_asked_for_must_hold(db):
    both = ("--where", "seed < 9", "--tag", "paper")
    assert chosen(*both, "--data", "clips", "--status", "finished", "--since", "2026-03-01") == ["first"]
    assert chosen(*both, "--data", "clips", "--since", "2026-03-02") == []
    assert chosen(*both, "--status", "failed") == []


def test_deleted_runs_can_be_chosen_among_too(db):
    for name in ("first", "second"):
        ok("runs", "delete", sql(db, "SELECT id FROM runs WHERE name = ?", values=(name,))[0][0])
    assert chosen("--deleted") == ["first", "second"]
    assert chosen("--deleted", "--where", "arch = 'fc'") == chosen("--deleted", "--tag", "draft") == ["second"]
    assert chosen("--where", "arch = 'fc'") == []


def test_a_table_is_made_of_the_runs_that_were_chosen(db):
    def cells(*options: object) -> list[tuple[str, str]]:
        tables = json.loads(ok("compare", "--format", "json", *options))["tables"]
        return [(cell["arch"], cell["opt"]) for table in tables for cell in table["cells"]]

    first, second = ("cnn", "adam"), ("fc", "sgd")
    assert sorted(cells()) == sorted(cells("--tag", "paper")) == [first, second]
    assert cells("--where", "test_accuracy > 0.8") == cells("--data", "clips") == [first]
    assert cells("--tag", "draft") == cells("--since", "2026-03-01T18:00Z") == [second]
    assert cells("--where", "1 = 0") == []
    assert "has 2 finished runs, and none matches --tag nothing" in kws("compare", "--tag", "nothing").stderr


def test_a_list_of_none_does_not_say_that_there_are_no_runs(db, tmp_path):
    for options in (["--tag", "nothing"], ["--where", "1 = 0"], ["--deleted"], ["--since", "2999-01-01"]):
        result = kws("runs", "list", *options)
        assert result.exit_code == 0
        assert "no runs yet" not in result.stderr
    make_registry(Path("empty.db"))
    assert "no runs yet" in kws("runs", "list", "--db", "empty.db").stderr
