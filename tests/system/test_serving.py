"""The live page's server: who may ask, what may be asked, and that it shows what is in the registry now."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from commands import ok, refused, sql
from ledger import make_card, make_epochs, make_evaluation, make_recipe, make_registry, start, train

from kws.registry.reader import RegistryReader
from kws.registry.store import Registry
from kws.reports.page import serving
from kws.reports.page.live import Live

fork = multiprocessing.get_context("fork")
PORT = 8530
HERE = f"127.0.0.1:{PORT}"


@dataclass
class Answer:
    """What the application answers."""

    status: int
    headers: dict[str, str]
    text: str


@pytest.fixture(scope="module")
def made_once(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("serving") / "experiments.db"
    make_registry(path, [make_recipe("fc", "sgd"), make_recipe("cnn", "adam")])
    return path


@pytest.fixture
def db(made_once, tmp_path) -> Path:
    return Path(shutil.copy(made_once, tmp_path))


@pytest.fixture
def live(db) -> Live:
    return Live(db)


@pytest.fixture
def ask(live):
    app = serving.application(live)

    def asked(address: str, method: str = "GET", host: str | None = HERE, **headers: str) -> Answer:
        path, _, query = address.partition("?")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        given = ({} if host is None else {"host": host}) | named
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": path, "root_path": "",
            "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }  # fmt: skip
        sent: list[dict] = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        asyncio.run(app(scope, receive, send))
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], found, b"".join(each.get("body", b"") for each in sent[1:]).decode())

    return asked


def in_another_process(what, *arguments) -> None:
    process = fork.Process(target=what, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


def train_one(path: Path) -> None:
    with Registry(path) as registry:
        train(registry, make_recipe("fc", "adam", seed=5))


# Who may ask, and what


@pytest.mark.parametrize(
    "host",
    [HERE, f"localhost:{PORT}", f"[::1]:{PORT}", f"LOCALHOST:{PORT}", "localhost:9000", "127.0.0.1:1", "[::1]:65535",
     "127.0.0.1", "localhost", "[::1]"],
)  # fmt: skip
def test_this_machine_may_ask_by_whatever_port_a_tunnel_has(ask, host):
    assert ask("/", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", f"evil.example:{PORT}", f"localhost.evil.example:{PORT}", "localhost.evil.example",
     f"{HERE}.evil.example", f"127.0.0.1:{PORT}@evil.example", f"0.0.0.0:{PORT}", "127.0.0.1.nip.io", "[::1].example",
     "localhost:evil.example", "localhost:80:evil.example", "evil.example:localhost", "127.0.0.1\n", "localhost:\u0661",
     "192.168.0.1", "[::2]", "127x0x0x1"],
)  # fmt: skip
def test_a_request_that_names_another_host_is_refused(ask, host):
    for address in ("/", "/state.json", "/static/page.js", "/nothing"):
        answer = ask(address, host=host)
        assert answer.status == 403
        assert "machine only" in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"])
def test_it_only_reads(ask, method):
    for address in ("/", "/state.json", "/nothing"):
        answer = ask(address, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("address", "status"),
    [("/", 200), ("/state.json", 200), ("/curves.json", 200), ("/static/page.css", 200), ("/nothing", 404),
     ("/static/..%2fdata.py", 404), ("/static/data.py", 404), ("/run?id=nobody", 404), ("/run", 404)],
)  # fmt: skip
def test_every_answer_has_the_headers_that_keep_others_out(ask, address, status):
    answer = ask(address)
    assert answer.status == status
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


def test_the_live_page_has_no_script_or_style_inside_it(ask):
    text = ask("/").text
    assert re.findall(r"<script(?![^>]*(?:src=|application/json))", text) == []
    assert "<style" not in text


def test_too_many_runs_at_once_are_refused_in_one_sentence(ask):
    answer = ask("/curves.json?" + "&".join(f"run={i}" for i in range(101)))
    assert answer.status == 400
    assert json.loads(answer.text) == {"error": "101 runs are asked for at once; ask for 100 at most"}


# What it shows


def test_the_state_has_an_etag_and_comes_only_when_it_is_another(ask, db):
    first = ask("/state.json")
    etag = first.headers["etag"]
    assert json.loads(first.text) == {"state": etag.strip('"'), "runs": 2, "running": 0}
    assert (ask("/state.json", if_none_match=etag).status, ask("/state.json", if_none_match=etag).text) == (304, "")
    in_another_process(train_one, db)
    again = ask("/state.json", if_none_match=etag)
    assert (again.status, json.loads(again.text)["runs"]) == (200, 3)
    assert again.headers["etag"] != etag


def test_a_run_that_finished_in_another_process_is_in_the_table_and_in_the_list(ask, db):
    before = ask("/").text
    in_another_process(train_one, db)
    after = ask("/").text
    with RegistryReader(db) as registry:
        run_id = registry.run("last").id
    assert run_id not in before
    assert f'data-run="{run_id}"' in after
    assert before.count('class="mean"') + 1 == after.count('class="mean"')


def test_each_epoch_is_another_state(ask, db):
    with Registry(db) as registry:
        run_id = start(registry)
        states = set()
        for epoch in make_epochs(3):
            registry.record(run_id, epoch)
            states.add(ask("/state.json").headers["etag"])
            assert json.loads(ask(f"/curves.json?run={run_id}").text)[run_id]["epochs"][-1] == epoch.epoch
    assert len(states) == 3
    assert json.loads(ask("/state.json").text)["running"] == 1


def test_a_run_whose_process_is_gone_is_lost_though_the_file_is_as_it_was(live, db, monkeypatch):
    with Registry(db) as registry:
        run_id = start(registry)
    assert f'data-run="{run_id}" data-seen="running' in live.page()
    monkeypatch.setattr("kws.registry.process.Process.is_alive", lambda *_: False)
    monkeypatch.setattr("kws.reports.page.current._LOOK_AGAIN", 0)
    assert f'data-run="{run_id}" data-seen="lost' in live.page()


def test_a_run_that_cannot_be_seen_from_here_is_shown_with_its_last_sign_of_life(ask, db):
    with Registry(db) as registry:
        run_id = start(registry)
        sql(db, "UPDATE sessions SET boot = 'another', heartbeat_at = '2026-03-01T12:00:20.000+00:00'")
        assert "running, last seen at 2026-03-01T12:00:20Z" in ask("/").text
        assert "running, last seen at 2026-03-01T12:00:20Z" in ask(f"/run?id={run_id}").text
        assert json.loads(ask("/state.json").text)["running"] == 1


def test_the_table_is_tested(ask):
    page = ask("/").text
    (table,) = json.loads(ok("compare", "--format", "json"))["tables"]
    assert table["caption"].replace("'", "&#39;") in page


def test_nothing_is_made_anew_while_the_file_is_as_it_was(ask, live, monkeypatch):
    ask("/")
    monkeypatch.setattr("kws.reports.page.current.RegistryReader", None)
    assert ask("/").status == 200


def test_a_run_has_a_page_of_its_own(ask, db):
    with RegistryReader(db) as registry:
        run = registry.run("last")
    answer = ask(f"/run?id={run.id}")
    assert answer.status == 200
    assert "kws train --arch cnn" in answer.text
    assert run.data_fingerprint in answer.text
    assert list(json.loads(ask(f"/confusions.json?run={run.id}&run=gone").text)) == [run.id]


def test_a_run_with_a_strange_id_can_be_opened(ask, db):
    strange = "../<b>?&last%2e"
    sql(db, "UPDATE trainings SET id = ? WHERE id IN (SELECT id FROM runs WHERE opt = 'adam')", values=(strange,))
    assert f"/run?id={quote(strange, safe='/')}".replace("&", "&amp;") in ask("/").text
    answer = ask(f"/run?id={quote(strange, safe='')}")
    assert answer.status == 200
    assert "<b>?" not in answer.text


def test_the_list_is_the_newest_runs_and_finds_all(ask, monkeypatch):
    monkeypatch.setattr("kws.reports.page.html.LISTED", 1)
    assert re.findall(r"data-run=.*?<small>(\w+) ", ask("/").text) == ["cnn"]
    assert re.findall(r"data-run=.*?<small>(\w+) ", ask("/?show=SGD+fc").text) == ["fc"]
    assert "1 of 2 runs" in ask("/").text
    assert "data-run" not in ask("/?show=nothing").text


@pytest.mark.parametrize("address", ["/", "/state.json", "/run?id=x", "/curves.json?run=x"])
def test_a_registry_that_is_gone_is_said_in_one_sentence(ask, db, address):
    ask("/")
    db.unlink()
    answer = ask(address)
    assert answer.status == 503
    assert "there is no registry at" in answer.text


def test_a_registry_in_the_place_of_another_is_shown(ask, db, tmp_path):
    before = ask("/").text
    make_registry(tmp_path / "new.db", [make_recipe("fc", "adam")])
    (tmp_path / "new.db").replace(db)
    assert ask("/").text != before
    assert json.loads(ask("/state.json").text)["runs"] == 1


def test_the_file_is_never_written(ask, live, db, tmp_path):
    before, names = (db.read_bytes(), db.stat().st_mtime_ns), {path.name for path in tmp_path.iterdir()}
    for address in ("/", "/state.json", "/curves.json?run=x"):
        ask(address)
    assert (db.read_bytes(), db.stat().st_mtime_ns) == before
    assert {path.name for path in tmp_path.iterdir()} == names


def test_nothing_is_held_between_two_looks(ask, db):
    ask("/")
    assert not Path(f"{db}-wal").exists()


# The command


def test_it_says_where_it_is_and_ends_with_ctrl_c(db):
    with subprocess.Popen([sys.executable, "-m", "kws", "ui", "--port", "0"], stderr=subprocess.PIPE, text=True) as ui:
        assert ui.stderr is not None
        try:
            line = ui.stderr.readline()
            address = line.split()[0]
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+ shows \S+experiments\.db; Ctrl-C ends it\n", line)
            with urllib.request.urlopen(address, timeout=10) as answer:
                assert b"<h1>Keyword spotting</h1>" in answer.read()
                assert answer.headers["Content-Security-Policy"]
            with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=10) as answer:
                assert (answer.status, answer.read()) == (200, b"")
            ui.send_signal(signal.SIGINT)
            assert ui.wait(timeout=10) == 130
            assert "Traceback" not in ui.stderr.read()
        finally:
            ui.kill()


def test_a_port_that_is_taken_is_said_in_one_sentence(db):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} cannot be used" in (said := refused("ui", "--port", port))
        assert "--port 0" in said


def test_without_a_registry_nothing_is_served(tmp_path):
    assert "there is no registry" in refused("ui", "--port", "0")


def test_a_finished_run_is_shown_with_what_the_registry_has(ask, db):
    card = make_card(clips=9)
    with Registry(db) as registry:
        run_id = start(registry, make_recipe(seed=3), card)
        registry.finish(run_id, make_evaluation(card, wrong=3), card, b"")
    matrix = json.loads(ask(f"/confusions.json?run={run_id}").text)[run_id]
    assert sum(map(sum, matrix["counts"])) == 9
    assert sum(matrix["counts"][i][i] for i in range(3)) == 6
