"""The registry: what goes in comes out, at once and whole, and which run is meant."""

from __future__ import annotations

import dataclasses
import hashlib
import struct

import pytest
from commands import allow, refuse, sql
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import (
    ENVIRONMENT,
    WEIGHTS,
    make_card,
    make_epochs,
    make_evaluation,
    make_recipe,
    read_back,
    start,
    train,
)

from kws.errors import RegistryError, UnknownRunError
from kws.recipe import Recipe, every_option, names
from kws.registry import beginning, tables
from kws.registry.environment import Environment
from kws.registry.location import ServerUrl
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, RUNNING, Run
from kws.registry.store import Registry


@pytest.fixture(scope="module")
def shared_registry(new_place):
    with Registry(new_place(), create=True) as opened:
        yield opened


# What goes in comes out


def test_a_run_comes_back_as_it_was_recorded(registry):
    recipe = make_recipe("cnn", "sgd", seed=2**63 - 1, maps=(8, 4), words=("ja", "hæ?"), softmax=True)
    card = make_card()
    run_id = start(registry, recipe, card, parameters=1234, name="a name", note="a note\nof two lines")
    for epoch in make_epochs(3):
        registry.record(run_id, epoch)
    answers = make_evaluation(card, wrong=2)
    registry.finish(run_id, answers, card, WEIGHTS)
    run = registry.run(run_id)
    assert (run.id, run.status, run.error) == (run_id, FINISHED, None)
    assert (run.name, run.note, run.parameters) == ("a name", "a note\nof two lines", 1234)
    assert (run.recipe, run.environment) == (recipe, ENVIRONMENT)
    assert (run.data_fingerprint, run.data_source) == (card.fingerprint, "clips")
    assert (run.epochs_done, run.seconds) == (3, 0.125 + 0.25 + 0.375)
    assert run.validation_accuracy == make_epochs(3)[-1].validation_accuracy
    assert run.test_accuracy == answers.accuracy
    assert run.started_at <= run.ended_at
    assert registry.evaluations(run_id) == [(card, answers)]


def test_a_data_card_comes_back_with_its_fingerprint(registry):
    card = make_card("a source", classes=("yes", "no", "stop", "other"))
    start(registry, card=card)
    assert registry.card(card.fingerprint) == card
    assert registry.card(card.fingerprint).fingerprint == card.fingerprint


def test_an_environment_outside_a_checkout_comes_back(registry):
    environment = dataclasses.replace(ENVIRONMENT, git_commit=None, git_dirty=None)
    assert registry.run(start(registry, environment=environment)).environment == environment


def test_epochs_come_back_exactly_and_their_iterations_to_float32(registry):
    run_id = start(registry)
    epochs = make_epochs(3)
    for epoch in epochs:
        registry.record(run_id, epoch)

    def float32(values):
        return tuple(struct.unpack("<f", struct.pack("<f", value))[0] for value in values)

    assert registry.epochs(run_id) == [
        dataclasses.replace(
            epoch,
            iteration_losses=float32(epoch.iteration_losses),
            iteration_accuracies=float32(epoch.iteration_accuracies),
        )
        for epoch in read_back(epochs)
    ]
    assert registry.epochs(run_id, iterations=False) == [
        dataclasses.replace(epoch, iteration_losses=(), iteration_accuracies=()) for epoch in registry.epochs(run_id)
    ]


def test_epochs_come_back_in_their_order_whatever_order_they_were_recorded_in(registry):
    run_id = start(registry)
    for epoch in reversed(make_epochs(4)):
        registry.record(run_id, epoch)
    assert [epoch.epoch for epoch in registry.epochs(run_id)] == [1, 2, 3, 4]


def test_a_run_knows_how_far_it_is(registry):
    run_id = start(registry)
    for epoch in make_epochs(4):
        registry.record(run_id, epoch)
        run = registry.run(run_id)
        assert (run.epochs_done, run.validation_accuracy) == (epoch.epoch, epoch.validation_accuracy)
    assert run.seconds == pytest.approx(sum(epoch.seconds for epoch in make_epochs(4)))


