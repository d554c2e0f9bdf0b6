"""The page in a real browser: its figures, its curves and its matrix, by mouse, keys and touch-sized windows.

It drives the Chromium that is on the machine; where that or Playwright is missing, these tests are skipped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import CHROMIUM, NO_CHROMIUM, NO_PLAYWRIGHT, Window, served
from chromium import window as opened
from commands import ok
from ledger import make_card, make_epochs, make_evaluation, make_recipe, make_run, start, train

from kws.registry.reader import RegistryReader
from kws.registry.store import Registry
from kws.reports.metrics import METRICS

sync_api = pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
HOSTILE = '</script><img src=x onerror="window.broken=1"><script>window.broken=1;alert(1)</script>'
CARD = make_card(clips=60)


@pytest.fixture(scope="module")
def window() -> Iterator[Window]:
    """A window of one Chromium for all tests; a test fails where its console has a word."""
    with opened() as made:
        yield made


@pytest.fixture(scope="module")
def made_once(tmp_path_factory) -> Path:
    """A registry of four cells with two seeds each, of which one run has a hostile note, and its page as a file."""
    folder = tmp_path_factory.mktemp("browser")
    recipes = [
        make_recipe(arch, opt, seed=seed) for arch in ("fc", "cnn") for opt in ("sgd", "adam") for seed in (0, 1)
    ]
    with Registry(folder / "experiments.db", create=True) as registry, pytest.MonkeyPatch.context() as patched:
        patched.setattr("kws.registry.beginning._ID_LETTERS", "hjklmnpqrtvwxz")  # no id has the word fc in it
        for number, recipe in enumerate(recipes[:-1]):
            train(registry, recipe, CARD, wrong=(20, 19, 12, 14, 8, 3, 2)[number], epochs=2 if number else 12)
        run_id = registry.start(
            recipes[-1], CARD, parameters=346_067, environment=make_run().environment, name=HOSTILE, note=HOSTILE
        )
        registry.tag(run_id, [HOSTILE])
        for epoch in make_epochs(2):
            registry.record(run_id, epoch)
        registry.finish(run_id, make_evaluation(CARD, wrong=3), CARD, b"")
    ok("report", folder / "page.html", "--db", folder / "experiments.db")
    return folder


@pytest.fixture(scope="module")
def db(made_once) -> Path:
    return made_once / "experiments.db"


@pytest.fixture(scope="module")
def address(db) -> Iterator[str]:
    with served(db) as where:
        yield where


@pytest.fixture
def visit(window):
    """Open an address; the test fails where the console has a word, or a dialogue opens."""
    page = window.page

    def visited(address: str, width: int = 1400):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(address)
        page.wait_for_selector("#chart path")
        return page

    yield visited
    page.goto("about:blank")
    assert window.said == []


def file_of(made_once: Path) -> str:
    return (made_once / "page.html").as_uri()


def figures(db: Path) -> dict[tuple[str, str], str]:
    """Table 1's cells as the page should have them, from `kws compare --format json`."""
    (table,) = json.loads(ok("compare", "--format", "json", "--db", db))["tables"]
    metric = METRICS["test-accuracy"]
    return {
        (cell["row"], cell["column"]): f"{metric.text(cell['mean'])} ± {metric.bare(cell['std'])}"
        f"{' =' if cell['tie'] else ''} ({metric.bare(cell['low'])} to {metric.bare(cell['high'])}, n = {cell['n']})"
        for cell in table["cells"]
    }


TABLE = """() => {
    const words = (cell) => cell.textContent.trim().replace(/\\s+/g, " ");
    const [head, ...rows] = [...document.querySelectorAll("table.results tr")].map((row) => [...row.cells].map(words));
    return rows.flatMap(([row, ...cells]) => cells.map((cell, i) => [row, head[i + 1], cell]));
}"""


def shown(page) -> dict[tuple[str, str], str]:
    return {(row, column): text for row, column, text in page.evaluate(TABLE)}


def reading(page) -> list[list[str]]:
    return page.locator("#reading tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(c => c.textContent))"
    )


def test_the_figures_are_those_of_compare(visit, made_once, address, db):
    expected = figures(db)
    assert shown(visit(file_of(made_once))) == expected
    assert shown(visit(address)) == expected


@pytest.mark.parametrize("width", [400, 1400])
def test_it_fits_its_window_and_can_be_read_by_day_and_by_night(visit, made_once, width):
    page = visit(file_of(made_once), width)
    page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("#chart svg").bounding_box()["width"] > 0.85 * width - 50
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        style = page.evaluate(
            "(({color, backgroundColor}) => [color, backgroundColor])(getComputedStyle(document.body))"
        )
        dark = [sum(map(int, colour[4:-1].split(", "))) < 384 for colour in style]
        assert dark == [scheme == "light", scheme == "dark"]
    page.emulate_media(color_scheme="light")


def test_a_hostile_note_does_nothing(visit, made_once, address, db):
    with RegistryReader(db) as registry:
        run = registry.run("last")
    for each in (f"{file_of(made_once)}#run-{run.id}", f"{address}/run?id={run.id}", address):
        page = visit(each)
        assert page.evaluate("window.broken") is None
        assert page.locator("img").count() == 0
        assert page.get_by_text(HOSTILE).first.is_visible()


