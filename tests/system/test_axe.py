"""Every kind of page passes axe in a real browser, by day and by night, narrow and wide, with a run's box opened.

axe-core comes with axe-playwright-python. Its contrast rule judges no text that lies on a gradient, so the shadows of
boxes that scroll are taken away while it looks. It leaves undecided what a box has out of sight, less in a wide window,
and what is written in a chart. A page may draw a chart anew, for a window of another width, while axe looks at it; then
it looks again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from chromium import CHROMIUM, NO_AXE, NO_CHROMIUM, NO_PLAYWRIGHT, Window, served, window
from commands import kws, ok
from ledger import cut_off, make_card, make_evaluation, make_recipe, start, train, with_manifests
from recordings import noise, write, write_folder

from kws.events import VALIDATION
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED
from kws.registry.store import Registry
from kws.reports import own_words
from kws.reports.own_words import Heard, OwnWords
from kws.reports.page.own_words import page as own_page

pytest.importorskip("playwright.sync_api", reason=NO_PLAYWRIGHT)
axe = pytest.importorskip("axe_playwright_python.base", reason=NO_AXE)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
KINDS = ("report", "ui", "run", "nothing", "check", "own words")
RULES = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']"
LOOK = f"""async (whole) => {{
    const boxes = [...document.querySelectorAll(".scroll")];
    for (const box of boxes) box.style.backgroundImage = "none";
    const rules = whole ? {{ type: "tag", values: {RULES} }} : {{ type: "rule", values: ["color-contrast"] }};
    const there = (node) => document.querySelector(node.target[0]);
    let found, looks = 0;
    do found = await axe.run(document, {{ runOnly: rules, resultTypes: ["violations", "incomplete"] }});
    while (++looks < 5 && !found.incomplete.every((rule) => rule.nodes.every(there)));  // charts are drawn anew
    for (const box of boxes) box.style.backgroundImage = "";
    const told = (rules) => rules.flatMap((rule) => rule.nodes.map((node) => `${{rule.id}}: ${{node.html}}`));
    const undecided = found.incomplete.map((rule) => ({{
        ...rule, nodes: rule.nodes.filter((node) => !there(node)?.closest(".scroll, svg")),
    }}));
    return [told(found.violations), told(undecided), found.passes.map((rule) => rule.id)];
}}"""
OPEN = """all => { for (const each of all) each.open = each.textContent.includes("validation split"); }"""
UNBROKEN = ".whole, .number, td code, p code, .runs td:not(.recipe), .words td"
LINES = f"""() => [...document.querySelectorAll("{UNBROKEN}")].flatMap((box) => {{
    const range = document.createRange();
    range.selectNodeContents(box);
    const lines = [...range.getClientRects()].map((each) => each.bottom);
    return Math.max(...lines) - Math.min(...lines) > 8 ? [box.outerHTML] : [];
}})"""
HIDDEN_SIDES = """() => [...document.querySelectorAll(".scroll")].filter((box) => box.scrollWidth > box.clientWidth)
    .map((box) => getComputedStyle(box).backgroundAttachment)"""


def make_pages(folder: Path) -> dict[str, str]:
    """The addresses of the pages that are files; the registry that is served has every status, and a detector."""
    card = with_manifests(make_card(clips=60))
    recipes = [make_recipe("fc", "sgd", softmax=softmax) for softmax in (False, True)]
    with Registry(folder / "experiments.db", create=True) as registry:
        for wrong, recipe in enumerate([*recipes, make_recipe("cnn", "adam")]):
            run_id = train(registry, recipe, card, wrong=3 * wrong + 1)
        registry.keep_evaluation(run_id, make_evaluation(card, VALIDATION, wrong=2), card)
        train(registry, make_recipe(data="elsewhere"), make_card("elsewhere", clips=9), wrong=2)
        registry.end(start(registry, make_recipe("fc", "adam"), card), FAILED, "the loss is not finite")
        cut_off(registry)
        registry.tag(run_id, ["paper"])
        registry.annotate(run_id, "A note\nof two lines.")
    Registry(folder / "nothing.db", create=True).__exit__(None, None, None)
    clips = write_folder(folder / "words", {"yes": (3, 1, 1), "no": (2, 1, 1)}, seconds=1.0)
    write(clips / "yes" / "train0_nohash_0.wav", np.zeros(16_000))
    for name in ("train0", "test0"):
        write(clips / "no" / f"{name}_nohash_0.wav", noise(60))
    assert kws("data", "check", clips, "--html", folder / "check.html").exit_code == 1, "a sound is in two splits"
    ok("report", folder / "report.html", "--db", folder / "experiments.db")
    ok("report", folder / "nothing.html", "--db", folder / "nothing.db")
    found = OwnWords(
        folds=5,
        speakers=None,
        words=(_heard("lamp", 9, 10, heater=1), _heard("heater", 10, 10)),
        others=_heard("other words", 30, 400),
        accepted={"lamb": (30, 40)},
    )
    run = SimpleNamespace(
        id="abcdefgh", parameters=65_515, data_source="mine", recipe=SimpleNamespace(pretrained="/x/y.db:fdjfpbcd@0")
    )
    advice = own_words.advice(found, builtin=True)
    text = own_page(run, folder / "model.onnx", found, advice, ["kws train --data lamp --arch tc_resnet --opt muon"])
    (folder / "own words.html").write_text(text, encoding="utf-8")
    return {kind: (folder / f"{kind}.html").as_uri() for kind in KINDS if kind not in ("ui", "run")}


def _heard(name: str, heard: int, clips: int, **taken_for: int) -> Heard:
    return Heard(name=name, heard=heard, clips=clips, taken_for=taken_for)


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("axe")
    found = make_pages(folder)
    with RegistryReader(folder / "experiments.db") as registry:
        first, *_ = registry.runs()  # which has no thresholds, as the one whose box is opened in the file has
    with served(folder / "experiments.db") as address:
        yield {**found, "ui": address, "run": f"{address}/run?id={first.id}"}


@pytest.fixture(scope="module")
def opened() -> Iterator[Window]:
    with window() as made:
        yield made


@pytest.fixture(params=KINDS)
def shown(opened, pages, request):
    """Each kind of page, with a run's box opened; the console has no message, and no request leaves the machine."""
    opened.page.goto(pages[request.param])
    opened.page.locator("details").evaluate_all(OPEN)
    yield request.param, opened.page
    opened.page.goto("about:blank")
    assert opened.said == []
    assert opened.asked and opened.asked_elsewhere == []


