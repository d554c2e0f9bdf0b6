"""Where the names of lines stand, how lines look, and where an axis of accuracies begins."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.reports.drawing import COLOURS, LOOKS, accuracy_from, ink, look
from kws.reports.line_labels import spread

SHARES = st.floats(0, 1)


@given(st.lists(st.tuples(SHARES, st.floats(0.01, 0.1)), min_size=1, max_size=10))
def test_names_never_overlap_stay_beside_the_panel_and_have_the_order_of_the_ends(names):
    wanted, heights = zip(*names, strict=True)
    places = spread(wanted, heights)
    stacked = sorted(range(len(names)), key=lambda i: -places[i])
    for upper, lower in itertools.pairwise(stacked):
        assert places[upper] - heights[upper] / 2 >= places[lower] + heights[lower] / 2 - 1e-9
        assert wanted[upper] >= wanted[lower]
    assert places[stacked[0]] + heights[stacked[0]] / 2 <= 1 + 1e-9
    assert places[stacked[-1]] - heights[stacked[-1]] / 2 >= -1e-9


def test_names_with_room_stand_at_their_ends_and_others_around_the_middle_of_theirs():
    assert spread([0.2, 0.8], [0.1, 0.1]) == [0.2, 0.8]
    assert spread([0.5, 0.5], [0.1, 0.1]) == pytest.approx([0.55, 0.45])
    assert spread([1.0, 1.0, 0.3], [0.2, 0.2, 0.2]) == pytest.approx([0.9, 0.7, 0.3])


def test_names_that_have_no_room_begin_at_the_top():
    assert spread([0.0, 0.5], [0.7, 0.7]) == pytest.approx([-0.05, 0.65])


def test_no_two_lines_look_alike_nor_the_first_32_in_grey():
    looks = [look(number) for number in range(LOOKS)]
    assert len({(each["color"], each["linestyle"], each.get("marker")) for each in looks}) == LOOKS
    assert len({(each["linestyle"], each.get("marker")) for each in looks[:32]}) == 32


def luminance(colour: tuple[float, ...]) -> float:
    """Relative luminance as in WCAG 2."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", COLOURS)
def test_letters_in_a_lines_colour_have_a_contrast_of_at_least_4_5_on_white(colour):
    assert 1.05 / (luminance(ink(colour)) + 0.05) >= 4.5


def test_an_axis_of_accuracies_begins_below_the_last_ones_but_not_below_all():
    assert accuracy_from([88.0, 92.0], 30.0) == 88 - 3 * 5  # as if they were 5 points apart
    assert accuracy_from([80.0, 90.0], 30.0) == 50.0
    assert accuracy_from([80.0, 90.0], 70.0) == 69.0
    assert accuracy_from([1.0, 90.0], 0.5) == 0.0