def test_a_run_can_be_opened(visit, made_once, address, db):
    with RegistryReader(db) as registry:
        run = registry.runs()[0]
    for each in (file_of(made_once), address):
        page = visit(each)
        page.locator("#rows").get_by_role("link", name=run.id).click()
        command = page.locator("pre.command:visible")
        command.wait_for()
        assert "kws train --arch fc --opt sgd" in command.text_content()
        assert page.get_by_text(run.data_fingerprint).locator("visible=true").count()


def test_a_chosen_run_opens_in_sight_and_the_keyboard_goes_on_from_it(visit, made_once, db):
    with RegistryReader(db) as registry:
        run = registry.runs()[2]
    page = visit(file_of(made_once), 400)
    for _ in range(2):
        page.locator("#rows").get_by_role("link", name=run.id).press("Enter")
        summary = page.locator(f"#run-{run.id} summary")
        sync_api.expect(summary).to_be_focused()
        assert 0 <= summary.bounding_box()["y"] < 100
        assert page.evaluate("document.querySelectorAll('details[open]').length") == 1
        assert page.evaluate("scrollX") == 0
        matrix, chart = (page.locator(f"#run-{run.id} {part}").first for part in ("table.confusion", "figure.det"))
        facts = page.locator(f"#run-{run.id} .facts").bounding_box()["y"]
        assert matrix.bounding_box()["y"] < chart.bounding_box()["y"] < facts
        page.evaluate("scrollTo(0, 0)")


def test_curves_can_be_chosen_read_and_enlarged(visit, address):
    page = visit(address)
    assert len(reading(page)) == 4
    page.locator("#none").click()
    assert page.locator("#chart path").count() == 0
    box = page.locator("#rows tr").last.locator(".draw")
    box.check()
    page.wait_for_selector("#chart path")
    ((name, training, validation),) = reading(page)
    assert name.startswith("Fully-connected, SGD, seed 0")
    assert (training, validation) == ("92.86 %", "93.33 %")  # 1 - 1/14 and 1 - 1/15: the last of twelve epochs
    page.select_option("#quantity", "loss")
    assert reading(page)[0][1:] == ["0.0769", "0.0846"]
    page.locator("#train").uncheck()
    assert page.locator("#chart path").count() == 1
    chart = page.locator("#chart")
    chart.focus()
    page.keyboard.press("Home")
    assert page.locator("#reading caption").text_content() == "Loss in nats at epoch 1"
    chart.scroll_into_view_if_needed()
    place = chart.bounding_box()
    middle = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + place["width"] * 0.35, middle)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.65, middle)
    page.mouse.up()
    assert chart.get_attribute("aria-valuemin") == "5"
    assert chart.get_attribute("aria-valuemax") == "8"
    page.locator("#whole").click()
    assert (chart.get_attribute("aria-valuemin"), chart.get_attribute("aria-valuemax")) == ("1", "12")


def test_a_confusion_matrix_is_of_one_run_or_of_a_cells_runs_together(visit, made_once):
    page = visit(file_of(made_once))
    page.select_option("#whose", label="Convolutional (346,067 params), Adam: 2 seeds pooled")
    cells = page.locator("#matrix tbody td.number").all_text_contents()
    counts = [[int(cells[4 * i + j]) for j in range(3)] for i in range(3)]
    assert sum(map(sum, counts)) == 120
    assert sum(counts[i][i] for i in range(3)) == 115
    page.locator("#whose option").last.evaluate("each => { each.selected = true; }")
    page.locator("#whose").dispatch_event("change")
    assert page.locator("#matrix caption").text_content().startswith("A row is what was said")


def test_the_list_can_be_narrowed(visit, made_once, address):
    for each in (file_of(made_once), address):
        page = visit(each)
        page.locator("#filter").fill("fc adam")
        sync_api.expect(page.locator("#rows tr:not([hidden])")).to_have_count(2)


def test_it_follows_runs_that_train_meanwhile(visit, made_once, tmp_path):
    db = Path(shutil.copy(made_once / "experiments.db", tmp_path))
    with served(db) as address, Registry(db) as registry:
        page = visit(address)
        page.locator("#filter").focus()
        page.evaluate("window.same = true")
        run_id = start(registry, make_recipe("fc", "sgd", seed=9), CARD, parameters=567_171)
        for epoch in make_epochs(3):
            registry.record(run_id, epoch)
        sync_api.expect(page.locator("#rows .status").first).to_have_text("running")
        sync_api.expect(page.locator("#reading tbody")).to_contain_text("seed 9")
        before = shown(page)
        registry.finish(run_id, make_evaluation(CARD, wrong=30), CARD, b"")
        sync_api.expect(page.locator("table.results")).to_contain_text("n = 3")
        assert shown(page) == figures(db) != before
        assert page.evaluate("window.same && document.activeElement.id") == "filter"
        page.goto("about:blank")
