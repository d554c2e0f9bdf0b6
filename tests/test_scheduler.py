"""The line of recipes: what becomes of them where processes die, refuse, or somebody else trains them."""

from pathlib import Path

import pytest
from ledger import make_recipe

from kws.errors import KwsError
from kws.registry.runs import FAILED, FINISHED, RUNNING
from kws.sweeps import scheduler as lines
from kws.sweeps.progress import SweepProgress, Waiting
from kws.sweeps.scheduler import Ended, Scheduler
from kws.sweeps.trainer import DIED, REFUSED


class Scripted:
    """An executor of so many processes, whose results for each recipe are given; FINISHED when there are none left."""

    def __init__(self, jobs=2, **results):
        self.jobs, self.script, self.asked, self.most = jobs, results, [], 0
        self.at_work = []

    def room(self):
        return self.jobs - len(self.at_work)

    def submit(self, task):
        assert self.room() > 0
        self.at_work.append(task)
        self.asked.append((task["recipe"]["seed"], task.get("silent")))
        self.most = max(self.most, len(self.at_work))

    def results(self, seconds):
        if not self.at_work:
            return []
        task = self.at_work.pop(0)
        left = self.script.get(f"seed{task['recipe']['seed']}", [])
        return [(task, left.pop(0) if left else {"status": FINISHED, "run": "r"})]


def trained(executor, seeds):
    plan = [make_recipe(seed=seed) for seed in range(seeds)]
    scheduler = Scheduler(executor, plan, {plan[0].data_key: "f"})
    return [(each.recipe.seed, each.result) for each in scheduler.ended() if isinstance(each, Ended)]


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on a second whenever it is looked at."""
    now = [0.0]

    def monotonic():
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr("kws.sweeps.scheduler.time.monotonic", monotonic)
    return now


def test_every_recipe_ends_once_and_never_more_at_once_than_there_is_room():
    executor = Scripted(jobs=3)
    assert sorted(seed for seed, _ in trained(executor, 10)) == list(range(10))
    assert executor.most == 3


def test_nothing_to_train_asks_nothing():
    executor = Scripted()
    assert list(Scheduler(executor, [], {}).ended()) == []
    assert executor.asked == []


def test_one_whose_process_died_is_asked_for_again_at_once():
    executor = Scripted(seed1=[{"status": DIED}] * 2)
    ended = dict(trained(executor, 4))
    assert ended[1]["status"] == FINISHED
    assert [seed for seed, _ in executor.asked].count(1) == 3


def test_one_whose_processes_always_die_has_failed_and_the_others_go_on():
    executor = Scripted(seed0=[{"status": DIED}] * 99)
    ended = dict(trained(executor, 3))
    assert ended[0] == {"status": FAILED, "run": None, "error": f"its process died {lines.DEATHS} times"}
    assert ended[1]["status"] == ended[2]["status"] == FINISHED


def test_what_is_asked_first_is_asked_again_where_its_process_died():
    executor = Scripted(seed0=[{"status": DIED}] * (lines.DEATHS - 1) + [{"fingerprint": "f"}])
    assert lines.result_of(executor, "probe", make_recipe(seed=0)) == {"fingerprint": "f"}


def test_where_the_first_process_always_dies_that_is_said():
    executor = Scripted(seed0=[{"status": DIED}] * 99)
    with pytest.raises(KwsError, match=f"died {lines.DEATHS} times before any run"):
        lines.result_of(executor, "probe", make_recipe(seed=0))
    assert len(executor.asked) == lines.DEATHS


def test_a_process_that_cannot_work_ends_all_with_its_sentence():
    with pytest.raises(KwsError, match="other clips"):
        trained(Scripted(seed1=[{"status": REFUSED, "error": "other clips"}]), 3)


def test_what_somebody_else_trains_is_asked_for_again_until_it_is_there(clock):
    running = [{"status": RUNNING, "run": "r", "sign": f"1 {second}", "last_seen": "x"} for second in range(5)]
    executor = Scripted(seed0=running)
    ended = trained(executor, 3)
    assert [seed for seed, _ in ended][:2] == [1, 2]  # what can be trained is not kept waiting
    assert dict(ended)[0]["status"] == FINISHED
    assert [silent for seed, silent in executor.asked if seed == 0] == [None] * 6


def test_what_gives_no_sign_any_more_is_taken_over_and_only_then(clock):
    results = [{"status": RUNNING, "run": "r", "sign": "1 now", "last_seen": "now"}] * 500
    executor = Scripted(seed0=list(results))

    class Sees(Scripted):
        def results(self, seconds):
            if self.at_work and self.at_work[0].get("silent") == "1 now":
                return [(self.at_work.pop(0), {"status": FINISHED, "run": "r"})]
            return super().results(seconds)

    executor = Sees(seed0=list(results))
    assert dict(trained(executor, 1))[0]["status"] == FINISHED
    asked = [silent for _, silent in executor.asked]
    assert asked[-1] == "1 now"
    assert set(asked[:-1]) == {None}
    assert len(asked) > lines.SILENT_SECONDS / 10  # the clock above goes on a few seconds a look
    assert clock[0] > lines.SILENT_SECONDS


def test_what_can_be_seen_to_live_is_waited_for_however_long_it_is_silent(clock):
    results = [{"status": RUNNING, "run": "r", "sign": None}] * 200
    executor = Scripted(seed0=list(results))
    assert dict(trained(executor, 1))[0]["status"] == FINISHED
    assert {silent for _, silent in executor.asked} == {None}
    assert clock[0] > 3 * lines.SILENT_SECONDS


def test_what_is_waited_for_is_told_with_how_long(clock):
    executor = Scripted(seed0=[{"status": RUNNING, "run": "r", "sign": "1 now", "last_seen": "now"}] * 60)
    plan = [make_recipe(seed=0)]
    scheduler = Scheduler(executor, plan, {plan[0].data_key: "f"})
    told = [scheduler.unseen["r"] for each in scheduler.ended() if each is None and scheduler.unseen]
    assert {last_seen for last_seen, _ in told} == {"now"}
    assert told[0][1] == lines.SILENT_SECONDS
    left = [seconds for _, seconds in told]
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert scheduler.unseen == {}


def test_a_sweep_says_what_it_waits_for_and_again_now_and_then(capsys):
    scheduler, waiting = Scheduler(Scripted(), [], {}), Waiting()
    with SweepProgress(1, Path("none.db"), str) as shown:
        for last_seen, left in (("12:00", 90.0), ("12:00", 80.0), ("12:00", 59.0), ("12:00", 58.0), ("12:20", 90.0)):
            scheduler.elsewhere, scheduler.unseen = 1, {"bcdf": (last_seen, left)}
            waiting.tell(scheduler, shown)
        assert shown.waiting == "waiting for 1 that other processes train"
        scheduler.elsewhere, scheduler.unseen = 0, {}
        waiting.tell(scheduler, shown)
        assert shown.waiting == ""
    first, second, third = capsys.readouterr().err.splitlines()
    assert "run bcdf" in first and "last seen at 12:00" in first and "for 90 s" in first
    assert second == "no other sign of run bcdf yet; waiting 59 s more for one"
    assert "last seen at 12:20" in third
