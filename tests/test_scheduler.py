"""The line of recipes: what becomes of them where processes die, refuse, or somebody else trains them."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from ledger import make_recipe

from kws.errors import KwsError, RegistryError, UnavailableError
from kws.registry.plans import Standing
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING
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
    watched = left[: left.index(0)]
    assert watched == sorted(watched, reverse=True)
    assert lines.SILENT_SECONDS in left[len(watched) :]  # not given up to this sweep: it is watched anew
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
    assert "run bcdf" in first and "last seen at 12:00" in first and "after 90 s" in first
    assert second == "no other sign of run bcdf yet; waiting 59 s more for one"
    assert "last seen at 12:20" in third


class World:
    """A registry that several sweeps of one plan share: each run by its recipe, and which of them are finished."""

    def __init__(self, nodes: int, steps: int = 40):
        self.nodes, self.steps, self.now = nodes, steps, 0.0
        self.keys, self.left, self.claims, self.trained = {}, {}, 0, []

    def claim(self, digest):
        self.claims += 1
        if digest in self.keys:
            return False
        self.keys[digest] = len(self.keys) + 1
        self.left[digest] = self.steps
        self.trained.append(digest)
        return True

    def goes_on(self, digest):
        self.left[digest] -= 1
        return not self.left[digest]

    def status(self, digest):
        return RUNNING if self.left[digest] > 0 else FINISHED


class Node:
    """An executor whose processes claim and train in a World."""

    def __init__(self, world, jobs):
        self.world, self.jobs, self.work, self.told = world, jobs, [], []

    def room(self):
        return self.jobs - len(self.work) - len(self.told)

    def submit(self, task):
        digest = make_recipe(seed=task["recipe"]["seed"]).digest
        if self.world.claim(digest):
            self.work.append((task, digest))
        else:
            status = self.world.status(digest)
            self.told.append((task, {"status": status, "run": digest, "error": None, "sign": None, "before": True}))

    def results(self, seconds):
        self.world.now += seconds / self.world.nodes
        done = [each for each in self.work if self.world.goes_on(each[1])]
        self.work = [each for each in self.work if each not in done]
        told, self.told = self.told, []
        return [*told, *((task, {"status": FINISHED, "run": digest}) for task, digest in done)]


class Sees:
    """Looks into a World."""

    def __init__(self, world):
        self.world, self.database, self.closed = world, SimpleNamespace(), False

    def begun(self, after):
        found = {(digest, "f"): digest for digest, key in self.world.keys.items() if key > after}
        return found, len(self.world.keys)

    def standings(self, run_ids):
        about = {"error": None, "sign": None, "last_seen": None}
        return {run: Standing(status=self.world.status(run), **about) for run in run_ids}

    def __exit__(self, *_):
        self.closed = True


def test_twenty_sweeps_of_one_plan_share_it_with_few_claims_in_vain(monkeypatch):
    """Runs take ten seconds. Without looks each sweep claims each recipe: ten thousand claims for five hundred runs."""
    world, sees = World(nodes=20), []
    monkeypatch.setattr("kws.sweeps.scheduler.time.monotonic", lambda: world.now)

    def watcher():
        sees.append(Sees(world))
        return sees[-1]

    plan = [make_recipe(seed=seed) for seed in range(500)]
    sweeps = [Scheduler(Node(world, 4), plan, {plan[0].data_key: "f"}, watcher).ended() for _ in range(20)]
    ended = [set() for _ in sweeps]
    going = dict(enumerate(sweeps))
    while going:
        for number, sweep in list(going.items()):
            each = next(sweep, "over")
            if each == "over":
                del going[number]
            elif each:
                assert each.result["status"] == FINISHED
                ended[number].add(each.recipe.seed)
    assert ended == [set(range(500))] * 20
    assert sorted(world.trained) == sorted(recipe.digest for recipe in plan)  # each once
    assert world.claims < 2 * 500
    assert len(sees) == 20 and all(each.closed for each in sees)


class Told(Sees):
    """Tells of a run of seed 1 that others have begun, and how it stands from look to look."""

    def __init__(self, *standings):
        super().__init__(SimpleNamespace(keys={make_recipe(seed=1).digest: 1}))
        self.told = list(standings)

    def standings(self, run_ids):
        standing = self.told.pop(0) if len(self.told) > 1 else self.told[0]
        return {run: standing for run in run_ids if standing}


def standing(status, **about):
    return Standing(**{"status": status, "error": None, "sign": None, "last_seen": None, **about})


MET = [{"status": FINISHED, "run": "r", "before": True}]  # what tells that another sweep trains the plan, too


def shared(executor, told, seeds=2):
    plan = [make_recipe(seed=seed) for seed in range(seeds)]
    scheduler = Scheduler(executor, plan, {plan[0].data_key: "f"}, lambda: told)
    ended = [each for each in scheduler.ended() if each]
    assert len(ended) == seeds
    return {each.recipe.seed: each.result for each in ended}


@pytest.mark.parametrize(
    "left", [standing(INTERRUPTED), standing(LOST, sign="1 now"), standing(FAILED, error="it broke"), None]
)
def test_what_others_have_left_is_asked_for(clock, left):
    """Also what has failed there: of equal runs there may be another; and what is seen to be gone from here alone."""
    executor = Scripted(jobs=1, seed0=list(MET), seed1=[{"status": FAILED, "run": "s", "error": "it broke"}])
    assert shared(executor, Told(left))[1]["status"] == FAILED
    assert executor.asked == [(0, None), (1, left.sign if left else None)]


def test_what_others_train_is_waited_for_and_taken_over_where_it_gives_no_sign(clock):
    executor = Scripted(jobs=1, seed0=list(MET))
    assert shared(executor, Told(standing(RUNNING, sign="1 now", last_seen="now")))[1]["status"] == FINISHED
    assert executor.asked == [(0, None), (1, "1 now")]


def test_a_run_of_its_own_that_died_where_it_cannot_be_seen_is_taken_over_as_soon_as_it_is_silent_for_long(clock):
    """As where a node of a cluster is lost, and no other sweep is there."""
    unseen = {"status": RUNNING, "run": "r", "sign": "1 now", "last_seen": "now", "before": True}
    executor = Scripted(jobs=1, seed0=[{"status": DIED}, unseen])
    told = Told(standing(RUNNING, sign="1 now", last_seen="now"))
    assert shared(executor, told, seeds=1)[0]["status"] == FINISHED
    assert executor.asked == [(0, None), (0, None), (0, "1 now")]
    assert clock[0] < 2 * lines.SILENT_SECONDS


def test_a_run_of_others_is_not_taken_over_because_the_registry_was_away(clock):
    """Neither could this sweep look then, nor they give a sign of life."""
    unseen = {"status": RUNNING, "run": "run", "sign": "1 now", "last_seen": "now"}
    executor = Scripted(jobs=1, seed1=[unseen] * 20)
    told, looks = Told(), 0

    def standings(run_ids):
        nonlocal looks
        looks += 1
        if looks == 2:
            clock[0] += 10 * lines.SILENT_SECONDS
            raise UnavailableError("it is away")
        sign = "1 now" if looks < 4 else "1 later"  # they are there again, a little later than the registry
        return {run: standing(FINISHED if looks > 4 else RUNNING, sign=sign, last_seen="now") for run in run_ids}

    told.standings = standings
    assert shared(executor, told)[1]["before"]
    assert {silent for _, silent in executor.asked} == {None}


def test_a_recipe_taken_over_from_others_whose_process_dies_here_is_asked_for_again(clock):
    """A look meanwhile tells of its run, which is this sweep's by then."""
    executor = Scripted(jobs=1, seed0=list(MET), seed1=[{"status": DIED}, {"status": DIED}])
    told = Told(standing(RUNNING, sign="1 now", last_seen="now"), standing(LOST))
    told.begun = lambda after: ({(make_recipe(seed=1).digest, "f"): "run"}, after + 1)  # told of again and again
    assert shared(executor, told)[1]["status"] == FINISHED
    assert [seed for seed, _ in executor.asked] == [0, 1, 1, 1]


def test_where_nothing_can_be_looked_up_each_recipe_is_asked_for(clock):
    def fails():
        raise RegistryError("away")

    executor = Scripted(jobs=1, seed0=[{"status": FINISHED, "run": "r", "before": True}])
    plan = [make_recipe(seed=seed) for seed in range(3)]
    scheduler = Scheduler(executor, plan, {plan[0].data_key: "f"}, fails)
    assert {each.recipe.seed for each in scheduler.ended() if each} == {0, 1, 2}
    assert len(executor.asked) == 3
