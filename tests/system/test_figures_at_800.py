"""Figures of the registry that comes along, as a page shows them, 800 pixels wide, and as a paper does."""

from __future__ import annotations

import dataclasses
import itertools
import re

import pytest
from matplotlib.image import imread
from matplotlib.text import Annotation, Text
from places import ROOT

from kws.registry.reader import RegistryReader
from kws.registry.selection import Selection
from kws.reports import drawing as drawings
from kws.reports import figures
from kws.reports.drawing import PAPER, SCREEN

PIXELS = 800
CAPITAL = 0.729  # heights of DejaVu Sans's letters that a capital is high
COMMITS = {"optimizers": None, "size": None, "time": 0.97}  # the figures of README and docs, and their targets
NAMED = {"curves": "dpghnmcw", "confusion": "dpghnmcw", "det": "dpghnmcw"}


def chosen(kind: str) -> str | None:
    """What the Makefile chooses for a kind."""
    text = (ROOT / "Makefile").read_text()
    given = dict(re.findall(r"^(\w+) := (.*)$", text, re.MULTILINE))
    found = re.search(rf'kws plot --kind {kind} --where "(.*?)"', text)
    return found and re.sub(r"\$\((\w+)\)", lambda name: given[name[1]], found[1])


@pytest.fixture(scope="module")
def drawn():
    """Every kind's figure in both styles, laid out as it is written."""
    made = {}
    with RegistryReader(ROOT / "experiments.db") as registry:
        for kind in figures.KINDS:
            if kind in NAMED:
                runs = [registry.run(NAMED[kind])]
            else:
                where = chosen(kind) or "arch in ('fc', 'cnn')"
                runs = registry.runs(dataclasses.replace(Selection(), where=where))
            for style in (SCREEN, PAPER):
                drawing = figures.draw(kind, registry, runs, style, target=COMMITS.get(kind))
                with style.applied():
                    drawings.lay_out(drawing)
                made[kind, style.name] = drawing
    return made


def shown(drawing, style) -> list[Text]:
    """The texts that can be seen: of the ticks those that are drawn."""
    with style.applied():  # which decides how many ticks there are
        return _shown(drawing)


def _shown(drawing) -> list[Text]:
    beyond = set()
    for axis in (axis for axes in drawing.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        used = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        used = [tick for tick in used if low <= tick.get_loc() <= high]
        for tick in {*axis.majorTicks, *axis.minorTicks} - {*used}:  # also those of an earlier layout
            beyond |= {tick.label1, tick.label2}
    found = drawing.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible())
    return [text for text in found if text.get_text().strip() and text not in beyond]


CASES = pytest.mark.parametrize("kind", figures.KINDS)
BOTH = pytest.mark.parametrize("style", [SCREEN, PAPER], ids=["screen", "paper"])


@CASES
def test_capitals_are_at_least_11_pixels_high(drawn, kind):
    drawing = drawn[kind, "screen"]
    pixels = PIXELS / drawing.get_figwidth() / 72  # of a point
    assert min(text.get_fontsize() for text in shown(drawing, SCREEN)) * pixels * CAPITAL >= 11


@CASES
@BOTH
def test_no_text_covers_another_or_is_cut(drawn, kind, style):
    drawing = drawn[kind, style.name]
    # Of an annotation the text alone: the line to it may pass by.
    boxes = {text: Text.get_window_extent(text).padded(-1) for text in shown(drawing, style)}
    for (one, box), (other, there) in itertools.combinations(boxes.items(), 2):
        assert not box.overlaps(there), (one.get_text(), other.get_text())
    for text, box in boxes.items():
        assert box.x0 >= 0 and box.x1 <= drawing.bbox.width, text.get_text()
        assert box.y0 >= 0 and box.y1 <= drawing.bbox.height, text.get_text()


@CASES
@BOTH
def test_a_legend_hides_no_line_and_a_paper_has_neither_title_nor_caption(drawn, kind, style):
    drawing = drawn[kind, style.name]
    assert not any(axes.get_legend() for axes in drawing.axes)
    for legend in drawing.legends:
        assert all(legend.get_window_extent().y1 <= axes.get_window_extent().y0 for axes in drawing.axes)
        assert legend.get_title().get_text() == ""
    about = drawings.caption(drawing)
    if style is SCREEN:
        assert " ".join(drawing.get_suptitle().split()) == about
    else:
        assert (
            not any("speech_commands" in text.get_text() for text in shown(drawing, style))
            and "speech_commands" in about
        )
        assert not (drawing.get_suptitle() or drawing.get_supxlabel() or drawing.get_supylabel())


@pytest.mark.parametrize("kind", ["optimizers", "convergence", "time"])
def test_every_line_has_a_look_of_its_own_also_in_grey_and_its_name_beside_its_panel(drawn, kind):
    drawing = drawn[kind, "screen"]
    assert not drawing.legends
    for axes in drawing.axes:
        names = [text for text in axes.texts if text.get_text()]
        lines = [line for line in axes.lines if len(line.get_xdata()) > 2]  # neither a marker nor the target
        looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines]
        assert len(set(looks)) == len({look[1:] for look in looks}) == len(looks) == len(names) >= 2
        assert all(isinstance(text, Annotation) for text in names)
        assert all(text.get_window_extent().x0 >= axes.get_window_extent().x1 for text in names)


def test_points_of_equal_size_stand_at_that_size_and_their_intervals_can_be_told_apart(drawn):
    (axes,) = drawn["size", "screen"].axes
    at: dict[float, list[float]] = {}
    for bar in axes.containers:
        point, _, (interval,) = bar.lines
        assert point.get_transform() == axes.transData
        (x,) = point.get_xdata()
        assert {x} == {end for segment in interval.get_segments() for end in segment[:, 0]}
        at.setdefault(x, []).append(float(interval.get_linewidth()[0]))
    assert {567_171, 346_067} <= {x for x, widths in at.items() if len(widths) == 2}
    assert all(len(set(widths)) == len(widths) for widths in at.values())


@pytest.mark.parametrize("kind", ["optimizers", "convergence", "time", "size"])
def test_accuracy_is_on_y_in_percent_and_its_range_is_that_of_what_is_compared(drawn, kind):
    for axes in drawn[kind, "screen"].axes:
        if axes.get_ylabel():
            assert axes.get_ylabel().endswith("accuracy (%)")
        low, high = axes.get_ylim()
        assert 50 <= low < 90 and high <= 102


@pytest.mark.parametrize("kind", COMMITS)
def test_the_figures_of_the_pages_are_as_wide_as_two_pixels_each_and_small(kind):
    path = ROOT / "docs" / f"{kind}.png"
    assert imread(path).shape[1] == 2 * PIXELS
    assert path.stat().st_size <= 150_000


def test_the_files_description_is_the_caption(drawn, tmp_path):
    drawing = drawn["optimizers", "paper"]
    said = drawings.caption(drawing)
    for ending in drawings.ENDINGS:
        drawings.save(drawing, tmp_path / f"a{ending}", PAPER)
        content = (tmp_path / f"a{ending}").read_bytes()
        assert said.encode() in content.replace(rb"\(", b"(").replace(rb"\)", b")")  # as a PDF has them
