"""What a process is told of the runs of a plan that others train, too."""

import pytest
from commands import sql
from ledger import make_card, make_evaluation, make_recipe, make_wanted

from kws.registry.claims import Claimer
from kws.registry.plans import PlanWatcher
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING

CARD = make_card()


@pytest.fixture
def registry(db):
    with Claimer(db, create=True) as opened:
        yield opened


def claim(registry, seed):
    return registry.claim(make_wanted(make_recipe(seed=seed), CARD)).run


def key(seed):
    return make_recipe(seed=seed).digest, CARD.fingerprint


def test_each_run_is_told_once(registry, db):
    with PlanWatcher(db) as watcher:
        assert watcher.begun(0) == ({}, 0)
        runs = [claim(registry, seed) for seed in range(2)]
        begun, after = watcher.begun(0)
        assert begun == {key(seed): run for seed, run in enumerate(runs)}
        assert watcher.begun(after) == ({}, after)
        third = claim(registry, 2)
        assert watcher.begun(after)[0] == {key(2): third}


def test_how_runs_stand(registry, db):
    running, finished, failed, interrupted, lost, deleted = (claim(registry, seed) for seed in range(6))
    registry.finish(finished, make_evaluation(CARD), CARD, b"weights")
    registry.end(failed, FAILED, "it broke")
    registry.end(interrupted, INTERRUPTED)
    of_lost = f"(SELECT key FROM trainings WHERE id = '{lost}')"
    sql(db, f"UPDATE sessions SET process_started = 'earlier' WHERE run_key = {of_lost}")
    registry.end(deleted, INTERRUPTED)
    registry.delete(deleted)
    with PlanWatcher(db) as watcher:
        found = watcher.standings([running, finished, failed, interrupted, lost, deleted, "nosuch"])
        assert {run: each.status for run, each in found.items()} == {
            running: RUNNING,
            finished: FINISHED,
            failed: FAILED,
            interrupted: INTERRUPTED,
            lost: LOST,
        }
        assert found[failed].error == "it broke"
        assert [run for run, each in found.items() if each.sign] == [lost]  # for whom it cannot be seen to be gone


def test_one_whose_process_cannot_be_seen_has_its_last_sign(registry, db):
    run = claim(registry, 0)
    sql(db, "UPDATE sessions SET host = 'elsewhere'")
    with PlanWatcher(db) as watcher:
        standing = watcher.standings([run])[run]
        sighting = watcher.sighting(run)
    assert (standing.status, standing.sign, standing.last_seen) == (RUNNING, sighting.sign, sighting.last_seen)
    assert standing.sign
