"""Numbers in titles and legends: short, and never two that look the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ledger import make_recipe, make_run, train

from kws.registry.store import Registry
from kws.reports import digits, labels
from kws.reports.labels import of_runs as names
from kws.reports.table1 import tables
from kws.sweeps.status import PlanStatus

LONG = 0.00012345678901234567
NEAR = math.nextafter(LONG, 1)
NUMBERS = st.floats(min_value=0, allow_infinity=False, allow_nan=False)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([LONG], ["0.0001235"]),
        ([0.001, 0.5, 1.0, 1e-5, 12345.0, 1e-300], ["0.001", "0.5", "1", "1e-05", "12345", "1e-300"]),
        ([LONG, 0.00012349], ["0.0001235", "0.00012349"]),
        ([LONG, 0.0001235], ["0.00012346", "0.0001235"]),
        ([LONG, 0.00099], ["0.0001235", "0.00099"]),
        ([123456.789], ["123500"]),
        ([1 / 3, 2 / 3], ["0.3333", "0.6667"]),
    ],
)
def test_a_number_has_as_few_digits_as_tell_it_apart(values, texts):
    found = digits.texts(values)
    assert [found[value] for value in values] == texts


def test_neighbours_have_all_their_digits():
    assert digits.texts([LONG, NEAR]) == {LONG: repr(LONG), NEAR: repr(NEAR)}


@given(st.lists(NUMBERS, min_size=1, max_size=30))
@example([0.12346, 0.123501, 0.1235, 0.12350001])
def test_no_two_numbers_have_one_text_and_each_is_near_its_own(values):
    found = digits.texts(values)
    assert set(found) == set(values)
    assert len(set(found.values())) == len(set(values))
    assert all(float(text) == pytest.approx(value, rel=1e-3) for value, text in found.items())


@given(st.lists(NUMBERS.filter(lambda value: 0 < value < 1), min_size=2, max_size=12, unique=True))
def test_no_two_columns_runs_of_a_figure_or_of_a_plan_have_one_title(rates):
    runs = [make_run(f"run{i}", opt="sgd", learning_rate=rate) for i, rate in enumerate(rates)]
    for rows, columns in (("arch", "opt"), ("opt", "learning_rate"), ("learning_rate", "opt")):
        place = labels.titles(runs, rows, columns)
        assert len({place(run) for run in runs}) == len(runs)
    assert len(set(names(runs))) == len(runs)
    assert not any("[" in name for name in names(runs))
    plan = [run.recipe for run in runs]
    assert len({PlanStatus.of(plan, None).tell(recipe) for recipe in plan}) == len(runs)


def test_tables_and_legends_have_no_number_of_seventeen_digits(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        for rate in (LONG, 0.00067890123456789, 1e-3):
            train(registry, make_recipe("cnn", "sgd", learning_rate=rate, momentum=0.87654321, epochs=2))
        (table,) = tables(registry, registry.runs())
        assert table.columns == tuple(
            f"SGD (learning rate {rate}, momentum 0.8765)" for rate in ("0.0001235", "0.0006789", "0.001")
        )
        by_rate = tables(registry, registry.runs(), columns="learning_rate")[0]
        assert by_rate.columns == tuple(
            f"learning rate {rate} (momentum 0.8765, SGD)" for rate in ("0.0001235", "0.0006789", "0.001")
        )
        assert [name.rpartition(" ")[2] for name in names(registry.runs())] == ["0.0001235", "0.0006789", "0.001"]
