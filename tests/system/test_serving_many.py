"""The live page of many runs: the newest are there at once, the others and the tables as soon as they are read."""

from __future__ import annotations

import json
import re
import threading
from html import unescape
from pathlib import Path

import pytest
from commands import ok, refused, sql
from ledger import make_card, make_recipe, make_registry, start, train

from kws.errors import PageError, RegistryError
from kws.registry import all_runs
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry
from kws.reports.page import current, html
from kws.reports.page.live import Live

RECIPES = [make_recipe(arch, opt, seed=seed) for seed in (0, 1, 2) for arch, opt in (("fc", "sgd"), ("cnn", "adam"))]


@pytest.fixture
def db(tmp_path, monkeypatch) -> Path:
    """Six runs, which are many here; pages list two."""
    for place, name, value in ((all_runs, "MANY", 3), (current, "NEWEST", 2), (html, "LISTED", 2)):
        monkeypatch.setattr(place, name, value)
    path = tmp_path / "experiments.db"
    make_registry(path, RECIPES)
    return path


@pytest.fixture
def held(monkeypatch):
    """Tables wait to be made until this is set."""
    made, event = current.of_tables, threading.Event()

    def waiting(*arguments):
        event.wait(30)
        return made(*arguments)

    monkeypatch.setattr(current, "of_tables", waiting)
    yield event
    event.set()


def settled(live: Live) -> str:
    """The page when all runs are read and all tables are made."""
    live.now(whole=True)
    if thread := live.current._thread:
        thread.join(30)
    return live.page()


def rows(page: str) -> list[str]:
    return re.findall(r'data-run="(\w+)"', page)


def ids(path: Path) -> list[str]:
    with RegistryReader(path) as registry:
        return [run.id for run in reversed(registry.runs())]


def test_the_newest_are_there_before_the_tables(db, held):
    live = Live(db)
    page = live.page()
    assert rows(page) == ids(db)[:2]
    assert "2 of 6 runs, the newest first." in page
    assert "The tables of 6 runs are being computed" in page
    before = live.now()[0]
    held.set()
    page = settled(live)
    assert live.now()[0] != before, "so the page renews itself"
    assert "being computed" not in page
    (table,) = json.loads(ok("compare", "--format", "json", "--db", db))["tables"]
    assert table["caption"] in unescape(page)
    assert page.count('class="mean"') == len(table["cells"])


def test_all_runs_can_be_paged_through_and_searched_before_the_tables_are_there(db, held):
    live = Live(db)
    found, address = [], "/?show=&from=0#runs"
    while address:
        start_at = int(re.search(r"from=(\d+)", address)[1])
        page = live.page("", start_at)
        found += rows(page)
        older = re.search(r'<a href="([^"]*)">Older runs', page)
        address = unescape(older[1]) if older else ""
    assert found == ids(db)
    assert "Runs 5 to 6 of 6, the newest first." in page and "Newer runs" in page
    page = live.page("cnn adam")
    assert "2 of 3 runs with these words, the newest first." in page
    assert "show=cnn+adam&amp;from=2#runs" in page
    assert rows(live.page("cnn adam", 2)) == [ids(db)[4]]


def test_a_run_that_finished_since_is_in_the_list_at_once_and_then_in_the_tables(db, monkeypatch):
    live = Live(db)
    settled(live)
    monkeypatch.setattr(current, "_LOOK_AGAIN", 0)
    live.current._rests_until = 1e12
    with Registry(db) as registry:
        train(registry, make_recipe("fc", "adam"))
    page = live.page()
    assert rows(page)[0] == ids(db)[0]
    assert "Note: 1 run finished or changed since; the tables are being computed anew." in page
    assert page.count('class="mean"') == 2
    live.current._rests_until = 0
    live.page()
    assert settled(live).count('class="mean"') == 3


def test_runs_are_not_all_read_again_where_one_trains(db, monkeypatch):
    live = Live(db)
    settled(live)
    monkeypatch.setattr(all_runs, "_SHARE", 1e9)
    read: list[int] = []
    made = RegistryReader.runs_of

    def counted(self, *arguments, **more):
        found = made(self, *arguments, **more)
        read.append(len(found))
        return found

    monkeypatch.setattr(RegistryReader, "runs_of", counted)
    with Registry(db) as registry:
        run_id = start(registry)
        assert rows(live.page())[0] == run_id
    assert read == [1]


@pytest.mark.parametrize("many", [3, 1000])
def test_the_matrix_of_a_cell_is_that_of_its_runs(db, monkeypatch, many):
    monkeypatch.setattr(all_runs, "MANY", many)
    live = Live(db)
    settled(live)
    (data,) = re.findall(r'id="data">(.*?)</script>', live.page(), re.DOTALL)
    for cell in json.loads(data)["cells"]:
        assert cell.keys() == {"group", "label"}, "the page has no list of all runs"
        arch = "fc" if "ully" in cell["label"] else "cnn"
        with RegistryReader(db) as registry:
            of = [run.id for run in registry.runs() if run.recipe.arch == arch]
        each = live.confusions(of)
        sums = [[sum(m["counts"][i][j] for m in each.values()) for j in range(3)] for i in range(3)]
        assert live.pooled(**cell) == {"classes": each[of[0]]["classes"], "counts": sums, "runs": 3}
    with pytest.raises(PageError, match="there is no cell 'x' in 'Table 9' now"):
        live.pooled("Table 9", "x")


def test_what_cannot_be_read_is_said_by_the_page(db):
    live = Live(db)
    sql(db, "UPDATE evaluations SET predictions = zeroblob(7)")
    with pytest.raises(RegistryError, match="is damaged"):
        settled(live)


def test_a_file_of_many_runs_is_refused_in_one_sentence_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("kws.cli.report.MOST_RUNS", 3)
    card = make_card(clips=9)
    with Registry(Path("experiments.db"), create=True) as registry:
        for seed in range(4):
            train(registry, make_recipe("cnn" if seed else "fc", seed=seed), card)
    said = refused("report", "page.html")
    assert (
        "a file of 4 runs is more than a browser opens; choose at most 3, as in `kws report report.html --since" in said
    )
    assert "a file of 4 runs" in refused("report", "page.html", "--since", "7d")
    assert ok("report", "page.html", "--where", "arch = 'cnn'").strip() == "page.html"
