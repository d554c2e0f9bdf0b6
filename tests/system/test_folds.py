"""`--split`, `--fold` and `kws sweep --folds` on the command line, and the table over folds."""

from __future__ import annotations

import json
import re

import pytest
from commands import TRAIN, kws, ok, ok_json, refused
from recordings import noise, write, write_folder
from sounds import write_task

from kws.events import NOISE
from kws.registry.reader import RegistryReader

WORDS = ("yes", "no", "go", "stop")


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "clips", dict.fromkeys(WORDS, (4, 2, 3)), seconds=0.05)


def sweep(folder, *more):
    return ok_json("sweep", *TRAIN[1:], "--epochs", 1, "--data", folder, "--jobs", 1, *more)["runs"]


def test_train_says_how_clips_were_divided_and_the_recipe_has_it(folder):
    done = kws(*TRAIN, "--epochs", 1, "--data", folder, "--split", "50/25/25")
    assert done.exit_code == 0, done.stderr
    assert "split 50/25/25 by speaker: 1" in done.stderr
    text = " ".join(ok("compare").split())
    assert "; split 50/25/25; fingerprint" in text
    assert ok_json("runs", "show", "last")["recipe"]["split_shares"] == "50/25/25"


def test_a_sweep_tests_every_clip_once_and_compare_pools_the_folds(folder, db):
    done = sweep(folder, "--folds", 3, "--seeds", 2)
    assert len(done) == 6
    with RegistryReader(db) as registry:
        runs = registry.runs()
        assert {run.recipe.fold for run in runs} == {"1/3", "2/3", "3/3"}
        assert len({run.data_fingerprint for run in runs}) == 3
        clips = {run.recipe.fold: registry.card(run.data_fingerprint).labels["test"] for run in runs}
        right = {run.id: round(run.test_accuracy * len(clips[run.recipe.fold])) for run in runs}
    (table,) = json.loads(ok("compare", "--format", "json"))["folds"]
    (recipe,) = table["recipes"]
    whole = recipe["all"]
    assert whole["clips"] == sum(map(len, clips.values())) == 27
    assert whole["speakers"] == 9
    assert whole["accuracy"] == pytest.approx(sum(right.values()) / (2 * whole["clips"]))
    assert whole["low"] <= whole["accuracy"] <= whole["high"]
    assert (whole["n"], whole["interval_over"]) == (2, ["seeds", "speakers"])
    assert {*whole["runs"]} == {*right}
    text = " ".join(ok("compare").split())
    assert f"Over all 3 folds: {whole['clips']} clips of 9 speakers, each tested once a seed" in text
    assert f"{100 * whole['accuracy']:.2f} % ({100 * whole['low']:.2f} to {100 * whole['high']:.2f}, n = 2)" in text
    for form in ("markdown", "latex"):
        assert "Over all 3 folds" in ok("compare", "--format", form)
    assert "is not in CSV" in kws("compare", "--format", "csv").stderr
    assert all(run in ok("compare", "--runs") for run in right)


def test_folds_that_are_missing_are_said_and_nothing_is_pooled_without_them(folder):
    for fold in ("1/3", "3/3"):
        ok(*TRAIN, "--epochs", 1, "--data", folder, "--fold", fold)
    text = " ".join(ok("compare").split())
    assert "has no run of fold 2, so none for all folds yet" in text
    assert "Over all" not in text


def test_runs_without_folds_have_table_1_as_ever(folder):
    ok(*TRAIN, "--epochs", 1, "--data", folder)
    before = ok("compare"), ok("compare", "--format", "json")
    for fold in ("1/3", "2/3", "3/3"):
        ok(*TRAIN, "--epochs", 1, "--data", folder, "--fold", fold)
    assert ok("compare").startswith(before[0])
    after = json.loads(ok("compare", "--format", "json"))
    assert after["tables"] == json.loads(before[1])["tables"]
    assert len(after["folds"]) == 1


def test_other_metrics_have_a_table_a_fold(folder):
    sweep(folder, "--folds", 3)
    text = " ".join(ok("compare", "--metric", "test-loss").split())
    assert all(f"fold {fold} of 3; fingerprint" in text for fold in (1, 2, 3))


def test_a_run_of_a_fold_is_evaluated_on_its_own_clips_where_they_were_moved_and_on_words_left_out(folder):
    ok(*TRAIN, "--epochs", 1, "--data", folder, "--fold", "2/3", "--leave-out", "go")
    before = ok_json("eval", "last")
    moved = folder.rename(folder.parent / "moved")
    again = ok_json("eval", "last", "--data", moved)
    assert (again["clips"], again["accuracy"], again["trained_on"]) == (before["clips"], before["accuracy"], 0)
    assert before["unheard"]["clips"] == 3


def test_what_cannot_be_is_refused(folder):
    train = ("sweep", *TRAIN[1:], "--data", folder)
    assert "`folds` (=2) must have from 3 to 100 folds" in refused(*train, "--folds", 2)
    assert "leave --split out, or --folds" in refused(*train, "--folds", 3, "--split", "70/15/15")
    assert "leave one of both out" in refused(*TRAIN, "--data", folder, "--fold", "1/3", "--split", "70/15/15")
    few = write_folder(folder.parent / "few", {"yes": (4, 0, 0), "no": (4, 0, 0)}, seconds=0.05)
    told = kws(*TRAIN, "--data", few).stderr
    assert "has no clips of 'yes' in its validation split; it has 4 clips of 4 speakers" in told
    assert "add `--split 60/20/20`" in told
    ok(*TRAIN, "--epochs", 1, "--data", few, "--split", "60/20/20")


