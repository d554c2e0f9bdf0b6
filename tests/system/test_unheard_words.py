"""`kws train --leave-out`, and what eval, compare, test and sweep say of words that a run never heard."""

from __future__ import annotations

import pytest
from commands import TRAIN, kws, ok, ok_json, refused, sql
from recordings import write_folder

from kws.errors import RegistryError
from kws.events import LEFT_OUT
from kws.registry.reader import RegistryReader
from kws.reports.table1 import tables
from kws.training import runner

WORDS = ("yes", "no", "go", "stop", "up", "left")


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "clips", dict.fromkeys(WORDS, (4, 3, 3)), seconds=0.05)


def train(folder, *more):
    return ok_json(*TRAIN, "--epochs", 1, "--data", folder, *more)["run"]


def recorded(db, run):
    with RegistryReader(db) as registry:
        return {(card.draw, each.split): each for card, each in registry.evaluations(run)}


def test_a_run_is_tested_on_the_words_that_it_never_heard_and_eval_and_compare_agree(folder, db):
    run = train(folder, "--leave-out", "go,stop")
    kept = recorded(db, run)
    assert {split for draw, split in kept if draw == LEFT_OUT} == {"train", "validation", "test"}
    assert kept[LEFT_OUT, "test"].clips == 6
    told = ok_json("eval", run)["unheard"]
    assert told["clips"] == 6 and told["miss_rate"] == 0.05
    assert {word: each["clips"] for word, each in told["words"].items()} == {"go": 3, "stop": 3}
    text = " ".join(ok("compare", "--metric", "unheard-accepts").split())
    assert f"{100 * told['rate']:.2f} %" in text
    assert "on 6 test clips of go and stop in clips" in text
    assert "other: two words heard in training, go and stop never" in text
    assert "Words never heard in training" in " ".join(ok("eval", run, "--split", "validation").split())


def test_no_test_leaves_the_words_never_heard_of_the_test_split_alone_and_kws_test_tests_them(folder, db):
    run = train(folder, "--leave-out", "go,stop", "--no-test")
    assert {split for draw, split in recorded(db, run) if draw == LEFT_OUT} == {"train", "validation"}
    assert ok_json("eval", run, "--split", "validation")["unheard"]["clips"] == 6
    ok("test", run)
    assert (LEFT_OUT, "test") in recorded(db, run)


def test_answers_that_are_lost_are_made_again_to_the_same_answers(folder, db):
    run = train(folder, "--leave-out", "go,stop")
    before = ok_json("eval", run)["unheard"]
    fingerprint = sql(db, "SELECT fingerprint FROM data WHERE draw = 'left out'")[0][0]
    for table in ("logits", "evaluations"):
        sql(db, f"DELETE FROM {table} WHERE data_fingerprint = '{fingerprint}'")
    assert ok_json("eval", run)["unheard"] == before


def test_a_run_that_heard_all_words_has_no_words_for_a_test_of_their_own(folder, db):
    run = train(folder)
    assert ok_json("eval", run)["unheard"] is None
    with RegistryReader(db) as registry:
        (table,) = tables(registry, registry.runs())
    assert table.left_out == ()
    heard = "all heard in training" if not table.others.unheard else "of the test split never"  # by the draw
    assert heard in " ".join(ok("compare").split())


def test_a_sweep_turns_through_pairs_of_the_other_words(folder, db):
    done = ok_json("sweep", *TRAIN[1:], "--epochs", 1, "--data", folder, "--leave-out", "pairs", "--jobs", 1)
    with RegistryReader(db) as registry:
        left_out = {run.recipe.leave_out for run in registry.runs()}
    assert left_out == {("go", "stop"), ("left", "up")}
    assert len(done["runs"]) == 2
    rates = [ok_json("eval", each["run"])["unheard"]["rate"] for each in done["runs"]]
    line = ok("compare", "--metric", "unheard-accepts").splitlines()[-1]
    assert f"{50 * sum(rates):.2f} % on average over 2 groups of words left out in turn" in line
    assert f"at worst {100 * max(rates):.2f} %" in line


def test_leaving_out_a_keyword_is_refused(folder):
    message = refused(*TRAIN, "--epochs", 1, "--data", folder, "--leave-out", "no,go")
    assert "`leave_out` (=no,go) has 'no', which is a keyword; other words are go, left, stop, up" in message


@pytest.mark.parametrize("error", [RegistryError("the server is away"), KeyboardInterrupt()])
def test_a_run_has_finished_whatever_becomes_of_its_answers_on_words_that_it_never_heard(
    folder, db, error, monkeypatch
):
    def fails(*_, **__):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(runner, "test_unheard", fails)
        result = kws(*TRAIN, "--epochs", 1, "--data", folder, "--leave-out", "go,stop")
    assert result.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 0)
    ((run, status),) = sql(db, "SELECT id, status FROM runs")
    assert status == "finished"
    told = " ".join(result.stderr.split())
    assert "interrupted" not in told
    assert f"`kws eval {run}` makes them" in told
    assert ok_json("eval", run)["unheard"]["clips"] == 6
