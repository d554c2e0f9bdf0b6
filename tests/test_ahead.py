"""A table of answers that another process has read ahead is the table without it, whatever became of that process."""

from __future__ import annotations

import os
import signal

import pytest
from ledger import make_card, make_evaluation, make_recipe, make_registry, start

from kws.errors import RegistryError
from kws.registry import decoding
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry
from kws.reports import ahead
from kws.reports.ahead import ReadAhead
from kws.reports.table1 import tables

CARD = make_card()


@pytest.fixture
def registry(db, monkeypatch):
    """Two cells of three seeds each."""
    monkeypatch.setattr(ahead, "MANY", 1)
    monkeypatch.setattr(ahead.threading, "active_count", lambda: 1)
    monkeypatch.setattr(ahead.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    make_registry(db, [make_recipe("cnn", opt, seed=seed) for opt in ("sgd", "adam") for seed in range(3)])
    with RegistryReader(db) as opened:
        yield opened


def made(registry, read_ahead=None):
    return [(table.cells, table.notes) for table in tables(registry, registry.runs(), ahead=read_ahead)]


def test_a_table_is_the_same(registry):
    with ReadAhead(registry) as read_ahead:
        assert read_ahead._process
        assert made(registry, read_ahead) == made(registry)
        ((fingerprint, (rows, bits)),) = read_ahead._found.items()
        runs = registry.runs()
        assert sorted(rows) == sorted(run.id for run in runs)
        assert {run.data_fingerprint for run in runs} == {fingerprint}
        assert len(bits) == len(runs)


def test_a_run_that_has_finished_since_is_in_it(registry, db):
    with ReadAhead(registry) as read_ahead:
        os.waitid(os.P_PID, read_ahead._process, os.WEXITED | os.WNOWAIT)
        with Registry(db) as writer:
            late = start(writer, make_recipe("cnn", "adam", seed=3))
            writer.finish(late, make_evaluation(CARD), CARD, b"weights")
        ((cells, _),) = found = made(registry, read_ahead)
        assert found == made(registry)
        assert late in {run for cell in cells for run in cell.runs}


def test_where_the_other_process_is_killed_all_is_read_here(registry):
    with ReadAhead(registry) as read_ahead:
        os.kill(read_ahead._process, signal.SIGKILL)
        assert made(registry, read_ahead) == made(registry)
        assert read_ahead._found == {}


@pytest.mark.parametrize("what", ["os.fork", "tempfile.TemporaryFile"])
def test_where_there_is_no_room_for_it_all_is_read_here(registry, monkeypatch, what):
    def fails():
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(f"kws.reports.ahead.{what}", fails)
    with ReadAhead(registry) as read_ahead:
        assert not read_ahead._process
        assert made(registry, read_ahead) == made(registry)


def test_what_cannot_be_read_is_told_as_ever(registry, monkeypatch):
    def fails(*_):
        raise ValueError("unknown classes")

    monkeypatch.setattr(decoding, "answers_reader", lambda *_: fails)
    with ReadAhead(registry) as read_ahead, pytest.raises(RegistryError, match="unknown classes"):
        made(registry, read_ahead)


def test_nothing_is_left_of_it_and_few_runs_need_none(registry, monkeypatch):
    with ReadAhead(registry) as read_ahead:
        process = read_ahead._process
    with pytest.raises(ChildProcessError):
        os.waitpid(process, os.WNOHANG)
    monkeypatch.setattr(ahead, "MANY", 7)
    for more in ({}, {"wanted": False}):
        with ReadAhead(registry, **more) as read_ahead:
            assert not read_ahead._process and read_ahead.right(CARD.fingerprint) is None
