"""The page as a file: it says what `kws compare` says, to the same bytes, and what others wrote is only text in it."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import kws, ok, refused, sql
from ledger import cut_off, make_card, make_recipe, make_registry, make_run, start, train

from kws.recipe import BEST
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry
from kws.reports import labels
from kws.reports.metrics import METRICS
from kws.reports.page import data, html, matrices

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028<!--'\"&amp;{{ 1234567*7654321 }}\u202e"
FOUR = [make_recipe(arch, opt, seed=seed) for arch in ("fc", "cnn") for opt in ("sgd", "adam") for seed in (0, 1)]


@pytest.fixture(scope="module")
def made_once(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("page") / "experiments.db"
    card = make_card(clips=60)
    with Registry(path, create=True) as registry:
        for number, recipe in enumerate(FOUR):
            train(registry, recipe, card, wrong=(20, 19, 12, 14, 8, 3, 2, 3)[number])
    return path


@pytest.fixture
def db(made_once, tmp_path) -> Path:
    """Two networks, two optimizers, two seeds, of different accuracies."""
    return Path(shutil.copy(made_once, tmp_path))


def made(*arguments: object) -> str:
    """The page that `kws report` writes."""
    path = Path(ok("report", "page.html", *arguments).strip())
    return path.read_text(encoding="utf-8")


class Parts(HTMLParser):
    """What a page consists of: its elements, its tables of a class by their cells' text, and its inline texts."""

    def __init__(self, page: str, table: str = "results") -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.tables: list[list[list[str]]] = []
        self.inline: dict[str, list[str]] = {"style": [], "script": [], "json": []}
        self._table, self._in, self._cell = table, False, False
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        self.elements.append((tag, about))
        if tag == "table" and self._table in about.get("class", ""):
            self._in = True
            self.tables.append([])
        if self._in and tag == "tr":
            self.tables[-1].append([])
        if self._in and tag in ("td", "th"):
            self._cell = True
            self.tables[-1][-1].append("")
        if tag in ("script", "style"):
            self._open = "json" if about.get("type") else tag
            self.inline[self._open].append("")

    def handle_endtag(self, tag):
        self._in = self._in and tag != "table"
        self._cell = self._cell and tag not in ("td", "th")
        self._open = "" if tag in ("script", "style") else self._open

    def handle_data(self, text):
        if self._open:
            self.inline[self._open][-1] += text
        elif self._cell:
            self.tables[-1][-1][-1] += text


def embedded(page: str) -> dict:
    (text,) = Parts(page).inline["json"]
    return json.loads(text)


# Table 1


def test_its_table_is_that_of_compare(db):
    (table,) = json.loads(ok("compare", "--format", "json"))["tables"]
    page = made()
    ((head, *rows),) = Parts(page).tables
    metric = METRICS["test-accuracy"]
    expected = {}
    for cell in table["cells"]:
        text = f"{metric.text(cell['mean'])} ± {metric.bare(cell['std'])}{' =' if cell['tie'] else ''}"
        about = f"({metric.bare(cell['low'])} to {metric.bare(cell['high'])}, n = {cell['n']})"
        expected[cell["row"], cell["column"]] = f"{text} {about}"
    shown = {
        (row[0], column): " ".join(text.split()) for row in rows for column, text in zip(head[1:], row[1:], strict=True)
    }
    assert shown == expected
    assert any(cell["tie"] for cell in table["cells"])
    (best,) = [cell for cell in table["cells"] if cell["best"]]
    assert re.findall(r'<td class="best"><span class="mean"><b>([\d.]+) %', page) == [f"{100 * best['mean']:.2f}"]
    assert table["caption"] in re.sub(r"<[^>]+>", "", page).replace("&#39;", "'")


def test_one_seed_has_wilsons_interval_and_a_table_has_its_notes(db):
    sql(
        db,
        "UPDATE trainings SET torch_version = '2.12' WHERE id IN (SELECT id FROM runs WHERE seed = 0 AND arch = 'cnn')",
    )
    page = made("--where", "seed = 0 and opt = 'adam'")
    (table,) = json.loads(ok("compare", "--format", "json", "--where", "seed = 0 and opt = 'adam'"))["tables"]
    assert "n = 1)" in page
    assert [f"Note: {note}." in page for note in table["notes"]] == [True]


@pytest.mark.parametrize(
    ("options", "runs"),
    [((), 8), (("--where", "arch = 'fc'"), 4), (("--tag", "paper"), 1), (("--data", "x"), 0), (("--since", "1h"), 8)],
    ids=["all", "where", "tag", "data", "since"],
)
def test_it_has_the_runs_that_compare_would_choose(db, options, runs):
    ok("runs", "tag", "last", "paper")
    page = made(*options)
    assert len(embedded(page)["curves"]) == runs
    assert len(re.findall(r'<details id="run-', page)) == runs


