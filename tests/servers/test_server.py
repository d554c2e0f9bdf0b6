"""What only a server has: tables beside others', locks of one run alone, and connections that break."""

from __future__ import annotations

import math
import multiprocessing
import re
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from commands import dump, kws, ok, ok_json, refused, sql
from ledger import (
    ENVIRONMENT,
    WEIGHTS,
    make_card,
    make_epochs,
    make_evaluation,
    make_recipe,
    make_registry,
    start,
    train,
)

from kws.errors import RecipeError, RegistryError
from kws.registry import entries, ids, postgresql, queries
from kws.registry.location import locate
from kws.registry.opening import is_new
from kws.registry.reader import RegistryReader
from kws.registry.schema import SCHEMA_VERSION
from kws.registry.store import Registry
from kws.reports.page.live import Live

fork = multiprocessing.get_context("fork")


# Where there is no registry


def test_a_missing_registry_is_told_when_it_is_read_and_made_when_it_is_written(url):
    assert is_new(url)
    assert f"there is no registry at {url}; `kws train` makes one" in refused("runs", "list", "--db", url)
    assert is_new(url)
    make_registry(url)
    assert not is_new(url)
    assert ok_json("runs", "list", "--db", url)["runs"] == []


def test_a_schema_that_is_not_there_is_told(server):
    with pytest.raises(RegistryError, match="names no schema that is there; make it by CREATE SCHEMA"):
        make_registry(locate(server.url("nowhere")))


def test_somebody_elses_tables_stay_as_they_are(url):
    sql(url, "CREATE TABLE theirs (x INTEGER)", "INSERT INTO theirs VALUES (1)")
    make_registry(url, [make_recipe()])
    assert sql(url, "SELECT * FROM theirs") == [(1,)]


def test_a_table_of_ours_that_is_somebody_elses_is_told_and_left_as_it_is(url):
    sql(url, "CREATE TABLE runs (id TEXT)", "INSERT INTO runs VALUES ('theirs')")
    with pytest.raises(RegistryError, match="has a table runs that is not kws's; name another database"):
        make_registry(url)
    assert sql(url, "SELECT * FROM runs") == [("theirs",)]
    assert is_new(url)


def test_a_registry_of_a_newer_version_is_told_with_both_versions(url):
    make_registry(url)
    sql(url, f"UPDATE kws_registry SET schema_version = {SCHEMA_VERSION + 1}")
    told = refused("runs", "list", "--db", url)
    assert f"schema {SCHEMA_VERSION + 1}, and this version of kws knows up to {SCHEMA_VERSION}; upgrade kws" in told


def test_without_psycopg_what_installs_it_is_told(url, monkeypatch):
    monkeypatch.delitem(sys.modules, "kws.registry.postgresql")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    told = refused("runs", "list", "--db", url)
    assert "needs psycopg" in told
    assert "python -m pip install 'psycopg[binary]'" in told
    assert ids.beginning_with(url, "") == []


def test_completion_offers_the_ids_that_begin_so(url):
    assert ids.beginning_with(url, "") == []
    made = make_registry(url, [make_recipe(seed=seed) for seed in range(3)])
    assert ids.beginning_with(url, "") == made[::-1]
    assert ids.beginning_with(url, made[1][:6]) == [made[1]]


# Locks


def test_a_lock_that_another_program_keeps_is_told(url, monkeypatch):
    monkeypatch.setattr(postgresql, "LOCK_SECONDS", 0.1)
    make_registry(url)
    with Registry(url) as registry, Registry(url) as other:
        registry.patience.seconds = 0
        with other.database.writing():
            assert registry.runs() == []
            with pytest.raises(RegistryError, match=r"was locked by another program for 0\.1 s; try again") as told:
                start(registry)
            assert str(url) in str(told.value)
        assert registry.run(start(registry)).status == "running"


