"""What a server refuses: who lacks a right is told so, and what passes by itself is waited for."""

from __future__ import annotations

from urllib.parse import quote

import psycopg
import pytest
from commands import connect, ok, refused, sql
from ledger import (
    make_epochs,
    make_recipe,
    make_registry,
    start,
)

from kws.registry import postgresql, view
from kws.registry.location import locate
from kws.registry.postgresql_rows import ServerConnection
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry


def test_who_may_only_read_reads(server, url):
    run_id = make_registry(url, [make_recipe()])[0]
    schema = url.search_path
    with connect(url) as admin:
        admin.execute("DROP ROLE IF EXISTS reader")
        admin.execute("CREATE ROLE reader LOGIN PASSWORD 'only-reads'")
        admin.execute(f"GRANT USAGE ON SCHEMA {schema} TO reader")
        admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader")
    theirs = f"postgresql://reader:only-reads@127.0.0.1:{server.port}/postgres?options=-csearch_path%3D{schema}"
    assert run_id in ok("runs", "list", "--db", theirs)
    assert "cannot be written (permission denied" in refused("runs", "note", run_id, "x", "--db", theirs)
    with RegistryReader(locate(theirs)) as registry, RegistryReader(url) as own:
        assert (registry.is_writable(), own.is_writable()) == (False, True)


@pytest.fixture
def user(server, url):
    """The URL of a registry for a user with a right of its own choice: what may be granted is given as SQL."""
    make_registry(url)
    schema = url.search_path

    def granted(*rights: str) -> str:
        with connect(url) as admin:
            admin.execute(
                "DROP OWNED BY visitor" if _is_there(admin) else "CREATE ROLE visitor LOGIN PASSWORD 'visits'"
            )
            for right in rights:
                admin.execute(right.format(schema=schema))
        return f"postgresql://visitor:visits@127.0.0.1:{server.port}/postgres?options=-csearch_path%3D{schema}"

    return granted


def _is_there(admin) -> bool:
    return admin.execute("SELECT 1 FROM pg_roles WHERE rolname = 'visitor'").fetchone() is not None


def with_another_column(connection, real=view._columns_with_own):
    return real(connection) | {"later": "1"}


ALL = "GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO visitor"


def begins(url, seed: int) -> str:
    return make_registry(locate(url), [make_recipe(seed=seed)])[0]


def test_others_keep_their_rights_where_a_new_option_makes_the_view_of_runs_anew(user, url, monkeypatch):
    theirs = user(USAGE, ALL)
    begins(theirs, 1)
    monkeypatch.setattr(view, "_columns_with_own", with_another_column)
    begins(url, 2)
    assert "later" in view._columns(ServerConnection(connect(url)))
    begins(theirs, 3)
    assert ok("db", "query", "SELECT later FROM runs LIMIT 1", "--db", theirs)


def test_who_does_not_own_the_view_of_runs_begins_runs_without_its_new_column(user, url, monkeypatch):
    theirs = user(USAGE, ALL)
    monkeypatch.setattr(view, "_columns_with_own", with_another_column)
    begins(theirs, 1)
    assert "later" not in view._columns(ServerConnection(connect(url)))


def test_a_view_of_others_on_the_view_of_runs_keeps_nobody_from_beginning_runs(url, monkeypatch):
    begins(url, 1)
    sql(url, "CREATE VIEW board AS SELECT id, arch FROM runs")
    monkeypatch.setattr(view, "_columns_with_own", with_another_column)
    begins(url, 2)
    assert len(sql(url, "SELECT * FROM board")) == 2


BLANK = r"\ "  # in options
USAGE = "GRANT USAGE ON SCHEMA {schema} TO visitor"
SELECT = "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO visitor"


@pytest.mark.parametrize(
    ("rights", "told"),
    [
        ([USAGE], "cannot be read (permission denied for table kws_registry)"),
        ([USAGE, SELECT, "REVOKE SELECT ON {schema}.trainings FROM visitor"], "cannot be read (permission denied"),
        ([], "which this user may not use; ask for GRANT USAGE ON SCHEMA"),
    ],
)
def test_what_is_wrong_at_opening_is_told_as_that_and_no_lost_connection(user, rights, told):
    theirs = user(*rights)
    for command in (["runs", "list"], ["compare"], ["db", "info"]):
        sentence = refused(*command, "--db", theirs)
        assert "was lost" not in sentence
        assert told in sentence