# Streams


@pytest.fixture
def folded(tmp_path):
    """A task whose words are tones, with noise, and a run of each of three folds of it."""
    folder = write_task(tmp_path / "task", {"train": 6})
    (folder / NOISE).mkdir()
    for place, name in enumerate(("exercise_bike", "pink_noise", "tap", "dishes")):
        write(folder / NOISE / f"{name}.wav", noise(place, seconds=4, level=0.01))
    return folder, sweep(folder, "--folds", 3)


def test_every_clip_is_heard_once_by_the_fold_that_never_heard_its_speaker(folded):
    folder, _ = folded
    found = ok_json("stream", "last", "--folds", "--noisy", 0)
    assert [each["fold"] for each in found["folds"]] == [1, 2, 3]
    assert len({each["fingerprint"] for each in found["folds"]}) == 3
    assert sum(each["clips"] for each in found["folds"]) == len([*folder.glob("*/*_nohash_*.wav")]) == 24
    assert found["hours"] == pytest.approx(sum(each["hours"] for each in found["folds"]))
    for place, point in enumerate(found["points"]):
        parts = [each["points"][place] for each in found["folds"]]
        assert point["said"] == sum(each["said"] for each in parts)
        assert point["misses"] == sum(each["misses"] for each in parts)
        assert point["false_accepts"]["events"] == sum(each["false_accepts"]["events"] for each in parts)
    assert found["points"][-1]["said"] == 12
    text = " ".join(ok("stream", "last", "--folds", "--noisy", 0).split())
    assert "24 clips, each heard by a network that never heard its speaker" in text
    assert "thresholds are those of each fold's run" in text
    rates = [each["points"][-1]["false_accepts"]["per_hour"] for each in found["folds"]]
    assert f"From {min(rates):.1f} to {max(rates):.1f} false accepts an hour by fold." in text


def test_where_speakers_are_unknown_folds_and_streams_say_so(tmp_path):
    for word in WORDS:
        for i in range(3):
            write(tmp_path / "clips" / word / f"{word} {i}.wav", noise(i, seconds=0.05))
    sweep(tmp_path / "clips", "--folds", 3)
    assert "clips, speakers unknown, each tested once a seed" in " ".join(ok("compare").split())
    text = " ".join(ok("stream", "last", "--folds", "--noisy", 0).split())
    assert "12 clips, each heard by a network that never heard it (speakers unknown: it may have heard" in text
    assert ok_json("stream", "last", "--folds", "--noisy", 0)["speakers_known"] is False


def test_a_stream_of_a_run_of_a_fold_is_of_that_folds_clips_and_its_labels_say_so(folded, tmp_path):
    _, runs = folded
    of = {}
    for each in runs:
        ok("stream", each["run"], "--make", tmp_path / f"{each['run']}.wav", "--split", "test", "--noisy", 0)
        about = json.loads((tmp_path / f"{each['run']}.json").read_text())["made_from"]
        of[each["run"]] = {item["speaker"] for item in about["items"]}
        assert re.fullmatch("fold [123] of 3", about["splits"])
    assert not set.intersection(*of.values()) and len(set.union(*of.values())) == 6
    one, other, _ = of
    heard = kws("stream", one, tmp_path / f"{other}.wav", "--labels", tmp_path / f"{other}.json")
    assert "it may have learnt them by heart" in heard.stderr
    heard = kws("stream", one, tmp_path / f"{one}.wav", "--labels", tmp_path / f"{one}.json")
    assert "by heart" not in heard.stderr + heard.stdout


def test_what_folds_of_streams_need_is_said(folded, tmp_path):
    folder, _ = folded
    assert "leave --target-fa out" in refused("stream", "last", "--folds", "--target-fa", 3)
    assert "leave the recording 'long.wav' out" in refused("stream", "last", "long.wav", "--folds")
    assert "--folds needs a run of one of them" in refused("stream", "--folds")
    of_no_fold = ok_json(*TRAIN, "--epochs", 1, "--data", folder, "--split", "34/33/33")["run"]
    assert "is no fold; `kws sweep --folds 5`" in refused("stream", of_no_fold, "--folds")
    done = kws("stream", "last", tmp_path / "none.wav", "--target-fa", 0.5, "--noisy", 0)
    assert "After `kws sweep --folds 5`, `kws stream RUN --folds` measures false accepts over all" in done.stderr


def test_folds_of_one_recipe_are_one_recipe_that_a_test_split_has_judged(folder, db):
    runs = [each["run"] for each in sweep(folder, "--folds", 3)]
    with RegistryReader(db) as registry:
        prints = [registry.card(registry.run(run).data_fingerprint).split_fingerprints for run in runs]
        tested = {each["test"] for each in prints}
        assert tested == {each["validation"] for each in prints}, "a fold's test is another's validation"
        assert {registry.recipes_judged(each) for each in tested} == {1}
    assert ok_json("runs", "show", runs[0])["recipes_judged"] == 1
    assert "this split has now judged 1 recipe" in kws("eval", runs[0]).stderr
    sweep(folder, "--folds", 3, "--learning-rate", 0.02)
    assert ok_json("runs", "show", runs[0])["recipes_judged"] == 2
