"""Claims: of all who want to train a recipe, one does; and which equal run counts."""

import multiprocessing
from dataclasses import replace

import pytest
from commands import sql
from ledger import make_card, make_epochs, make_evaluation, make_recipe, make_wanted

from kws.errors import RegistryError, UnavailableError
from kws.registry import entries
from kws.registry.claims import NOT_BEGUN, Claimer, PlanReader
from kws.registry.maintenance import purge
from kws.registry.process import HEARTBEAT_SECONDS
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING

WEIGHTS = b"weights"
CARD = make_card()


def claim(registry, recipe=None, **more):
    card = more.pop("card", CARD)
    return registry.claim(make_wanted(recipe or make_recipe(), card, **more))


@pytest.fixture
def registry(db):
    with Claimer(db, create=True) as opened:
        yield opened


def gone(registry):
    """Make every session's process one that has ended."""
    sql(registry.path, "UPDATE sessions SET process_started = 'earlier'")


def test_claims_of_one_process_in_one_millisecond_are_two(registry):
    first, second = (make_wanted(make_recipe(), CARD) for _ in range(2))
    second = replace(second, new=replace(second.new, begun=first.new.begun))
    assert registry.claim(first).mine
    assert not registry.claim(second).mine


def test_the_first_to_claim_has_it_and_the_second_is_told_who_runs(registry):
    first, second = claim(registry), claim(registry)
    assert (first.mine, first.before) == (True, None)
    assert (second.mine, second.before, second.run) == (False, RUNNING, first.run)
    assert second.sign is None  # it can be seen to live, however silent it is
    assert [run.id for run in registry.runs()] == [first.run]


@pytest.mark.parametrize(
    "changes", [{"threads": 2}, {"micro_batch_size": 7}, {"device": "cuda"}, {"data": "elsewhere"}]
)
def test_what_decides_bits_alone_and_where_the_data_lies_make_no_other_run(changes, registry):
    first, second = claim(registry), claim(registry, make_recipe(**changes))
    assert (second.mine, second.run) == (False, first.run)


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"opt": "sgd"}, {"maps": (2, 1)}, {"words": ("up",)}, {"softmax": True}]
)
def test_another_recipe_is_another_run(changes, registry):
    first = claim(registry)
    other = claim(registry, make_recipe(**changes))
    assert other.mine
    assert other.run != first.run


def test_other_data_is_another_run_and_the_same_by_another_name_is_not(registry):
    first = claim(registry)
    assert claim(registry, card=make_card("others")).run != first.run
    assert claim(registry, make_recipe(data="elsewhere/clips")).run == first.run


def test_a_finished_run_is_left_alone_and_so_is_a_failed_one_unless_asked_for(registry):
    first = claim(registry)
    registry.record(first.run, make_epochs(1)[0])
    registry.finish(first.run, make_evaluation(CARD), CARD, WEIGHTS)
    again = claim(registry)
    assert (again.run, again.before, again.mine) == (first.run, FINISHED, False)
    failed = claim(registry, make_recipe(seed=1))
    registry.end(failed.run, FAILED, "it diverged")
    told = claim(registry, make_recipe(seed=1))
    assert (told.run, told.before, told.mine, told.error) == (failed.run, FAILED, False, "it diverged")
    assert claim(registry, make_recipe(seed=1), retry=True).mine


@pytest.mark.parametrize("how", [INTERRUPTED, LOST])
def test_a_run_that_was_cut_off_is_gone_on_with(how, registry):
    first = claim(registry)
    registry.record(first.run, make_epochs(1)[0], b"checkpoint")
    if how == INTERRUPTED:
        registry.end(first.run, INTERRUPTED)
    else:
        gone(registry)
    again = claim(registry)
    assert (again.run, again.before, again.mine) == (first.run, how, True)
    assert registry.run(first.run).status == RUNNING
    assert sql(registry.path, "SELECT first_epoch FROM sessions ORDER BY session") == [(1,), (2,)]


def test_a_deleted_run_does_not_count(registry):
    first = claim(registry)
    registry.end(first.run, INTERRUPTED)
    registry.delete(first.run)
    assert claim(registry).run != first.run