def test_a_registry_without_finished_runs_says_what_to_do(tmp_path):
    make_registry(tmp_path / "experiments.db")
    result = kws("report", "page.html")
    assert (result.exit_code, result.stdout) == (0, "page.html\n")
    assert "kws train" in result.stderr
    assert "There are no finished runs here" in Path("page.html").read_text()


def test_the_report_beside_ours_has_its_section_where_there_is_one(db):
    with RegistryReader(db) as registry:
        found = data.overview(registry, registry.runs())
        bare = dataclasses.replace(found, tables=tuple(dataclasses.replace(each, paper=None) for each in found.tables))
        assert 'id="paper"' not in html.report(registry, bare)
        paper = next(table.paper for table in found.tables if table.paper)
        figure = dataclasses.replace(paper.figures[0], title="<b>fc")
        part = dataclasses.replace(paper.claims[1].evidence[0], about="a < b")
        claim = dataclasses.replace(paper.claims[1], evidence=(part,))
        paper = dataclasses.replace(paper, figures=(figure,), claims=(claim,), notes=("a misprint",))
        first, *_ = found.tables
        beside = dataclasses.replace(found, tables=(dataclasses.replace(first, paper=paper),))
        page = html.report(registry, beside)
    statement = f"Adam converges significantly faster: <strong>{claim.verdict}</strong>"
    for text in ("&lt;b&gt;fc", "85.27 %", statement, "a &lt; b: ", part.why, "a misprint", "differences are 95 %"):
        assert text in page


# A run


def test_a_run_says_how_it_was_made_and_how_it_is_made_again(db):
    with RegistryReader(db) as registry:
        run = registry.run("last")
    page = made()
    start_of = page.index(f'<details id="run-{run.id}"')
    part = page[start_of : page.index("</details>", start_of)]
    for text in (
        labels.command(run.recipe), run.data_fingerprint, str(run.environment.git_commit), run.environment.cpu,
        f"{100 * (run.test_accuracy or 0):.2f} %", "346,067",
    ):  # fmt: skip
        assert text in part


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 7, "epochs": 3, "batch_size": 16, "threads": 4, "data": "my clips/$(rm)", "words": ("up", "down")},
        {"arch": "fc", "opt": "sgd", "learning_rate": 1e-05, "momentum": 0.0, "weight_decay": 0.25, "softmax": True},
        {"maps": (8, 4), "precision": "bf16", "selection": BEST},
    ],
    ids=["plain", "data", "optimizer", "network"],
)
def test_the_command_that_trains_a_run_again_has_its_recipe(changes, monkeypatch):
    recipe = make_recipe(**changes)
    asked = []

    def started(recipe, **_):
        asked.append(recipe)
        return make_run()

    monkeypatch.setitem(sys.modules, "kws.training.runner", SimpleNamespace(run=started))
    monkeypatch.setattr("kws.training.runner", sys.modules["kws.training.runner"], raising=False)
    program, *arguments = shlex.split(labels.command(recipe))
    assert program == "kws"
    ok(*arguments)
    assert [dataclasses.replace(each, micro_batch_size=recipe.micro_batch_size) for each in asked] == [recipe]


def test_curves_are_those_of_the_registry_and_what_is_not_finite_is_a_gap(db):
    sql(db, "UPDATE epochs SET train_loss = 9e999 WHERE epoch = 2")
    with RegistryReader(db) as registry:
        run = registry.run("last")
        epochs = registry.epochs(run.id)
    curve = embedded(made())["curves"][run.id]
    assert curve["epochs"] == [1, 2]
    assert curve["train_loss"] == [epochs[0].train_loss, None]
    assert curve["validation_accuracy"] == pytest.approx([epoch.validation_accuracy for epoch in epochs], abs=1e-6)


def test_a_confusion_matrix_is_that_of_the_runs_own_test_split(db):
    with Registry(db) as registry:
        unfinished = cut_off(registry)
        run = registry.runs()[-2]
        matrix = matrices.confusion(registry, run)
        ((card, evaluation),) = registry.evaluations(run.id)
    shown = embedded(made())["confusions"]
    assert shown[run.id] == matrix
    assert shown[unfinished] is None
    assert matrix["classes"] == list(card.classes)
    right = sum(matrix["counts"][i][i] for i in range(len(card.classes)))
    assert right / evaluation.clips == run.test_accuracy


