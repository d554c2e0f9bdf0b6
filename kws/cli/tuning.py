"""A search from its space to its best recipe: trials on this machine's processes, told and shown as they end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kws import architectures, display, optimizers
from kws.display import percent, visible
from kws.errors import KwsError, RecipeError
from kws.location import Location
from kws.recipe import Recipe
from kws.registry.connection import is_new
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, Run
from kws.registry.selection import Selection
from kws.reports.page import recipes
from kws.reports.records import SCHEMA
from kws.stopping import Stopped, stoppable
from kws.sweeps.line import DEATHS, LOOK_SECONDS, Ended, ask
from kws.sweeps.plan import values
from kws.sweeps.pool import Pool
from kws.sweeps.shown import Shown
from kws.sweeps.trainer import DIED, REFUSED, About, Question, as_question

if TYPE_CHECKING:
    from optuna.trial import Trial

    from kws.sweeps.search import Search, Space


def chosen(opt: str, names: Sequence[str]) -> list[str]:
    """The optimizers in "sgd,adam"; raises RecipeError for one that is not known."""
    return values("opt", opt, str, names)


def run(
    *,
    arch: str,
    opts: list[str],
    ranges: Mapping[str, str],
    fixed: Mapping[str, Any],
    trials: int,
    random: bool,
    prune: bool,
    jobs: int,
    name: str | None,
    db: Location,
    skip_unreadable: bool,
    json: bool,
) -> None:
    """Search until there are so many trials, and show the best. Raises KwsError where Optuna is not installed."""
    try:
        from kws.sweeps.search import Search
    except ImportError:
        raise KwsError('kws tune needs Optuna, which is not installed: pip install "kws[tune]"') from None
    is_new(db)  # a place that cannot be written is told at once
    space = _space(arch, opts, ranges, fixed)
    about = About.here(db, skip_unreadable=skip_unreadable)
    try:
        with stoppable(), Pool(jobs, about) as engine:
            of: dict[str, Any] = {name: fixed.get(name) for name in ("data", "words", "speakers")}
            first = Recipe(arch=arch, opt=opts[0], learning_rate=0.1, **of)
            tag = space.tag(name, ask(engine, "look", first)["fingerprint"], fixed["seed"])
            search = Search(space, random=random, prune=prune, seed=fixed["seed"], epochs=fixed["epochs"], jobs=jobs)
            _Trials(engine, search, db, tag).until(trials)
    except KeyboardInterrupt as stop:
        display.say("the search was interrupted; the same command goes on with it")
        raise Stopped(stop) from None
    _tell(db, tag, space, json=json)


def _space(arch: str, opts: list[str], ranges: Mapping[str, str], fixed: Mapping[str, Any]) -> Space:
    """Where is searched; what has one value is no matter of a search."""
    from optuna.distributions import CategoricalDistribution

    from kws.sweeps import search

    searched: dict[str, Any] = {"opt": CategoricalDistribution(opts)}
    for field, text in ranges.items():
        if any(field in optimizers.defaults(opt) for opt in opts) or field == "batch_size":
            searched[field] = search.values(field, text, int if field == "batch_size" else float)
    same = {field: d.choices[0] for field, d in searched.items() if d.single() and hasattr(d, "choices")}
    maps = architectures.normal_maps(arch, fixed["maps"])
    if fixed["maps"] and not architectures.has_maps(arch):
        raise RecipeError(f"`maps` is not for {arch}, which has no feature maps")
    return search.Space(
        searched={field: d for field, d in searched.items() if field not in same},
        fixed={**fixed, **same, "maps": maps, "arch": arch, "precision": Recipe.precision, "device": "cpu"},
    )


@dataclass
class _OnItsWay:
    trial: Trial
    recipe: Recipe
    told: int = 0  # the last epoch that the search was told of
    deaths: int = 0


class _Trials:
    """Trials of a search, from those that the registry has to as many as are wanted."""

    def __init__(self, engine: Pool, search: Search, db: Location, tag: str) -> None:
        self._engine, self._search, self._db, self._tag = engine, search, db, tag
        self._on_their_way: dict[int, _OnItsWay] = {}

    def until(self, trials: int) -> None:
        """Go on until there are so many. Raises KwsError where the processes cannot work."""
        from kws.sweeps.search import has_ended

        with RegistryReader(self._db) as registry:
            there = registry.runs(Selection(tags=(self._tag,)))
            for run in there:
                if has_ended(run):
                    self._search.add(run, registry.validation_accuracies(run.id))
        again = [run.recipe for run in there if not has_ended(run)]
        left = trials - (len(there) - len(again))
        counted = f"{len(there) - len(again):,} there, {len(again):,} to go on with" if there else "none there yet"
        display.say(f"search {self._tag}: {trials:,} trials ({counted}), {self._engine.jobs} at once")
        begun = 0
        with Shown(max(left, 0), self._db, _called) as shown:
            while begun < left or self._on_their_way:
                while begun < left and self._engine.room() > 0:
                    shown.expect(self._begin(again.pop(0) if again else None))
                    begun += 1
                for question, answer in self._engine.answers(LOOK_SECONDS):
                    if (ended := self._take(question, answer)) is not None:
                        shown.ended(ended)
                shown.passed()

    def _begin(self, again: Recipe | None) -> Recipe:
        trial, recipe = self._search.begin(again)
        self._on_their_way[trial.number] = _OnItsWay(trial, again or recipe)
        self._ask(trial.number)
        return again or recipe

    def _ask(self, number: int) -> None:
        recipe = self._on_their_way[number].recipe
        self._engine.ask(as_question(recipe, ask="train", at=number, tags=[self._tag], epochs_told=True))

    def _take(self, question: Question, answer: dict[str, Any]) -> Ended | None:
        """What a process said: an epoch, which is answered, or a trial's end."""
        number = question["at"]
        one = self._on_their_way[number]
        if "epoch" in answer:
            self._engine.reply(question, go_on=not self._gives_up(one, answer))
            return None
        if answer["status"] == REFUSED:
            raise KwsError(answer["error"])
        if answer["status"] == DIED and one.deaths < DEATHS:
            one.deaths += 1
            self._ask(number)
            return None
        del self._on_their_way[number]
        if answer.get("run") is None:
            raise KwsError(f"{_called(one.recipe)}: {answer.get('error') or f'its process died {DEATHS} times'}")
        with RegistryReader(self._db) as registry:
            run = registry.by_id(answer["run"])
            self._search.end(one.trial, run, registry.validation_accuracies(run.id))
        shown = {"validation_accuracy": run.validation_accuracy, "seconds": run.seconds, "error": run.error}
        return Ended(recipe=one.recipe, answer={"status": _state(run), "run": run.id, **shown})

    def _gives_up(self, one: _OnItsWay, answer: dict[str, Any]) -> bool:
        epoch = answer["epoch"]
        if one.told < epoch - 1:  # it goes on: what it had before it was cut off counts, too
            for earlier, accuracy in enumerate(self._known(one)[one.told : epoch - 1], one.told + 1):
                self._search.gives_up(one.trial, earlier, accuracy)
        if epoch <= one.told:  # after its process died
            return False
        one.told = epoch
        return self._search.gives_up(one.trial, epoch, answer["validation_accuracy"])

    def _known(self, one: _OnItsWay) -> list[float]:
        with RegistryReader(self._db) as registry:
            runs = [run for run in registry.runs(Selection(tags=(self._tag,))) if run.recipe == one.recipe]
            return registry.validation_accuracies(runs[-1].id) if runs else []