def test_of_equal_runs_the_one_that_is_furthest_counts(registry):
    first = claim(registry)
    registry.end(first.run, INTERRUPTED)
    sql(registry.path, "UPDATE trainings SET deleted_at = 'now'")
    second = claim(registry)
    registry.record(second.run, make_epochs(1)[0])
    registry.finish(second.run, make_evaluation(CARD), CARD, WEIGHTS)
    sql(registry.path, "UPDATE trainings SET deleted_at = NULL")
    assert claim(registry).run == second.run
    with PlanReader(registry.path) as reader:
        assert [run.id for run in reader.known()[make_recipe().digest]] == [second.run, first.run]


def elsewhere(registry):
    """Let every session's process be where it cannot be seen."""
    sql(registry.path, "UPDATE sessions SET boot = 'another'")


def test_a_run_that_can_be_seen_to_live_is_never_taken_over(registry):
    with Claimer(registry.path) as other:
        first = claim(other)
        sign = other.sighting(first.run).sign
        assert claim(registry, silent=sign).mine is False
        assert claim(registry, silent=None).mine is False
        other.record(first.run, make_epochs(1)[0])


def test_a_run_elsewhere_is_left_alone_and_its_last_sign_told(registry):
    with Claimer(registry.path) as other:
        first = claim(other)
        elsewhere(registry)
        again = claim(registry)
        assert (again.run, again.mine, again.before) == (first.run, False, RUNNING)
        assert again.sign.split()[1] == again.last_seen
    with PlanReader(registry.path) as reader:
        (known,) = reader.known()[make_recipe().digest]
    assert (known.status, known.last_seen) == (RUNNING, again.last_seen)


def test_a_silent_run_is_taken_over_and_its_process_is_told(registry):
    with Claimer(registry.path) as other:
        first = claim(other)
        elsewhere(registry)
        sign = claim(registry).sign
        assert claim(registry, silent="an older one").mine is False
        assert claim(registry, silent=sign).mine
        with pytest.raises(RegistryError, match="no longer this process's"):
            other.record(first.run, make_epochs(1)[0])
        registry.record(first.run, make_epochs(1)[0])


def test_a_heartbeat_since_then_keeps_it(registry):
    with Claimer(registry.path) as other:
        first = claim(other)
        elsewhere(registry)
        sign = claim(registry).sign
        sql(registry.path, "UPDATE sessions SET heartbeat_at = '2026-01-01T00:00:00+00:00'")
        assert claim(registry, silent=sign).mine is False
        other.record(first.run, make_epochs(1)[0])


def test_a_takeover_that_had_to_wait_for_the_registry_is_none(registry):
    """Whoever trains could give no sign of life meanwhile either."""
    with Claimer(registry.path) as other:
        first = claim(other)
        elsewhere(registry)
        late = make_wanted(make_recipe(), make_card(), silent=claim(registry).sign)
        late = replace(late, asked=late.asked - HEARTBEAT_SECONDS)
        assert registry.claim(late).mine is False
        other.record(first.run, make_epochs(1)[0])


def test_tags_are_given_with_the_claim(registry):
    first = claim(registry, tags=("tune-a",))
    claim(registry, tags=("tune-b",))
    assert registry.run(first.run).tags == ("tune-a", "tune-b")


def test_of_a_tag_no_more_runs_begin_than_it_may_have(registry):
    registry.end(claim(registry, tags=("t",), most=2).run, INTERRUPTED)
    claim(registry, make_recipe(seed=1), tags=("t",), most=2)
    claim(registry, make_recipe(seed=3))
    for recipe in (make_recipe(seed=2), make_recipe(seed=3)):
        refused = claim(registry, recipe, tags=("t",), most=2)
        assert (refused.run, refused.before, refused.mine) == ("", NOT_BEGUN, False)
    assert claim(registry, tags=("t",), most=2).mine  # it was cut off, and has the tag already
    assert claim(registry, make_recipe(seed=2), tags=("other",), most=2).mine
    assert sorted(run.tags for run in registry.runs()) == [(), ("other",), ("t",), ("t",)]


def test_a_deleted_run_leaves_its_place_to_another(registry):
    first = claim(registry, tags=("t",), most=1).run
    registry.end(first, INTERRUPTED)
    assert claim(registry, make_recipe(seed=1), tags=("t",), most=1).before == NOT_BEGUN
    registry.delete(first)
    assert claim(registry, make_recipe(seed=1), tags=("t",), most=1).mine


