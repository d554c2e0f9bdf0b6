"""Somebody's own SQL: it reads, in every form of answer, and cannot write, run for ever or take all memory."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import clone, kws, ok, ok_json, refused, spoken, sql, state
from ledger import cut_off, make_recipe, make_registry

from kws.registry import queries
from kws.registry.location import Location, ServerUrl
from kws.registry.store import Registry

fork = multiprocessing.get_context("fork")
COUNTING = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)"  # without end


@pytest.fixture(scope="module")
def three_runs(new_place) -> Location:
    path = new_place()
    make_registry(path, [make_recipe(seed=seed) for seed in range(3)])
    return path


@pytest.fixture
def db(three_runs, db) -> Location:
    return clone(three_runs, db)


def query(*arguments: object) -> str:
    return ok("db", "query", *arguments)


# Answers


def test_an_answer_is_a_table_for_people(db):
    text = "SELECT seed, arch AS network, note, x'00ff' AS bytes FROM runs ORDER BY seed LIMIT 2"
    printed = query(spoken(db, text))
    assert printed.splitlines() == [
        "seed  network  note  bytes",
        "0     cnn      -     (2 bytes)",
        "1     cnn      -     (2 bytes)",
    ]


def test_an_answer_is_json_for_a_program(db):
    text = "SELECT seed, 0.5 AS half, NULL AS n, 'æ\n🎤' AS text, x'00ff' AS bytes FROM runs"
    answer = ok_json("db", "query", spoken(db, text))
    assert answer == {
        "schema": 1,
        "columns": ["seed", "half", "n", "text", "bytes"],
        "rows": [[seed, 0.5, None, "æ\n🎤", "00ff"] for seed in range(3)],
        "cut": False,
    }
    assert ok_json("db", "query", "SELECT * FROM runs WHERE 1 = 0")["rows"] == []


def test_an_answer_is_csv_for_a_spreadsheet(db):
    text = "one, \"two\",\nthree 'æ'"
    quoted = text.replace("'", "''")
    printed = query(spoken(db, f"SELECT seed, '{quoted}' AS text, NULL AS n, x'00ff' AS bytes FROM runs"), "--csv")
    assert list(csv.reader(io.StringIO(printed, newline=""))) == [
        ["seed", "text", "n", "bytes"],
        *([str(seed), text, "", "00ff"] for seed in range(3)),
    ]


def test_json_is_json_whatever_the_numbers_are(db):
    def not_json(constant):
        raise AssertionError(f"{constant} is not JSON")

    answer = query(spoken(db, "SELECT 9e999, -9e999, 1e308"), "--json")
    assert json.loads(answer, parse_constant=not_json)["rows"] == [[None, None, 1e308]]


def test_json_and_csv_together_are_refused(db):
    assert "--json and --csv are two forms of one answer" in refused("db", "query", "SELECT 1", "--json", "--csv")


def test_nothing_in_an_answer_moves_the_terminals_cursor(db):
    printed = query(spoken(db, "SELECT 'a' || char(27) || '[31m' || char(10) || 'b' AS \"c\x1b[31m\nd\""))
    assert len(printed.splitlines()) == 2
    assert all(line.isprintable() for line in printed.splitlines())


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_a_limit_cuts_and_says_so(db, form):
    result = kws("db", "query", "SELECT seed FROM runs", "--limit", 2, *form)
    assert result.exit_code == 0
    assert result.stderr == "note: there are more than 2 rows; --limit shows more\n"
    assert "1" in result.stdout
    if form == ["--json"]:
        assert json.loads(result.stdout)["rows"] == [[0], [1]]
        assert json.loads(result.stdout)["cut"] is True
    else:
        assert len(result.stdout.splitlines()) == 3
    assert kws("db", "query", "SELECT seed FROM runs", "--limit", 3, *form).stderr == ""


def test_without_a_limit_there_are_ten_thousand_rows_at_most(db):
    answer = ok_json("db", "query", f"{COUNTING} SELECT n FROM c")
    assert (len(answer["rows"]), answer["cut"]) == (10_000, True)


@pytest.mark.parametrize("limit", [0, -1, "many"])
def test_a_limit_that_cannot_be_is_a_mistake_in_the_command_line(db, limit):
    assert "--limit" in refused("db", "query", "SELECT 1", "--limit", limit, code=2)


def test_a_limit_may_be_as_large_as_one_likes(db):
    assert query("SELECT 1 AS one", "--limit", 10**18).split() == ["one", "1"]


def test_a_semicolon_and_a_comment_may_end_a_query(db):
    for ending in (";", " ; ", " -- and so on", ";\n-- and so on", " /* and so on */;"):
        assert query(f"SELECT 1 AS one{ending}").split() == ["one", "1"]


@pytest.mark.sqlite_file
def test_a_registry_that_may_only_be_read_is_asked_like_any_other(db, monkeypatch):
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and real(path, mode))
    assert query("SELECT count(*) AS n FROM runs").split() == ["n", "3"]


@pytest.mark.sqlite_file
def test_a_missing_registry_is_told(tmp_path):
    assert "there is no registry at" in refused("db", "query", "SELECT 1", "--db", tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


# What it may not do

WRITING = [
    "INSERT INTO tags VALUES (1, 'x')",
    "WITH x AS (SELECT 1) INSERT INTO tags SELECT 1, 'x' FROM x",
    "REPLACE INTO tags VALUES (1, 'x')",
    "UPDATE trainings SET note = 'x'",
    "UPDATE trainings SET note = 'x' RETURNING id",
    "DELETE FROM epochs",
    "DELETE FROM epochs RETURNING epoch",
    "DROP TABLE weights",
    "CREATE TABLE x (y)",
    "CREATE TEMP TABLE x (y)",
    "CREATE VIEW x AS SELECT 1",
    "CREATE TEMP VIEW x AS SELECT 1",
    "CREATE TRIGGER x AFTER INSERT ON runs BEGIN DELETE FROM trainings; END",
    "CREATE INDEX x ON runs (seed)",
    "CREATE VIRTUAL TABLE x USING fts5(y)",
    "ALTER TABLE trainings ADD COLUMN x",
    "ALTER TABLE trainings RENAME TO x",
    "ATTACH 'other.db' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "PRAGMA writable_schema = ON",
    "PRAGMA user_version = 9",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA temp_store_directory = '/tmp'",
    "VACUUM",
    "VACUUM INTO 'other.db'",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "RELEASE x",
    "REINDEX",
    "ANALYZE",
    "SELECT load_extension('other.so')",
    "SELECT writefile('other.db', 'x')",
    "SELECT readfile('/etc/hostname')",
]


@pytest.mark.parametrize("statement", WRITING)
def test_whatever_writes_is_refused_in_one_sentence_and_the_file_stays_as_it_is(db, tmp_path, statement):
    before = state(db)
    assert "the query cannot be run (" in refused("db", "query", statement)
    assert state(db) == before
    assert [entry.name for entry in tmp_path.iterdir()] == ([db.name] if isinstance(db, Path) else [])


ONLY_THERE = ("CAST(x'ff' AS TEXT)", "abs(-9223372036854775808)", "")  # what is no mistake elsewhere
NO_QUERY = [
    *(
        "",
        " ",
        "\n",
        ";",
        ";;",
        "-- nothing",
        "/* nothing */",
        pytest.param("SELECT", marks=pytest.mark.sqlite_file),
        "SELEC 1",
        "SELECT 'a",
        "SELECT (1",
        "'",
    ),
    *(
        "SELECT 1; SELECT 2",
        "SELECT 1; DELETE FROM trainings",
        "; DELETE FROM trainings",
        "SELECT 1;;DROP TABLE trainings",
    ),
    *("SELECT * FROM nothing", "SELECT nothing FROM runs", "SELECT nothing()", "SELECT ?", "SELECT :x", "runs"),
    *("SELECT '\udcff'", "SELECT json('{')"),
    *(pytest.param(f"SELECT {each}", marks=pytest.mark.sqlite_file) for each in ONLY_THERE),
]


@pytest.mark.parametrize("text", NO_QUERY)
def test_what_is_no_query_or_several_ends_in_one_sentence(db, text):
    before = state(db)
    assert len(refused("db", "query", "--", text)) < 300
    assert state(db) == before


# For how long, and how much

ENDLESS = {
    "count": f"{COUNTING} SELECT count(*) FROM c",
    "never a row": f"{COUNTING} SELECT n FROM c WHERE n < 0",
    "a join": f"{COUNTING}, d AS (SELECT n FROM c LIMIT 100000) SELECT count(*) FROM d AS a, d AS b",
    "sorted": f"{COUNTING} SELECT n FROM c LIMIT 1 OFFSET 1000000000",
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_a_query_without_end_stops_after_its_seconds(db, text):
    before = time.monotonic()
    assert "the query took more than 0.1 s and was stopped" in refused("db", "query", text, "--seconds", 0.1)
    assert time.monotonic() - before < 5


def asks(path: Path, text: str) -> None:
    with pytest.raises(queries.RegistryError):
        queries.query(path, text, seconds=0.1, limit=10)
    os._exit(7)


@pytest.mark.sqlite_file
def test_a_single_function_that_takes_for_ever_stops_too(db):
    text = "SELECT instr(hex(zeroblob(40000000)), hex(zeroblob(400000)) || '1')"
    child = fork.Process(target=asks, args=(db, text))
    child.start()
    child.join(5)
    child.kill()
    child.join()
    assert child.exitcode == 7


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_seconds_that_cannot_be_are_a_mistake_in_the_command_line(db, seconds):
    assert "--seconds" in refused("db", "query", "SELECT 1", "--seconds", seconds, code=2)


HUGE = {
    "zeros": "SELECT zeroblob(2000000000)",
    "at random": "SELECT randomblob(1000000000)",
    "hexadecimal": "SELECT hex(zeroblob(90000000))",
    "replaced": "SELECT replace(replace(hex(zeroblob(10000)), '0', hex(zeroblob(1000))), '0', hex(zeroblob(1000)))",
    "put together": f"{COUNTING} SELECT group_concat(hex(zeroblob(1000000))) FROM (SELECT n FROM c LIMIT 60)",
}


@pytest.mark.sqlite_file
@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_value_too_large_ends_in_one_sentence(db, text):
    assert "the query cannot be run (string or blob too big)" in refused("db", "query", text)


@pytest.mark.sqlite_file
def test_many_large_values_end_in_one_sentence_before_the_memory_does(db):
    program = (
        "import resource, sys\nresource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from kws.cli import main\nsys.argv[1:] = ['db', 'query', sys.argv[1], '--seconds', '5']\nmain()"
    )
    text = f"{COUNTING} SELECT zeroblob(50000000) FROM c"
    done = subprocess.run([sys.executable, "-c", program, text], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert [line[:5] for line in done.stderr.splitlines()] == ["kws: "], done.stderr[-500:]


# What happened is told by the database's code, and not by words, which may be anybody's

WORDS = (
    *("interrupted", "not authorized", "statement timeout", "database is locked", "database or disk is full"),
    *("disk I/O error", "attempt to write a readonly database", "unable to open database file", "out of memory"),
    "string or blob too big",
)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]], ids=["table", "json", "csv"])
def test_an_answer_may_hold_any_word(db, word, form):
    assert word in query(f"SELECT '{word}' AS \"{word}\"", *form)


@pytest.mark.parametrize("word", WORDS)
def test_a_mistake_beside_such_a_word_is_told_as_that_mistake(db, word):
    said = refused("db", "query", f'SELECT "{word}" FROM nothing')
    assert "the query cannot be run (" in said
    assert "nothing" in said
    assert "only reading is allowed" not in refused("db", "query", f'SELECT runs."{word}" FROM runs')


def test_runs_that_were_interrupted_are_listed(db):
    with Registry(db) as registry:
        cut_off(registry)
    assert {"interrupted", "finished"} <= set(query("SELECT id, status FROM runs").split())


@pytest.mark.sqlite_file
@pytest.mark.parametrize("statement", ["DELETE FROM epochs", "PRAGMA user_version = 9", "COMMIT"])
def test_what_sqlite_may_not_do_is_told_by_its_code(db, statement):
    assert "the query cannot be run (only reading is allowed)" in refused("db", "query", statement)


def test_a_statement_that_somebody_else_ends_did_not_take_too_long():
    class CancelledError(Exception):
        sqlstate = "57014"

    now = time.monotonic()
    assert queries.was_stopped(CancelledError(), now - 1)
    assert not queries.was_stopped(CancelledError(), now + 60)
    assert not queries.was_stopped(RuntimeError("interrupted"), now - 1)


def test_a_query_that_was_stopped_leaves_the_registry_as_it_was(db):
    refused("db", "query", ENDLESS["count"], "--seconds", 0.05)
    assert isinstance(db, ServerUrl) or sql(db, "PRAGMA integrity_check") == [("ok",)]
    assert len(ok_json("runs", "list")["runs"]) == 3