def test_who_records_waits_for_nobody_but_those_who_write_about_the_same_run_or_all(url, monkeypatch):
    monkeypatch.setattr(postgresql, "LOCK_SECONDS", 0.1)
    with Registry(url, create=True) as registry, Registry(url) as other:
        first, second = start(registry), start(registry)
        registry.patience.seconds = 0
        with other.database.writing(first):
            registry.record(second, make_epochs(1)[0])
            for wait in (lambda: registry.record(first, make_epochs(1)[0]), lambda: start(registry)):
                with pytest.raises(RegistryError, match="was locked"):
                    wait()
        registry.record(first, make_epochs(1)[0])
        assert [run.epochs_done for run in registry.runs()] == [1, 1]


def test_two_registries_in_one_database_do_not_wait_for_each_other(server, url, db, monkeypatch):
    monkeypatch.setattr(postgresql, "LOCK_SECONDS", 0.1)
    with Registry(url, create=True) as one, Registry(locate(server.url(server.new_schema())), create=True) as two:
        with one.database.writing():
            train(two)
        assert (len(one.runs()), len(two.runs())) == (0, 1)


def records(url, number: int, runs: int, epochs: int, barrier, failures) -> None:
    try:
        barrier.wait()
        with Registry(url, create=True) as registry:
            for seed in range(runs):
                card = make_card()
                run_id = start(registry, make_recipe(seed=1000 * number + seed, epochs=epochs), card)
                for epoch in make_epochs(epochs):
                    registry.record(run_id, epoch, WEIGHTS if epoch.epoch % 2 else None)
                registry.finish(run_id, make_evaluation(card), card, WEIGHTS)
    except BaseException as error:
        failures.put(repr(error))
        raise