def _claim_some(path, gate, taken, first):
    with Claimer(path) as registry:
        gate.wait()
        for seed in range(first, first + 8):
            taken.put(claim(registry, make_recipe(seed=seed), tags=("t",), most=12).mine)
        gate.wait()


def test_several_processes_that_claim_at_once_keep_to_a_tags_limit(registry):
    context = multiprocessing.get_context("fork")
    gate, taken = context.Barrier(4), context.Queue()
    about = [(registry.path, gate, taken, first) for first in (0, 5, 100, 200)]
    processes = [context.Process(target=_claim_some, args=each) for each in about]
    for process in processes:
        process.start()
    assert sum(taken.get(timeout=30) for _ in range(32)) == 12
    for process in processes:
        process.join()
    assert len(registry.runs()) == 12


def _claim_all(path, gate, taken):
    with Claimer(path) as registry:
        gate.wait()
        for seed in range(20):
            if claim(registry, make_recipe(seed=seed)).mine:
                taken.put(seed)
        gate.wait()  # what a process leaves when it ends is anybody's


def test_of_several_processes_that_claim_at_once_each_recipe_has_one(registry):
    context = multiprocessing.get_context("fork")
    gate, taken = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_claim_all, args=(registry.path, gate, taken)) for _ in range(4)]
    for process in processes:
        process.start()
    seeds = [taken.get(timeout=30) for _ in range(20)]
    for process in processes:
        process.join()
    assert sorted(seeds) == list(range(20))
    assert taken.empty()
    assert len(registry.runs()) == 20


def test_the_key_has_all_of_a_recipe_but_how_its_data_is_named():
    recipe = make_recipe()
    assert replace(recipe, data="elsewhere").digest == recipe.digest
    assert replace(recipe, batch_size=7).digest != recipe.digest


def counts(registry, card) -> tuple[int, ...]:
    """How many clips of each class its test split has, as recorded."""
    return tuple(registry.card(card.fingerprint).counts["test"])


def test_what_a_claim_has_recorded_of_its_data_the_next_one_does_not_read_again(registry, monkeypatch):
    """The paths of a large data set take megabytes, and a sweep makes thousands of claims."""
    kept = []
    keep_card = entries.keep_card
    monkeypatch.setattr(entries, "keep_card", lambda *about: kept.append(about) or keep_card(*about))
    claim(registry)
    claim(registry, make_recipe(seed=2))
    assert len(kept) == 1
    claim(registry, make_recipe(seed=3), card=make_card("others"))
    assert len(kept) == 2
    assert {counts(registry, card) for card in (CARD, make_card("others"))} == {CARD.counts["test"]}


def test_data_that_was_purged_meanwhile_is_recorded_again(registry):
    first = claim(registry).run
    registry.end(first, INTERRUPTED)
    purge(registry.path, [first])
    again = claim(registry)
    assert again.run != first
    assert counts(registry, CARD) == CARD.counts["test"]


def test_a_claim_that_is_made_again_after_its_first_attempt_was_undone_has_a_run_that_is_recorded(
    registry, monkeypatch
):
    """A server gives the second row another key."""
    begin_session, attempts = Claimer._keep, []

    def once_away(*about, **more):
        attempts.append(about)
        begin_session(*about, **more)
        if len(attempts) == 1:
            raise UnavailableError("the server was away", "try again")

    monkeypatch.setattr(Claimer, "_keep", once_away)
    run = claim(registry).run
    assert len(attempts) == 2
    registry.record(run, make_epochs(1)[0])
    assert registry.by_id(run).epochs_done == 1


@pytest.mark.sqlite_file
def test_a_damaged_checkpoint_is_told_when_it_is_read(registry, db):
    run = claim(registry).run
    registry.record(run, make_epochs(1)[0], WEIGHTS)
    registry.end(run, INTERRUPTED)
    sql(db, "UPDATE checkpoints SET epoch = 'x'")
    assert claim(registry).mine
    with pytest.raises(RegistryError, match="is damaged"):
        registry.checkpoint(run)