def test_weights_come_back_and_their_sha256_lies_beside_them(registry, db):
    run_id = train(registry)
    assert registry.weights(run_id) == WEIGHTS
    assert sql(db, "SELECT sha256 FROM weights") == [(hashlib.sha256(WEIGHTS).hexdigest(),)]


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@settings(max_examples=25, deadline=None)
@given(
    recipe=st.builds(
        make_recipe,
        arch=TEXT,
        opt=TEXT,
        learning_rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
        momentum=st.none() | st.floats(0, 1, exclude_max=True),
        weight_decay=st.floats(min_value=0, allow_infinity=False),
        seed=st.integers(0, 2**63 - 1),
        epochs=st.integers(1, 10_000),
        softmax=st.booleans(),
        maps=st.none() | st.lists(st.integers(1, 512), min_size=2, max_size=2).map(tuple),
        words=st.lists(TEXT, min_size=1, max_size=3, unique=True).map(tuple),
        data=TEXT,
        threads=st.integers(1, 256),
    ),
    name=st.none() | st.text(),
    note=st.none() | st.text(),
)
def test_any_recipe_name_and_note_come_back(shared_registry, recipe, name, note):
    texts = [recipe.arch, recipe.opt, recipe.data, name or "", note or ""]
    if isinstance(shared_registry.path, ServerUrl) and any("\0" in text for text in texts):
        with pytest.raises(RegistryError, match="a text with a NUL character cannot be kept in"):
            start(shared_registry, recipe, name=name, note=note)
        return
    run = shared_registry.run(start(shared_registry, recipe, name=name, note=note))
    assert (run.recipe, run.name, run.note) == (recipe, name, note)


@pytest.mark.parametrize("kind", [Recipe, Environment])
def test_every_field_is_a_column_of_the_same_name(kind):
    wanted = set(names()) if kind is Recipe else {field.name for field in dataclasses.fields(kind)}
    assert wanted <= set(tables.RunRow.model_fields)


def test_the_runs_table_has_no_column_that_a_run_does_not_show():
    parts = {field.name for kind in (Environment, Run) for field in dataclasses.fields(kind)}
    of_recipe = {*names(), *(each.old for each in every_option().values() if each.old)}
    own = {"key", "milliseconds", "recipe_json", "recipe_digest", "cell_digest"}
    assert set(tables.RunRow.model_fields) - own == (parts | of_recipe) & set(tables.RunRow.model_fields)


def test_what_is_optional_in_a_recipe_may_be_empty_in_its_row_and_nothing_else():
    columns = tables.TrainingRow.__table__.columns
    for field in dataclasses.fields(Environment):
        assert columns[field.name].nullable == ("None" in str(field.type)), field.name
    for name in ("recipe_json", "recipe_digest", "cell_digest"):
        assert not columns[name].nullable


def test_two_runs_on_the_same_data_share_its_row(registry, db):
    train(registry, card=make_card())
    train(registry, card=make_card())
    train(registry, card=make_card("other clips"))
    assert sql(db, "SELECT source FROM data ORDER BY source") == [("clips",), ("other clips",)]
    assert sql(db, "SELECT count(*) FROM splits") == [(6,)]


def test_runs_are_listed_oldest_first_with_what_each_has_so_far(registry):
    finished, running, started = train(registry, wrong=3), start(registry), start(registry)
    registry.record(running, make_epochs(1)[0])
    runs = registry.runs()
    assert [run.id for run in runs] == [finished, running, started]
    assert [run.status for run in runs] == [FINISHED, RUNNING, RUNNING]
    assert [run.epochs_done for run in runs] == [2, 1, 0]
    assert [run.test_accuracy for run in runs] == [0.5, None, None]
    assert [run.validation_accuracy is None for run in runs] == [False, False, True]


def test_a_runs_test_accuracy_is_that_on_its_own_data_and_test_split_only(registry):
    run_id = start(registry)
    elsewhere = make_card("other clips")
    registry.keep_evaluation(run_id, make_evaluation(elsewhere), elsewhere)
    registry.keep_evaluation(run_id, make_evaluation(make_card(), "validation"), make_card())
    assert registry.run(run_id).test_accuracy is None
    registry.finish(run_id, make_evaluation(make_card(), "test", wrong=2), make_card(), WEIGHTS)
    assert registry.run(run_id).test_accuracy == pytest.approx(4 / 6)


def test_an_evaluation_of_all_splits_has_the_labels_of_all(registry):
    card = make_card()
    run_id = train(registry, card=card)
    answers = make_evaluation(card, "all", wrong=5)
    registry.keep_evaluation(run_id, answers, card)
    assert (card, answers) in registry.evaluations(run_id)
    assert answers.clips == 18


def test_the_first_answers_on_a_split_stay(registry):
    card = make_card()
    run_id = train(registry, card=card, wrong=1)
    registry.keep_evaluation(run_id, make_evaluation(card, wrong=4), card)
    assert registry.evaluations(run_id) == [(card, make_evaluation(card, wrong=1))]
    assert registry.run(run_id).test_accuracy == pytest.approx(5 / 6)


