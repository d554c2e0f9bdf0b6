"""Logits: kept beside the answers that they make, and never beside others."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from commands import ok, sql
from ledger import make_card, make_evaluation, make_recipe, train

from kws.errors import RegistryError
from kws.events import TEST, VALIDATION
from kws.registry.store import Registry

CARD = make_card()


def test_they_are_kept_with_a_finished_run_and_come_back_as_they_were(registry):
    run_id = train(registry, card=CARD)
    kept = registry.logits(run_id, CARD.fingerprint, TEST)
    assert kept == make_evaluation(CARD).logits
    assert np.frombuffer(kept, "<f2").reshape(-1, 3).shape == (6, 3)
    assert registry.logits(run_id, CARD.fingerprint, VALIDATION) is None


def test_answers_that_were_kept_without_them_get_them_when_they_are_given_again(registry):
    run_id = train(registry, card=CARD)
    bare = dataclasses.replace(make_evaluation(CARD, VALIDATION), logits=b"")
    registry.keep_evaluation(run_id, bare, CARD)
    assert registry.logits(run_id, CARD.fingerprint, VALIDATION) is None
    registry.keep_evaluation(run_id, make_evaluation(CARD, VALIDATION), CARD)
    assert registry.logits(run_id, CARD.fingerprint, VALIDATION) == make_evaluation(CARD, VALIDATION).logits


def test_those_of_other_answers_are_not_kept_beside_the_first(registry):
    run_id = train(registry, card=CARD)
    registry.keep_evaluation(run_id, dataclasses.replace(make_evaluation(CARD, VALIDATION), logits=b""), CARD)
    registry.keep_evaluation(run_id, make_evaluation(CARD, VALIDATION, wrong=3), CARD)
    assert registry.logits(run_id, CARD.fingerprint, VALIDATION) is None


@pytest.mark.parametrize("damage", [b"x", b"x\x9c\x03\x00\x00\x00\x00\x01"], ids=["not compressed", "none"])
def test_what_is_no_logits_is_told_in_one_sentence(registry, damage):
    run_id = train(registry, card=CARD)
    sql(registry.path, "UPDATE logits SET logits = ?", values=(damage,))
    with pytest.raises(RegistryError, match="is damaged"):
        registry.logits(run_id, CARD.fingerprint, TEST)


def test_they_go_with_their_run_into_another_registry_and_out_of_it(registry, tmp_path):
    run_id = train(registry, make_recipe("fc", "sgd"), CARD)
    ok("runs", "export", run_id, "one.db")
    with Registry(tmp_path / "one.db") as other:
        assert other.logits(run_id, CARD.fingerprint, TEST) == make_evaluation(CARD).logits
    ok("runs", "delete", run_id)
    ok("runs", "purge")
    assert sql(registry.path, "SELECT count(*) FROM logits") == [(0,)]
