"""The page shows the table over folds that `kws compare` prints, and none for each fold; and it can be checked."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from commands import TRAIN, kws, ok, ok_json, typed
from sounds import write_task

from kws.registry.reader import RegistryReader
from kws.reports.page import data


@pytest.fixture(scope="module")
def swept(tmp_path_factory, new_place):
    """The place of a registry with two folds of three, and a folder with the task."""
    db, folder = new_place(), tmp_path_factory.mktemp("page_folds")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        patched.setenv("KWS_DB", typed(db))
        write_task(folder / "task", {"train": 9})
        for fold in ("1/3", "2/3"):
            ok_json(*TRAIN, "--data", folder / "task", "--epochs", 1, "--fold", fold)
    return db, folder


def page_of(place):
    ok("report", place)
    return Path(place).read_text()


def test_the_page_has_the_table_over_folds_of_compare_and_no_table_of_a_fold(swept, tmp_path, monkeypatch):
    db, folder = swept
    monkeypatch.setenv("KWS_DB", typed(db))
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    page = html.unescape(page_of(tmp_path / "two.html"))
    (told,) = json.loads(ok("compare", "--format", "json"))["folds"]
    assert told["caption"] in page and told["notes"][0] in page
    assert "<b>Table 1.</b>" not in page and "There are no finished runs" not in page
    assert page.count("<b>Folds of task.</b>") == 1
    with RegistryReader(db) as registry:
        found = data.overview(registry, registry.runs())
        (cell,) = data.choices(found)["cells"]
        assert cell["label"].endswith(": 2 of 3 folds pooled") and len(cell["runs"]) == 2
    ok_json(*TRAIN, "--data", folder / "task", "--epochs", 1, "--fold", "3/3")
    ok_json(*TRAIN, "--data", folder / "task", "--epochs", 1, "--split", "60/20/20")
    page = html.unescape(page_of(tmp_path / "three.html"))
    made = json.loads(ok("compare", "--format", "json"))
    whole = made["folds"][0]["recipes"][0]["all"]
    rows = re.findall(r'<tr><th scope="row"><bdi>(\w+)</bdi></th>(.*?)</tr>', page, re.DOTALL)
    (row,) = (cells for name, cells in rows if name == "all")
    assert f"{100 * whole['accuracy']:.2f} % ({100 * whole['low']:.2f} to {100 * whole['high']:.2f})" in row
    assert f">{whole['clips']}<" in row
    assert page.count("<b>Table 1.</b>") == 1 and "<b>Table 2.</b>" not in page
    with RegistryReader(db) as registry:
        cells = data.choices(data.overview(registry, registry.runs()))["cells"]
    assert [cell["label"].rpartition(": ")[2] for cell in cells] == ["seed 0", "3 folds pooled"]
    text = ok("compare", "--format", "markdown")
    Path(tmp_path / "paper.md").write_text(text)
    assert kws("compare", "--check", tmp_path / "paper.md", "--strict").exit_code == 0
    (line,) = (line for line in text.splitlines() if line.startswith("| all |"))
    changed = line.replace(f"{100 * whole['high']:.2f}", f"{100 * whole['high'] + 1:.2f}")
    Path(tmp_path / "paper.md").write_text(text.replace(line, changed))
    found = kws("compare", "--check", tmp_path / "paper.md")
    assert found.exit_code == 1 and f"{100 * whole['high']:.2f} in the registry" in found.stdout