def test_sixteen_writers_lose_nothing(url):
    writers, runs, epochs = 16, 4, 5
    barrier, failures = fork.Barrier(writers), fork.SimpleQueue()
    processes = [
        fork.Process(target=records, args=(url, number, runs, epochs, barrier, failures)) for number in range(writers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert failures.empty(), failures.get()
    assert [process.exitcode for process in processes] == [0] * writers
    with RegistryReader(url) as registry:
        found = registry.runs()
        assert sorted(run.recipe.seed for run in found) == sorted(
            1000 * n + s for n in range(writers) for s in range(runs)
        )
        assert {(run.status, run.epochs_done) for run in found} == {("finished", epochs)}
    counts = {table: len(kept) for table, kept in dump(url).items()}
    whole = writers * runs
    assert counts == {
        "data": 1,
        "splits": 3,
        "manifests": 0,
        "tests": whole,
        "trainings": whole,
        "sessions": whole,
        "epochs": whole * epochs,
        "evaluations": whole,
        "logits": whole,
        "weights": whole,
        "checkpoints": 0,
        "tags": 0,
        "sources": 0,
    }
    assert ok("db", "doctor", "--db", url) == f"{url} is in order\n"


# Connections that break


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["started anew", "crashed"])
def test_a_server_that_comes_back_costs_a_run_nothing(server, url, how):
    card = make_card()
    with Registry(url, create=True) as registry:
        run_id = start(registry, card=card)
        first, second, third = make_epochs(3)
        registry.record(run_id, first)
        server.stop(how)
        again = threading.Timer(0.5, server.start)
        again.start()
        registry.record(run_id, second, WEIGHTS)
        again.join()
        server.stop(how)
        server.start()
        assert registry.run(run_id).epochs_done == 2
        registry.record(run_id, third)
        server.stop(how)
        server.start()
        registry.finish(run_id, make_evaluation(card), card, WEIGHTS)
        run = registry.run(run_id)
        assert (run.status, run.epochs_done, registry.weights(run_id)) == ("finished", 3, WEIGHTS)


def test_a_server_that_stays_away_is_told(server, url, monkeypatch):
    monkeypatch.setattr(postgresql, "AGAIN_SECONDS", 0.2)
    with Registry(url, create=True, patience=0.2) as registry:
        run_id = start(registry)
        server.stop()
        try:
            with pytest.raises(RegistryError, match=f"the connection to {re.escape(str(url))} was lost") as told:
                registry.record(run_id, make_epochs(1)[0])
            assert "\n" not in str(told.value)
            sentence = refused("runs", "list", "--db", url)
            assert "cannot be reached" in sentence or "server login has been failing" in sentence  # as PgBouncer says
        finally:
            server.start()


def break_connections(url) -> None:
    sql(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'kws'")


def test_a_connection_that_breaks_within_a_transaction_is_begun_anew_and_the_epoch_is_there_once(url, monkeypatch):
    with Registry(url, create=True) as registry:
        run_id = start(registry)
        real, times = entries.insert_known, []

        def breaks(*arguments):
            times.append(time.monotonic())
            if len(times) < 3:
                break_connections(url)
            return real(*arguments)

        monkeypatch.setattr(entries, "insert_known", breaks)
        registry.record(run_id, make_epochs(1)[0], WEIGHTS)
        assert len(times) == 3
        run = registry.run(run_id)
        assert (run.epochs_done, run.seconds, len(registry.epochs(run_id))) == (1, 0.125, 1)


@pytest.mark.parametrize("act", ["record", "finish", "end", "tag", "go on", "evaluation"])
def test_a_commit_that_was_kept_but_not_answered_is_kept_once(url, monkeypatch, act):
    card = make_card()
    with Registry(url, create=True) as registry:
        run_id = start(registry, card=card)
        registry.record(run_id, make_epochs(1)[0])
        database = registry.database
        real = type(database)._transaction
        broken = []

        def unanswered(self, begin, locks=None):
            @contextmanager
            def whole():
                with real(self, begin, locks) as connection:
                    yield connection
                if not broken and locks:
                    broken.append(1)
                    self._raw.close()
                    raise postgresql.LostConnectionError("the answer was lost")

            return whole()

        monkeypatch.setattr(type(database), "_transaction", unanswered)
        if act == "record":
            registry.record(run_id, make_epochs(2)[1], WEIGHTS)
        elif act == "finish":
            registry.finish(run_id, make_evaluation(card), card, WEIGHTS)
        elif act == "end":
            registry.end(run_id, "failed", "no reason")
        elif act == "go on":
            broken.append(0)
            registry.end(run_id, "interrupted")
            broken.clear()
            registry.go_on(run_id, epochs=5, environment=ENVIRONMENT)
            registry.record(run_id, make_epochs(2)[1])
        elif act == "evaluation":
            registry.keep_evaluation(run_id, make_evaluation(card, "validation"), card)
        else:
            registry.tag(run_id, ["a tag"])
        assert broken
        run = registry.run(run_id)
        assert (run.epochs_done, run.seconds) == ((2, 0.375) if act in ("record", "go on") else (1, 0.125))
        assert run.status == {"finish": "finished", "end": "failed"}.get(act, "running")
        assert len(registry.evaluations(run_id)) == (act in ("finish", "evaluation"))
        assert sql(url, "SELECT count(*) FROM tests") == [(len(registry.evaluations(run_id)),)]
        assert run.tags == (("a tag",) if act == "tag" else ())


def test_a_page_is_made_anew_only_where_something_has_changed(url):
    make_registry(url, [make_recipe()])
    live = Live(url)
    state, overview = live.now()
    assert live.now()[1] is overview
    make_registry(url, [make_recipe(seed=1)])
    after, overview = live.now()
    assert (after != state, len(overview.runs)) == (True, 2)


# What it may not hold, and what it may not be asked


@pytest.mark.parametrize("text", ["nul \0", "half \udcff"])
@pytest.mark.parametrize("where", ["note", "tag", "data"])
def test_a_text_that_it_cannot_hold_ends_in_one_sentence(url, text, where):
    with Registry(url, create=True) as registry:
        run_id = start(registry)
        refusals = RecipeError if where == "data" and "\0" in text else RegistryError  # no recipe has one
        with pytest.raises(refusals, match=r"cannot be kept in|may not hold a NUL") as told:
            if where == "note":
                registry.annotate(run_id, text)
            elif where == "tag":
                registry.tag(run_id, ["fine", text])
            else:
                start(registry, make_recipe(data=text))
        assert "\n" not in str(told.value)
        assert [(run.note, run.tags) for run in registry.runs()] == [(None, ())]


def test_infinity_is_kept_and_what_is_no_number_is_refused_as_in_a_file(url, tmp_path):
    for place in (url, tmp_path / "file.db"):
        with Registry(place, create=True) as registry:
            run_id = start(registry)
            first, second = make_epochs(2)
            registry.record(run_id, replace(first, train_loss=math.inf))
            with pytest.raises(RegistryError, match=r"(?i)not.null"):
                registry.record(run_id, replace(second, train_loss=math.nan))
            assert [epoch.train_loss for epoch in registry.epochs(run_id)] == [math.inf]


WRITING = [
    *("DELETE FROM epochs", "WITH x AS (DELETE FROM epochs RETURNING epoch) SELECT * FROM x", "TRUNCATE epochs"),
    *("SELECT 1; DELETE FROM epochs", "SELECT 1; COMMIT; DROP TABLE tags", "COMMIT", "ROLLBACK", "ABORT; SELECT 1"),
    *("SET TRANSACTION READ WRITE", "SET statement_timeout = 0", "RESET ALL", "DISCARD ALL", "LISTEN x", "NOTIFY x"),
    *("DO $$ BEGIN DELETE FROM epochs; END $$", "CREATE TABLE x (y INTEGER)", "CREATE TEMP TABLE x (y INTEGER)"),
    *("SELECT * INTO x FROM runs", "SELECT setval(pg_get_serial_sequence('trainings', 'key'), 9)"),
    *("SELECT set_config('transaction_read_only', 'off', true)", "SELECT * FROM runs FOR UPDATE"),
    *("COPY (SELECT 1) TO PROGRAM 'touch here'", "COPY runs TO STDOUT", "EXPLAIN ANALYZE DELETE FROM epochs"),
    *("PREPARE x AS SELECT 1", "LOCK TABLE trainings", "VACUUM", "CALL x()", "SHOW server_version", "CREATE ROLE x"),
]


@pytest.mark.parametrize("statement", WRITING)
def test_whatever_is_no_select_is_refused_in_one_sentence_and_changes_nothing(url, statement):
    make_registry(url, [make_recipe()])
    before = dump(url)
    assert "the query cannot be run (" in refused("db", "query", statement, "--db", url)
    assert refused("runs", "list", "--db", url, f"--where={statement}")
    assert dump(url) == before


def test_what_a_select_does_by_a_function_is_not_kept(url):
    make_registry(url)
    ok("db", "query", "SELECT lo_create(0)", "--db", url)  # which PostgreSQL 15 lets a transaction do that only reads
    assert sql(url, "SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]


def test_an_answer_that_is_too_large_ends_in_one_sentence(url, monkeypatch):
    monkeypatch.setattr(queries, "_LARGEST_VALUE", 1_000_000)
    monkeypatch.setattr(queries, "_LARGEST_ANSWER", 2_000_000)
    make_registry(url)
    one = "SELECT repeat('x', 1000001)"
    assert "string or blob too big" in refused("db", "query", one, "--db", url)
    many = "SELECT repeat('x', 300000), generate_series(1, 1000000000)"
    assert "the query's answer is larger than 2 MB" in refused("db", "query", many, "--db", url)


def test_a_sleep_and_a_where_without_end_are_stopped(url):
    make_registry(url, [make_recipe()])
    before = time.monotonic()
    assert "took more than 0.2 s" in refused("db", "query", "SELECT pg_sleep(60)", "--seconds", 0.2, "--db", url)
    assert time.monotonic() - before < 5


def test_values_that_a_file_has_no_word_for_are_texts(url):
    make_registry(url)
    values = "DATE '2026-03-01' AS day, ARRAY[1, 2] AS list, 1.5::numeric AS n, sum(x) AS s"
    asked = f"SELECT {values} FROM (VALUES (1::bigint)) AS v(x)"
    assert ok_json("db", "query", asked, "--db", url)["rows"] == [["2026-03-01", "{1,2}", 1.5, 1]]
    assert kws("db", "query", asked, "--csv", "--db", url).stdout.splitlines()[1] == '2026-03-01,"{1,2}",1.5,1'
