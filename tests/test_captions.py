"""Captions: what they say of a test split that is small, against scipy."""

from __future__ import annotations

import re

import pytest
from ledger import make_card, make_recipe, train, with_manifests
from scipy import stats

from kws.registry.store import Registry
from kws.reports.table1 import tables


def test_a_small_test_split_says_what_its_clips_alone_leave(tmp_path):
    """Against the interval of a share of as many independent clips, whatever the seeds; a large one says nothing."""
    for clips, speakers in ((200, None), (200, 40), (3_000, None)):
        card = with_manifests(make_card(f"{clips} {speakers}", clips=clips), speakers=speakers)
        with Registry(tmp_path / f"{clips} {speakers}.db", create=True) as registry:
            for seed in (0, 1):
                train(registry, make_recipe("fc", seed=seed), card, wrong=clips // 10)
            (table,) = tables(registry, registry.runs())
        if clips > 1_000:
            assert table.clips_alone < 0.02 and "small" not in table.caption
            continue
        found = re.search(
            r"small: its 200 clips( of 40 speakers)? alone leave a 95 % interval of ([\d.]+) points to either side",
            table.caption,
        )
        assert found and bool(found[1]) == bool(speakers)
        if speakers is None:
            theirs = stats.binomtest(180, 200).proportion_ci(method="wilson")
            assert float(found[2]) / 100 == pytest.approx((theirs.high - theirs.low) / 2, abs=0.001)