def test_each_kind_of_page_passes_axe_and_fits_its_window(shown):
    kind, page = shown
    page.evaluate(axe.AXE_SCRIPT)
    for width in (400, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            violations, undecided, passed = page.evaluate(LOOK, scheme == "light")  # by night only colours differ
            assert violations == [], (kind, width, scheme)
            assert undecided == [], (kind, width, scheme)
            assert "color-contrast" in passed
    page.emulate_media(color_scheme="light")


def test_narrow_pages_break_no_time_no_digest_and_no_number_and_show_which_tables_scroll(shown):
    kind, page = shown
    page.set_viewport_size({"width": 400, "height": 900})
    assert page.evaluate(LINES) == []
    scrolling = page.evaluate(HIDDEN_SIDES)
    assert scrolling or kind in ("nothing", "check")
    assert {each.replace(" ", "") for each in scrolling} <= {"local,local,scroll,scroll"}


def test_axe_finds_what_is_wrong(opened, pages):
    page = opened.page
    page.goto(pages["own words"])
    page.evaluate(axe.AXE_SCRIPT)
    page.evaluate("document.querySelector('main').append(document.createElement('button'))")
    page.evaluate("document.querySelector('p').style.color = '#ddd'")
    violations, _, _ = page.evaluate(LOOK, True)
    assert {each.split(":")[0] for each in violations} == {"button-name", "color-contrast"}
    page.goto("about:blank")