def test_the_curves_drawn_first_are_of_runs_in_training_and_of_each_cell(db):
    with Registry(db) as registry:
        training = start(registry)
        runs = registry.runs()
        drawn = data.choices(data.overview(registry, runs))["drawn"]
    firsts = [run.id for run in runs if run.recipe.seed == 0 and run.id != training]
    assert drawn[0] == training
    assert sorted(drawn[1:]) == sorted(firsts)


def test_colours_are_those_of_plot():
    from kws.reports.drawing import COLOURS

    light = html.static("page.css").split("@media")[0]
    assert tuple(colour.upper() for colour in re.findall(r"--c\d: (#\w+)", light)) == COLOURS


# What others wrote


@pytest.fixture
def hostile(tmp_path) -> Path:
    path = tmp_path / "experiments.db"
    card = make_card(HOSTILE, classes=("yes", HOSTILE, "other"))
    with Registry(path, create=True) as registry:
        run_id = registry.start(
            make_recipe(data=HOSTILE),
            card,
            parameters=1,
            environment=make_run().environment,
            name=HOSTILE,
            note=HOSTILE,
        )
        registry.tag(run_id, [HOSTILE])
        train(registry, make_recipe("fc", "sgd"), card)
    sql(
        path,
        "UPDATE trainings SET recipe_json = json_set(recipe_json, '$.network.name', ?), id = ?, cpu = ?, "
        "git_commit = ? WHERE id IN (SELECT id FROM runs WHERE opt = 'sgd')",
        values=(HOSTILE,) * 4,
    )
    return path


def test_what_the_registry_says_is_only_text(hostile):
    page = made()
    parts = Parts(page)
    kinds = [tag for tag, _ in parts.elements]
    assert kinds.count("script") == 1 + len(html.SCRIPTS)
    assert "img" not in kinds
    assert not [name for _, about in parts.elements for name in about if name.startswith("on") or name == "style"]
    assert str(1234567 * 7654321) not in page
    (text,) = parts.inline["json"]
    assert text.isascii()
    assert not set("<>&") & set(text)
    found = json.loads(text)
    assert HOSTILE in found["curves"]
    assert found["confusions"][HOSTILE]["classes"][1] == HOSTILE


def test_nothing_is_loaded_from_anywhere(hostile):
    for tag, about in Parts(made()).elements:
        assert not {"src", "srcset", "action", "formaction", "ping"} & about.keys()
        assert about.get("href", "#").startswith(("#", "data:,")), (tag, about)


def test_the_policy_names_the_style_and_the_scripts_and_allows_nothing_else(db):
    parts = Parts(made())
    (policy,) = [about["content"] for _, about in parts.elements if about.get("http-equiv")]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))

    def digests(texts: list[str]) -> str:
        return " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts
        )

    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == digests(parts.inline["script"])
    assert rules["style-src"] == digests(parts.inline["style"])
    assert "unsafe" not in policy
    assert "unsafe" not in html.LIVE_POLICY


# The file


def test_the_same_registry_gives_the_same_bytes_whatever_it_is_called(db, tmp_path):
    first = made()
    shutil.copy(db, tmp_path / "another.db")
    assert made("--db", tmp_path / "another.db") == first
    assert str(tmp_path) not in first


def test_it_replaces_the_file_and_leaves_nothing_beside_it(db, tmp_path):
    Path("page.html").write_text("old")
    assert made().startswith("<!doctype html>")
    assert {path.name for path in tmp_path.iterdir()} == {"experiments.db", "page.html"}


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("nowhere/page.html", "cannot be written"),
        ("folder.html", "folder"),
        ("a" * 300 + ".html", "too long"),
        ("page.pdf", "must end in .html"),
        ("experiments.db", "must end in .html"),
        ("linked.html", "the registry itself"),
    ],
    ids=["no folder", "a folder", "too long", "a PDF", "the registry", "a link to the registry"],
)
def test_a_place_that_will_not_do_is_said_in_one_sentence(db, out, why):
    Path("folder.html").mkdir()
    Path("linked.html").symlink_to(db)
    before = db.read_bytes()
    assert why in refused("report", out)
    assert db.read_bytes() == before


def test_without_a_registry_it_says_so_and_writes_nothing():
    assert "there is no registry" in refused("report", "page.html")
    assert not Path("page.html").exists()


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_ui_says_what_brings_it(db, missing):
    program = f"import sys; sys.modules[{missing!r}] = None; from kws.cli import app; app(['ui', '--port', '0'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(
        f"kws: kws ui needs {missing}, which is not installed: python -m pip install {missing}"
    )
    assert done.stderr.count("\n") == 1
