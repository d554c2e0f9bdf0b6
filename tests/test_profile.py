"""What a machine does: the peak is the fastest of what was tried, and nothing reaches more than it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ledger import make_recipe

from kws.training import profile

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import Samples
from benchmarks.steps import _share_row

RATES = st.floats(1e-3, 1e6)


@pytest.fixture
def timed(monkeypatch):
    """Products take as long as is said: 1e9 operations a second by data type, size, and whether the right is turned."""
    rates, seen = {}, []

    def take(work):
        left, right = work.args
        of = left.dtype, len(left), not right.is_contiguous()
        seen.append((*of, torch.get_num_threads()))
        return 2 * len(left) ** 3 / 1e9 / rates.get(of, 1.0)

    monkeypatch.setattr(profile, "_PEAK_SIZES", (2, 4, 8))
    monkeypatch.setattr(profile, "_PEAK_SECONDS", 0.0)
    monkeypatch.setattr(profile, "_timed", take)
    return rates, seen


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("turned", [False, True])
def test_the_peak_is_the_fastest_of_sizes_and_layouts(timed, size, turned):
    rates, _ = timed
    rates[torch.float32, size, turned] = 200.0
    assert profile.peak_gflops("fp32") == pytest.approx(200.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_peak_of_bf16_is_that_of_fp32_where_that_is_faster(timed, dtype):
    rates, _ = timed
    rates[dtype, 4, False] = 300.0
    assert profile.peak_gflops("bf16") == pytest.approx(300.0)
    assert profile.peak_gflops("fp32") == pytest.approx(300.0 if dtype is torch.float32 else 1.0)


def test_each_product_is_warmed_up_and_large_ones_are_not_waited_for(timed, monkeypatch):
    _, seen = timed
    monkeypatch.setattr(profile, "_LONG_SECONDS", 8 * 2 * 4**3 / 1e9 - 1e-12)
    profile.peak_gflops("fp32")
    assert {size for _, size, *_ in seen} == {2, 4}
    assert seen.count((torch.float32, 2, False, torch.get_num_threads())) == 2


def test_the_peak_is_measured_with_the_trainings_threads(timed):
    _, seen = timed
    before = torch.get_num_threads()
    try:
        profile.loop.set_up(make_recipe(threads=1))
        profile.peak_gflops("fp32")
        assert {threads for *_, threads in seen} == {1}
    finally:
        torch.set_num_threads(before)


@given(clips=RATES, products=RATES)
def test_no_share_is_above_one(clips, products):
    made = profile.beside_peak(make_recipe("fc"), clips, products)
    assert 0 < made.share <= 1
    assert made.peak_gflops >= products
    assert made.peak_is_lower_bound == (made.gflops > products)


@given(ours=st.lists(RATES, min_size=3, max_size=3), peaks=st.lists(RATES, min_size=3, max_size=3))
def test_no_share_in_a_table_of_the_benchmarks_is_above_one(ours, peaks):
    row = _share_row("cnn", "bf16", Samples(tuple(ours)), Samples(tuple(peaks)), 60_500_000)
    assert row.ratio.most <= 1
    assert ("the peak is at least this" in row.note) == any(a > b for a, b in zip(ours, peaks, strict=True))