@pytest.mark.parametrize("name", ["shut", "Shut", "sh,ut", 'sh"ut', "s.h ut"])
@pytest.mark.parametrize("path", ["{schema}", "public,{schema}", "nowhere, {schema}"])
def test_a_schema_that_may_not_be_used_is_named_whatever_its_name(user, url, name, path):
    quoted = '"' + name.replace('"', '""') + '"'
    sql(url, f"DROP SCHEMA IF EXISTS {quoted} CASCADE", f"CREATE SCHEMA {quoted}")
    admin = url.in_full().partition("?")[0]
    ok("db", "copy", url.in_full(), f"{admin}?options={quote(f'-csearch_path={quoted}'.replace(' ', BLANK))}")
    theirs = user().partition("?")[0]
    option = quote(f"-csearch_path={path.format(schema=quoted)}".replace(" ", BLANK))
    sentence = refused("runs", "list", "--db", f"{theirs}?options={option}")
    named = name if name == "shut" else quoted
    assert f"may have its registry in the schema {named}, which this user may not use" in sentence


def test_a_schema_beside_that_may_not_be_used_is_nobodys_business(user, url):
    sql(url, "DROP SCHEMA IF EXISTS beside CASCADE", "CREATE SCHEMA beside")
    theirs = user("CREATE SCHEMA IF NOT EXISTS visited", "GRANT ALL ON SCHEMA visited TO visitor")
    own = theirs.partition("?")[0] + "?options=-csearch_path%3Dvisited,beside"
    assert "there is no registry" in refused("runs", "list", "--db", own)
    assert ok("db", "copy", url.in_full(), own)


def test_tables_that_are_damaged_are_told_at_opening_and_no_lost_connection(url):
    make_registry(url)
    sql(url, "ALTER TABLE kws_registry RENAME COLUMN schema_version TO x")
    sentence = refused("runs", "list", "--db", url)
    assert "cannot be used as a registry (column" in sentence
    assert "was lost" not in sentence


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), True),
        (psycopg.InterfaceError("the connection is closed"), True),
        (psycopg.errors.AdminShutdown("x"), True),
        (psycopg.errors.CrashShutdown("x"), True),
        (psycopg.errors.ConnectionFailure("x"), True),
        (psycopg.errors.IdleInTransactionSessionTimeout("x"), True),
        (psycopg.errors.InsufficientPrivilege("the connection is closed"), False),
        (psycopg.errors.UndefinedTable("the connection was lost"), False),
        (psycopg.errors.LockNotAvailable("x"), False),
        (psycopg.errors.DiskFull("x"), False),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), False),
    ],
)
def test_a_connection_is_lost_by_its_sqlstate_and_not_by_words(error, lost):
    assert postgresql._is_lost(error) is lost


@pytest.mark.parametrize("state", ["40P01", "53200", "53300", "57014"])
def test_what_passes_on_a_busy_server_costs_a_run_nothing(url, state):
    with Registry(url, create=True) as registry:
        run_id = start(registry, make_recipe())
        raised = f"BEGIN RAISE 'x' USING ERRCODE = '{state}'; END"
        sql(url, f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $${raised}$$")
        sql(url, "CREATE TRIGGER refuse BEFORE INSERT ON epochs FOR EACH ROW EXECUTE FUNCTION refuse()")
        told = []
        registry.patience.sleep = lambda _: (
            told.append(registry.patience.why) or sql(url, "DROP TRIGGER refuse ON epochs")
        )
        registry.record(run_id, make_epochs(1)[0])
        assert len(registry.epochs(run_id)) == 1
        assert told == [f"{url} is busy (x)"]


def test_a_server_that_became_a_standby_is_left_for_the_next_one(url, monkeypatch):
    with Registry(url, create=True) as registry:
        run_id = start(registry, make_recipe())
        database, left = registry.database, []

        def leave_standby() -> bool:
            left.append(database._raw)
            database._raw.close()
            return len(left) == 1

        monkeypatch.setattr(database, "_leave_standby", leave_standby)
        monkeypatch.setattr(postgresql, "_WRITE", "DO $$BEGIN RAISE 'x' USING ERRCODE = '0A000'; END$$")
        registry.patience.sleep = lambda _: monkeypatch.undo()
        registry.record(run_id, make_epochs(1)[0])
        assert len(registry.epochs(run_id)) == 1
        assert len(left) == 1
        assert database._raw is not left[0]