# Each change is at once, and whole


def test_an_epoch_is_there_for_others_as_soon_as_it_is_recorded(registry, db):
    run_id = start(registry)
    with Registry(db) as other:
        for epoch in make_epochs(3):
            registry.record(run_id, epoch)
            assert other.run(run_id).epochs_done == epoch.epoch
            assert sql(db, "SELECT max(epoch) FROM epochs") == [(epoch.epoch,)]


def test_an_epoch_is_recorded_once(registry):
    run_id = start(registry)
    epoch = make_epochs(1)[0]
    registry.record(run_id, epoch)
    first = registry.run(run_id), registry.epochs(run_id)
    registry.record(run_id, dataclasses.replace(epoch, seconds=9.0))  # the same bits, as after a run was cut off
    assert (registry.run(run_id), registry.epochs(run_id)) == first
    assert len(first[1]) == 1


def test_a_finish_that_fails_leaves_the_run_as_it_was(registry, db):
    card = make_card()
    run_id = start(registry, card=card)
    refuse(db, "weights")
    with pytest.raises(RegistryError, match="stopped"):
        registry.finish(run_id, make_evaluation(card), card, WEIGHTS)
    run = registry.run(run_id)
    assert (run.status, run.ended_at, run.test_accuracy) == (RUNNING, None, None)
    assert registry.evaluations(run_id) == []
    allow(db, "weights")
    registry.finish(run_id, make_evaluation(card), card, WEIGHTS)
    assert registry.run(run_id).status == FINISHED


def test_a_second_finish_changes_nothing(registry):
    card = make_card()
    run_id = train(registry, card=card)
    before = registry.run(run_id)
    with pytest.raises(RegistryError):
        registry.finish(run_id, make_evaluation(card, "validation"), card, b"other weights")
    assert registry.run(run_id) == before
    assert registry.evaluations(run_id) == [(card, make_evaluation(card))]
    assert registry.weights(run_id) == WEIGHTS


def test_answers_on_data_that_is_not_in_the_registry_are_refused(registry):
    run_id = start(registry)
    elsewhere = make_card("other clips")
    with pytest.raises(RegistryError, match=r"(?i)foreign key"):
        registry.finish(run_id, make_evaluation(elsewhere), elsewhere, WEIGHTS)
    assert registry.run(run_id).status == RUNNING


@pytest.mark.parametrize(("status", "error"), [(FAILED, "the loss became nan"), (INTERRUPTED, None)])
def test_a_run_that_ended_early_says_so_and_keeps_its_epochs(registry, status, error):
    run_id = start(registry)
    registry.record(run_id, make_epochs(1)[0])
    registry.end(run_id, status, error)
    run = registry.run(run_id)
    assert (run.status, run.error, run.epochs_done, run.test_accuracy) == (status, error, 1, None)
    assert run.ended_at >= run.started_at
    with pytest.raises(RegistryError, match="did not finish"):
        registry.weights(run_id)


# Which run is meant


def test_a_run_is_found_by_its_id_by_a_beginning_of_it_and_as_the_last(registry, monkeypatch):
    made = iter(["bbcccccc", "bbdddddd", "ffffffff", "bcdddddd"])
    monkeypatch.setattr(beginning, "new_id", lambda: next(made))
    first, second, third, last = (start(registry) for _ in range(4))
    assert [registry.run(run_id).id for run_id in (first, second, third, last)] == [first, second, third, last]
    assert [registry.run(beginning).id for beginning in ("bbc", "bbd", "f", "bc")] == [first, second, third, last]
    assert registry.run("last").id == last


def test_a_run_is_read_alone_by_its_whole_id_deleted_or_not(registry):
    first, second = (start(registry, make_recipe(seed=seed)) for seed in range(2))
    registry.tag(first, ["b", "a"])
    assert registry.by_id(first) == registry.run(first)
    assert registry.by_id(first).tags == ("a", "b")
    sql(registry.path, "UPDATE trainings SET parameters = -1 WHERE key = 2")
    assert registry.by_id(first).id == first  # whatever is the matter with others
    registry.end(first, INTERRUPTED)
    registry.delete(first)
    assert registry.by_id(first).deleted_at
    for reference in (first[:4], "last", ""):
        with pytest.raises(UnknownRunError):
            registry.by_id(reference)
    with pytest.raises(RegistryError, match=second):
        registry.by_id(second)