def _called(recipe: Recipe) -> str:
    names = ("learning_rate", "batch_size", "weight_decay", "momentum")
    parts = [(name.replace("_", " "), getattr(recipe, name)) for name in names]
    more = [f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in parts if value]
    return ", ".join((recipe.opt, *more))


def _state(run: Run) -> str:
    from kws.sweeps.search import was_given_up

    return "given up" if was_given_up(run) else run.status


def _tell(db: Location, tag: str, space: Space, *, json: bool) -> None:
    """The best trials, and what to type next."""
    from kws.sweeps.search import score

    with RegistryReader(db) as registry:
        runs = registry.runs(Selection(tags=(tag,)))
        scores = {
            run.id: score(run.recipe, registry.validation_accuracies(run.id)) for run in runs if run.status == FINISHED
        }
    ranked = sorted((run for run in runs if run.id in scores), key=lambda run: -scores[run.id])
    best = ranked[0] if ranked else None
    if json:
        display.print_json(
            {
                "schema": SCHEMA,
                "tag": tag,
                "best": best.id if best else None,
                "trials": [
                    {
                        "run": run.id,
                        "status": _state(run),
                        "validation_accuracy": scores.get(run.id),
                        "epochs": run.epochs_done,
                        **{name: getattr(run.recipe, name) for name in (*space.searched, *space.fixed)},
                    }
                    for run in runs
                ],
            }
        )
        return
    if best is None:
        raise KwsError("no trial was finished; look at `kws runs list`, or search elsewhere")
    given_up = sum(_state(run) == "given up" for run in runs)
    display.say(
        f"best of {len(runs)} trials ({len(ranked)} finished, {given_up} given up): run {best.id}, "
        f"validation accuracy {percent(scores[best.id])}, {visible(_called(best.recipe))}"
    )
    display.say(f"next: {_command(best.recipe)}")


def _command(recipe: Recipe) -> str:
    """The sweep that says what a recipe is worth: over seeds that the search did not see."""
    seeds = ",".join(str(recipe.seed + more) for more in range(1, 6))
    return shlex.join(["kws", "sweep", *recipes.options(recipe, without=("seed",)), "--seeds", seeds])
