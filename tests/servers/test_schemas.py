"""Registries where people have them: schemas with names that need quotes, search paths of several, other encodings."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import quote

import pytest
from commands import ok, ok_json, refused
from ledger import make_recipe, make_registry, train

from kws.registry.location import locate
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry

psycopg = pytest.importorskip("psycopg")
NAMES = ["Anna", "a.b", 'a"b', "a b", "café", "select", "a,b", "x;--", "100%"]


@pytest.fixture
def admin(server):
    with closing(psycopg.connect(server.conninfo(), autocommit=True)) as connection:
        yield connection


def quoted(name: str) -> str:
    """An identifier as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def place(server, path: str, database: str = "postgres") -> str:
    """The URL of a database's search path."""
    spaced = path.replace("\\", "\\\\").replace(" ", "\\ ")
    return server.url("x").replace("/postgres?", f"/{database}?").replace("%3Dx", f"%3D{quote(spaced, safe='')}")


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_may_have_any_name(server, admin, name):
    admin.execute(f"DROP SCHEMA IF EXISTS {quoted(name)} CASCADE")
    admin.execute(f"CREATE SCHEMA {quoted(name)}")
    url = place(server, quoted(name))
    (run_id,) = make_registry(locate(url), [make_recipe()])
    assert [run["run"] for run in ok_json("runs", "list", "--db", url)["runs"]] == [run_id]
    ok("runs", "note", run_id, "a note", "--db", url)
    ok("runs", "delete", run_id, "--db", url)
    ok("runs", "purge", run_id, "--db", url)
    assert ok_json("runs", "list", "--db", url)["runs"] == []
    assert ok_json("db", "query", "SELECT count(*) AS n FROM trainings", "--db", url)["rows"] == [[0]]
    assert ok("db", "doctor", "--db", url).endswith("is in order\n")
    found = admin.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = %s AND table_name = 'trainings'", (name,)
    ).fetchone()
    assert found == (1,)


def test_of_several_schemas_the_first_that_is_there_is_the_registrys(server, admin):
    schema = server.new_schema()
    url = place(server, f"nosuch,{schema},public")
    (run_id,) = make_registry(locate(url), [make_recipe()])
    with RegistryReader(locate(server.url(schema))) as registry:
        assert [run.id for run in registry.runs()] == [run_id]
    assert admin.execute("SELECT to_regclass('public.trainings')").fetchone() == (None,)


def test_a_database_of_another_encoding_keeps_what_it_can_and_says_what_it_cannot(server, admin):
    admin.execute("DROP DATABASE IF EXISTS latin WITH (FORCE)")
    admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    url = place(server, "public", "latin")
    with Registry(locate(url), create=True) as registry:
        run_id = train(registry, make_recipe())
        registry.annotate(run_id, "café")
    assert ok_json("runs", "list", "--db", url)["runs"][0]["note"] == "café"
    sentence = refused("runs", "note", run_id, "日本", "--db", url)
    assert "was lost" not in sentence
    assert "LATIN1" in sentence
    admin.execute("DROP DATABASE latin WITH (FORCE)")
