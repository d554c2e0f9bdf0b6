"""A registry of an older schema on a server: upgraded whole, once, by whoever may, however many open it."""

from __future__ import annotations

import re
import subprocess

import pytest
from at_once import at_once
from commands import connect, kws, ok_json, refused, sql
from ledger import make_recipe, make_registry
from older import to_schema_4
from server import programs

from kws.registry import postgresql
from kws.registry.schema import SCHEMA_VERSION
from kws.registry.store import Registry

COLUMNS = (
    "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = {} ORDER BY 1"
)


@pytest.fixture
def old(url):
    """A registry of schema 3 with a run that had a softmax before cross-entropy, and one that had not."""
    make_registry(url, [make_recipe(softmax=True), make_recipe()])
    to_schema_4(url)
    sql(
        url,
        "UPDATE evaluations SET loss = objective",
        "ALTER TABLE evaluations DROP COLUMN objective",
        "ALTER TABLE evaluations ALTER COLUMN loss SET NOT NULL",
        "DROP TABLE manifests",
        "DROP TABLE tests",
        *(f"ALTER TABLE data DROP COLUMN {name}" for name in ("draw", "content", "band_means", "unused")),
        *(f"ALTER TABLE runs DROP COLUMN {name}" for name in ("speakers", "instruction_set")),
        "UPDATE kws_registry SET schema_version = 3",
    )
    return url


def shape(url) -> set[tuple]:
    """Every column of every table, with its type, whether it may be null, and how its values are stored."""
    return set(
        sql(
            url,
            "SELECT table_name, column_name, data_type, is_nullable, collation_name, attstorage "
            "FROM information_schema.columns JOIN pg_attribute ON attname = column_name "
            "AND attrelid = (quote_ident(table_schema) || '.' || quote_ident(table_name))::regclass "
            "WHERE table_schema = current_schema()",
        )
    )


def test_it_is_upgraded_with_every_row_and_has_the_tables_of_a_new_one(old, server):
    before = sql(old, "SELECT id, status, test_accuracy FROM runs ORDER BY key")
    with Registry(old) as registry:
        softmax, plain = registry.runs()
        ((_, of_softmax),) = registry.evaluations(softmax.id)
        ((_, of_plain),) = registry.evaluations(plain.id)
    assert (of_softmax.objective, of_plain.loss, of_plain.objective) == (0.37, 0.37, 0.37)
    assert of_softmax.loss != 0.37
    assert sql(old, "SELECT id, status, test_accuracy FROM runs ORDER BY key") == before
    assert sql(old, "SELECT schema_version FROM kws_registry") == [(SCHEMA_VERSION,)]
    assert sql(old, "SELECT count(*) FROM tests") == [(2,)]
    upgraded = shape(old)
    sql(
        old,
        "DROP VIEW runs",
        "DROP TABLE tests, manifests, logits, evaluations, epochs, sessions, tags, weights, checkpoints, trainings",
    )
    sql(old, "DROP TABLE splits, data, sources, kws_registry")
    make_registry(old)
    assert upgraded == shape(old)
    assert {how for *_, kind, _, _, how in shape(old) if kind == "bytea"} == {"e"}  # and not compressed


def test_how_to_keep_it_as_it_was_is_said_first_and_whoever_reads_along_has_time_to(old, server, monkeypatch, capsys):
    def stops(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(postgresql.sys.stderr, "isatty", lambda: True)
        patched.setattr(postgresql.time, "sleep", stops)
        Registry(old)
    assert sql(old, "SELECT schema_version FROM kws_registry") == [(3,)]
    (dump,) = re.findall(r"`(pg_dump [^`]+)` makes a copy of it as it is", capsys.readouterr().err)
    monkeypatch.setenv("PGPASSWORD", server.password)
    made = subprocess.run(f"{programs()}/{dump}", shell=True, capture_output=True, text=True, check=False)
    assert "kws_registry" in made.stdout, made.stderr


def opens(url, barrier, results) -> None:
    barrier.wait()
    try:
        with Registry(url) as registry:
            results.put(len(registry.runs()))
    except BaseException as error:
        results.put(repr(error))


def test_twenty_that_open_it_at_once_all_find_it_upgraded_once(old):
    assert at_once(opens, [(old,)] * 20) == [2] * 20
    assert sql(old, "SELECT schema_version FROM kws_registry") == [(SCHEMA_VERSION,)]
    assert sql(old, "SELECT count(*) FROM tests") == [(2,)]


@pytest.mark.parametrize("theirs", ["0d3f1e2a77bb", "0003"])
def test_a_table_of_alembic_that_another_program_has_is_left_alone(old, theirs):
    sql(old, "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    sql(old, f"INSERT INTO alembic_version VALUES ('{theirs}')")
    assert len(ok_json("runs", "list", "--db", old)["runs"]) == 2
    assert sql(old, "SELECT version_num FROM alembic_version") == [(theirs,)]
    assert sql(old, "SELECT to_regclass('kws_alembic_version') IS NULL") == [(True,)]


def test_a_schema_with_a_percent_sign_in_its_name_is_upgraded(old):
    (here,) = sql(old, "SELECT current_schema()")[0]
    sql(old, 'DROP SCHEMA IF EXISTS "50%s" CASCADE', f'ALTER SCHEMA {here} RENAME TO "50%s"')
    renamed = old.in_full().replace(here, "%2250%25s%22")
    assert len(ok_json("runs", "list", "--db", renamed)["runs"]) == 2


def test_who_may_write_and_not_alter_is_told_who_can_upgrade_it(old, server):
    (schema,) = sql(old, "SELECT current_schema()")[0]
    role = f"writer_of_{schema}"
    sql(
        old,
        f"CREATE ROLE {role} LOGIN PASSWORD 'secret'",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {role}",
    )
    scheme, rest = old.in_full().split("://")
    told = refused("runs", "list", "--db", f"{scheme}://{role}:secret@{rest.partition('@')[2]}")
    assert "open it once as the user who made it" in told
    assert sql(old, "SELECT schema_version FROM kws_registry") == [(3,)]


@pytest.mark.parametrize(
    "damage", ["UPDATE runs SET words = '{'", "UPDATE splits SET labels = 'x'", "DROP TABLE checkpoints"]
)
def test_one_that_is_damaged_is_told_so_and_left_as_it_was(old, damage):
    sql(old, damage)
    before = shape(old)
    *_, told = kws("runs", "list", "--db", old).stderr.splitlines()
    assert told.startswith("kws: ")
    assert "cannot be upgraded" in told or "cannot be used as a registry" in told
    assert shape(old) == before


def test_who_may_only_read_is_told_who_can_upgrade_it(old, server):
    with connect(old) as connection:
        (schema,) = connection.execute("SELECT current_schema()").fetchone()
        role = f"reader_of_{schema}"
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
    scheme, rest = old.in_full().split("://")
    reader = f"{scheme}://{role}:secret@{rest.partition('@')[2]}"
    told = refused("runs", "list", "--db", reader)
    assert "open it once as the user who made it" in told
    assert sql(old, "SELECT schema_version FROM kws_registry") == [(3,)]


def test_an_upgraded_registry_takes_new_runs(old):
    ok_json("runs", "list", "--db", old)
    assert len(make_registry(old, [make_recipe(seed=5)])) == 1
    assert len(ok_json("runs", "list", "--db", old)["runs"]) == 3