def test_a_beginning_that_several_runs_share_is_refused_with_their_ids(registry, monkeypatch):
    made = iter(["bbbbbbb" + letter for letter in "bcdfghj"])
    monkeypatch.setattr(beginning, "new_id", lambda: next(made))
    started = [start(registry) for _ in range(7)]
    with pytest.raises(UnknownRunError) as refused:
        registry.run("bb")
    assert ", ".join(started[:5]) + " ...;" in str(refused.value)
    assert started[5] not in str(refused.value)
    assert registry.run(started[6]).id == started[6]


@pytest.mark.parametrize("reference", ["", "unknown", "aaaaaaaa", "LAST", "%", "_", "'"])
def test_a_reference_to_no_run_is_refused(registry, db, reference):
    start(registry)
    with pytest.raises(UnknownRunError) as refused:
        registry.run(reference)
    assert repr(reference) in str(refused.value)
    assert str(db) in str(refused.value)


def test_an_empty_registry_has_no_last_run(registry):
    with pytest.raises(UnknownRunError, match="the 0 it has"):
        registry.run("last")


@pytest.mark.parametrize(
    "ask",
    [
        lambda registry: registry.record("zzzzzzzz", make_epochs(1)[0]),
        lambda registry: registry.end("zzzzzzzz", FAILED),
        lambda registry: registry.finish("zzzzzzzz", make_evaluation(make_card()), make_card(), WEIGHTS),
        lambda registry: registry.keep_evaluation("zzzzzzzz", make_evaluation(make_card()), make_card()),
        lambda registry: registry.epochs("zzzzzzzz"),
        lambda registry: registry.evaluations("zzzzzzzz"),
        lambda registry: registry.weights("zzzzzzzz"),
        lambda registry: registry.weights_digest("zzzzzzzz"),
        lambda registry: registry.checkpoint("zzzzzzzz"),
        lambda registry: registry.go_on("zzzzzzzz", epochs=5, environment=ENVIRONMENT),
        lambda registry: registry.beat("zzzzzzzz"),
        lambda registry: registry.delete("zzzzzzzz"),
        lambda registry: registry.restore("zzzzzzzz"),
        lambda registry: registry.annotate("zzzzzzzz", "a note"),
        lambda registry: registry.tag("zzzzzzzz", ["tag"]),
    ],
    ids=[
        *("record", "end", "finish", "keep_evaluation", "epochs", "evaluations", "weights", "digest", "checkpoint"),
        *("go_on", "beat", "delete", "restore", "annotate", "tag"),
    ],
)
def test_an_id_that_is_not_there_is_refused_by_every_method(registry, ask):
    start(registry)
    with pytest.raises(UnknownRunError, match="zzzzzzzz"):
        ask(registry)


def test_a_card_that_is_not_there_is_refused(registry):
    with pytest.raises(RegistryError, match="0123"):
        registry.card("0123")


def test_ids_are_eight_letters_without_vowels_and_never_the_beginning_of_last():
    made = {beginning.new_id() for _ in range(2_000)}
    assert len(made) == 2_000
    assert {len(each) for each in made} == {8}
    letters = set("".join(made))
    assert letters <= set("bcdfghjklmnpqrstvwxyz")
    assert not letters & set("aeiou")
    assert not any("last".startswith(each) or each.startswith("last") for each in made)


@pytest.mark.sqlite_file
@pytest.mark.parametrize(("column", "text"), [("words", '[["yes"]]'), ("words", "[1, 2]"), ("maps", '["2", "1"]')])
def test_a_list_that_holds_what_it_cannot_is_damage_that_names_the_run(registry, db, column, text):
    run_id = train(registry, make_recipe("cnn"))
    path = {"words": "$.task.words", "maps": "$.network.channels"}[column]
    sql(db, f"UPDATE trainings SET recipe_json = json_set(recipe_json, '{path}', json('{text}'))")
    with pytest.raises(RegistryError, match=f"run {run_id} cannot be read"):
        registry.run(run_id)


def test_after_a_run_that_cannot_be_read_the_registry_can_be_asked_on(registry):
    """Rows of a server come as they are read, and nothing else can be asked before the last one."""
    broken, *others = (train(registry, make_recipe("cnn", seed=seed)) for seed in range(3))
    sql(registry.path, f"UPDATE trainings SET recipe_json = '[]' WHERE id = '{broken}'")
    for _ in range(2):
        with pytest.raises(RegistryError, match=f"run {broken} cannot be read"):
            registry.runs()
    assert [registry.by_id(run_id).recipe.seed for run_id in others] == [1, 2]
