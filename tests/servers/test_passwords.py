"""A password goes to the server, and is never printed nor recorded."""

from __future__ import annotations

import json
import sys
from urllib.parse import quote

import pytest
from commands import TRAIN, Result, dump, kws, ok
from ledger import make_recipe, make_registry
from sounds import write_task

from kws.registry.location import locate


@pytest.fixture
def secrets(server) -> tuple[str, str]:
    return server.password, quote(server.password, safe="")


@pytest.fixture
def said(monkeypatch):
    """A command with its arguments as those of the process, from which what is recorded is taken."""

    def run(*arguments: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["kws", *map(str, arguments)])
        return kws(*arguments)

    return run


def commands(url: str, tmp_path) -> list[list[object]]:
    make_registry(tmp_path / "file.db", [make_recipe()])
    equals = [f"--db={url}"]
    return [
        ["runs", "list", *equals],
        ["runs", "show", "last", *equals],
        ["runs", "show", "zzzz", *equals],
        ["runs", "export", "last", tmp_path / "one.db", *equals],
        ["runs", "import", url, "--db", tmp_path / "two.db"],
        ["compare", *equals],
        ["report", tmp_path / "report.html", *equals],
        ["db", "info", *equals],
        ["db", "doctor", *equals],
        ["db", "backup", tmp_path / "backup.db", *equals],
        ["db", "query", "SELECT * FROM runs", *equals],
        ["db", "query", "SELECT nothing", *equals],
        ["db", "copy", url, tmp_path / "three.db"],
        ["db", "copy", tmp_path / "file.db", url],
        ["db", "copy", tmp_path / "nothing.db", url],
        ["db", "info", url],
        ["runs", "show", "last", url],
        ["runs", "list", "--nonsense", url],
        ["runs", "list", f"--nonsense={url}"],
        ["runs", "list", *equals, "--status", url],
        ["runs", "list", *equals, "--help"],
        ["watch", "last", *equals],
    ]


@pytest.mark.parametrize("way", ["in front", "as a parameter"])
def test_it_is_in_no_output_no_file_and_no_table(server, secrets, said, tmp_path, way):
    schema = server.new_schema()
    url = server.url(schema)
    if way == "as a parameter":
        url = f"{server.url(schema, password=False)}&password={secrets[1]}"
    write_task(tmp_path / "task")
    result = said(*TRAIN, "--data", "task", "--epochs", 1, "--db", url, "--json")
    assert result.exit_code == 0, result.stderr
    assert said("rerun", "last", f"--db={url}").exit_code == 0
    outputs = [result, *(said(*command) for command in commands(url, tmp_path))]
    shown = "".join(each.stdout + each.stderr for each in outputs)
    assert server.url(schema, password=False) in shown
    files = b"".join(file.read_bytes() for file in tmp_path.glob("*.*") if file.is_file())
    for secret in secrets:
        assert secret not in shown
        assert secret not in repr(dump(locate(url)))
        assert secret.encode() not in files
    recorded = json.loads(ok("runs", "show", "last", "--json", "--db", url))["environment"]["command"]
    assert recorded == f"kws rerun last '--db={server.url(schema, password=False)}'"


@pytest.mark.parametrize("change", ["another password", "another port", "another database", "another user"])
def test_nor_is_it_where_the_server_cannot_be_reached(server, secrets, change):
    url = server.url(server.new_schema())
    url = {
        "another password": url.replace(secrets[1], f"not{secrets[1]}"),
        "another port": url.replace(f":{server.port}", ":1"),
        "another database": url.replace("/postgres?", "/nothing?"),
        "another user": url.replace("tester", "somebody"),
    }[change]
    for command in (["runs", "list"], ["train", "--arch", "cnn", "--opt", "adam"], ["db", "copy", url]):
        result = kws(*command, *([] if "copy" in command else ["--db"]), url)
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert "cannot be reached" in line
        assert not any(secret in line for secret in secrets)


@pytest.mark.parametrize("way", ["PGPASSWORD", "PGPASSFILE"])
def test_it_may_come_from_where_libpq_looks(server, monkeypatch, tmp_path, way):
    url = server.url(server.new_schema(), password=False)
    assert kws("db", "copy", "nothing.db", url).exit_code == 1
    if way == "PGPASSWORD":
        monkeypatch.setenv("PGPASSWORD", server.password)
    else:
        (tmp_path / "pgpass").write_text(f"127.0.0.1:{server.port}:*:tester:{server.password}\n")
        (tmp_path / "pgpass").chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    made = make_registry(locate(url), [make_recipe()])
    assert made[0] in ok("runs", "list", "--db", url)
