"""`kws eval`: a run's network on a split of its data, or of other data; from the registry where that has it."""

from __future__ import annotations

import dataclasses
import functools
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from kws.cli import last, options
from kws.errors import DataError, RecipeError, RegistryError
from kws.events import ALL, SPLITS, TEST, TRAIN, DataCard, Evaluation, Manifest
from kws.inference.card import MISS_RATE
from kws.registry.runs import Run

if TYPE_CHECKING:
    from kws.recipe import Recipe
    from kws.registry.store import Registry
    from kws.reports.front_ends import Lowest
    from kws.reports.unheard import Unheard
    from kws.speech.dataset import Dataset
    from kws.speech.dataset import Split as Clips

Split = StrEnum("Split", {name: name for name in (*SPLITS, ALL)})  # type: ignore[misc]
TEST_SPLIT = Split(TEST)
_MOST = 10  # clips most confident errors
_SILENT_SHARE = 1e-4  # of all cells, from which on those at the lowest value are digital silence


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answers:
    """A network's answers on a split of the data that `card` describes, and what is to be said of them.

    `manifests` are those of that data, as far as they are known. `doubt` is why its front end may be another one.
    """

    evaluation: Evaluation
    card: DataCard
    manifests: dict[str, Manifest]
    stored: bool
    doubt: str | None = None


def evaluate(
    run: options.Run,
    split: Annotated[
        Split, typer.Option(help="The split; `all` is every clip, for data not made to be split.")
    ] = TEST_SPLIT,
    data: options.DataOfRun = None,
    speakers: options.Speakers = None,
    pattern: options.Pattern = None,
    align: options.AlignOfRun = None,
    skip_unreadable: options.SkipUnreadable = False,
    misses: options.Misses = MISS_RATE,
    trust_code: options.TrustCode = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Evaluate a run on a split of its data, or of other data.

    Shows accuracy, loss, the confusion matrix, precision, recall and F1 a class; the equal error rate and the area
    under the ROC curve of each class against the rest; whether its probabilities can be believed; the most
    confident errors; and how many of the clips it was trained on. Without --data the run's own data is used: from the
    registry where its answers on that split are recorded, which needs neither weights nor clips, and else anew. With
    --data the network is always evaluated anew. The result is kept in the registry, if that can be written.

    Other data may have some of the run's words alone: those that it lacks are named, and have no figures. Words that
    the run does not know are "other" to it, if it has such a class.

    Of a run that left out words (--leave-out), it says how many of their clips in that split are taken for a keyword,
    at thresholds that miss a given share of each keyword's validation clips.

    Example: kws eval last --split validation
    """
    from kws.registry.store import Registry
    from kws.reports import coverage, json_output
    from kws.reports.classes import ClassReport
    from kws.reports.scores import Scores
    from kws.terminal import console, screens_evaluation
    from kws.terminal.quiet import insist

    if align is not None and data is None:
        raise RecipeError(f"--align {align} is for other data than the run's own; add --data, or leave it out")
    with Registry(db) as registry:
        found = last.run_of(registry, run, last.finished if data is None else last.weights)
        if data is None:
            answers = _recorded(registry, found, split.value, skip_unreadable, trust_code)
        else:
            recipe = options.recipe_on(found.recipe, data, speakers, pattern, align)
            answers = _computed(registry, found, split.value, recipe, skip_unreadable, trust_code)
        card, evaluation = answers.card, answers.evaluation
        own = registry.card(found.data_fingerprint)
        train = registry.manifest(own.fingerprint, TRAIN)
        if train is None and card.fingerprint == own.fingerprint:
            train = answers.manifests.get(TRAIN)
        known = coverage.trained_on(own, card, split.value, train, answers.manifests)
        whole = coverage.of(card, split.value, has_manifests=bool(answers.manifests), trained_on=known)
        never = None if data else _unheard(registry, found, split.value, misses, skip_unreadable, trust_code)
        judged = max(registry.recipes_judged(card.split_fingerprints[part]) for part in coverage.parts_of(split.value))
    if card.fingerprint != own.fingerprint:
        console.say(f"note: this is other data than run {found.id}'s own ({found.data_source})")
    if answers.doubt:
        source = console.visible(card.source)
        insist(f"WARNING: {source} does not look like features of run {found.id}'s front end: {answers.doubt}")
    report = ClassReport.of(evaluation, card.classes)
    scores = Scores.of(evaluation, card.classes) if evaluation.logits else None
    names = _names(answers, split.value)
    if json:
        record = json_output.evaluation_record(found, card, evaluation, report)
        record |= json_output.scores_record(scores, names, most=_MOST) | json_output.coverage_record(whole)
        record |= json_output.unheard_record(never)
        about = {"stored": answers.stored, "recipes_judged": judged, "front_end_doubt": answers.doubt}
        console.print_json(record | about)
    else:
        screens_evaluation.print_evaluation(found, card, evaluation, report, whole)
        screens_evaluation.print_scores(scores, names, most=_MOST)
        screens_evaluation.print_unheard(never)
    console.say(screens_evaluation.judged_line(judged))


def _recorded(registry: Registry, run: Run, split: str, skip_unreadable: bool, trust_code: str | None) -> _Answers:
    """The answers on a run's own data: those that the registry has, or else new ones.

    Raises RegistryError where there are neither answers nor weights, and DataError where there are no clips for new
    ones.
    """
    from kws.terminal import console

    _require_tested(run, split)
    card = registry.card(run.data_fingerprint)
    evaluation = registry.evaluation(run.id, card.fingerprint, split)
    if evaluation is None or not evaluation.logits:  # an older registry has none, which are made where that can be
        try:
            return _computed(registry, run, split, run.recipe, skip_unreadable, trust_code)
        except (DataError, RegistryError) as error:
            if evaluation is None:
                hint = "" if isinstance(error, RegistryError) else _there_is(registry, run, card)
                raise type(error)(f"{error}{hint}") from None
            console.say(f"note: the network's outputs were not kept and cannot be made ({error})")
    at = registry.evaluated_at(run.id, card.fingerprint, split)[:19].replace("T", " ")
    console.say(f"from the answers recorded at {at}; --data {console.visible(run.recipe.data)} evaluates anew")
    manifests = {part: known for part in SPLITS if (known := registry.manifest(card.fingerprint, part))}
    return _Answers(evaluation=evaluation, card=card, manifests=manifests, stored=True)


def _unheard(
    registry: Registry, run: Run, split: str, misses: float, skip_unreadable: bool, trust_code: str | None
) -> Unheard | None:
    """What a run makes of words that it never heard, in a split of its own data; None where it has heard all.

    Answers that the registry lacks are made and recorded; where that cannot be, it says why, and there are none.
    """
    from kws.registry.trust import admit
    from kws.reports import unheard
    from kws.terminal import console, loading
    from kws.training import runner

    if not run.recipe.leave_out or split == ALL:
        return None
    if found := unheard.of(registry, run, split, misses):
        return found
    try:
        blob = registry.weights(run.id)
        admit(registry, run, trust_code)
        if registry.is_writable():
            loading.pytorch()
            loaded = runner.load(run.recipe, skip_unreadable, track=console.track)
            answer = functools.partial(runner.evaluate, run.recipe, blob, classes=len(loaded.card.classes))
            runner.test_unheard(registry, run.id, loaded, answer, test=not run.awaits_test)
            return unheard.of(registry, run, split, misses)
        why = f"{registry.path} cannot be written"
    except (DataError, RegistryError) as error:
        why = str(error)
    console.say(f"note: answers on words never heard are not recorded and cannot be made ({why})")
    return None


def _there_is(registry: Registry, run: Run, card: DataCard) -> str:
    """What to look at instead: the splits of its own data that the run's answers are recorded on."""
    splits = [each.split for on, each in registry.evaluations(run.id) if on.fingerprint == card.fingerprint]
    if not splits:
        return ""
    return f"; its answers on the {splits[0]} split are recorded: `kws eval {run.id} --split {splits[0]}`"


def _require_tested(run: Run, split: str) -> None:
    """Raise RegistryError for a look at the test split of a run's own data that is to be its test."""
    if run.awaits_test and split in (TEST, ALL):
        raise RegistryError(
            f"run {run.id} is not tested; `kws test {run.id}` does it, once; --split validation looks at other clips"
        )


def _computed(
    registry: Registry, run: Run, split: str, recipe: Recipe, skip_unreadable: bool, trust_code: str | None
) -> _Answers:
    """New answers on a recipe's data, which are recorded where the registry can be written.

    Raises RegistryError where the weights are not there or code is not to be run, and DataError for data that it cannot
    be evaluated on.
    """
    from kws.registry.trust import admit
    from kws.reports import front_ends
    from kws.terminal import console, loading
    from kws.training import runner

    card = registry.card(run.data_fingerprint)
    try:
        blob = registry.weights(run.id)
    except RegistryError as error:
        raise RegistryError(f"{error}{_there_is(registry, run, card)}") from None
    admit(registry, run, trust_code)
    some_of = () if recipe is run.recipe else card.classes
    loading.pytorch()
    loaded = runner.load(recipe, skip_unreadable, track=console.track, some_of=some_of)
    for line in loaded.said:
        console.say(console.visible(line))
    if loaded.card.fingerprint == card.fingerprint:
        _require_tested(run, split)
    _require_alike(run, card, loaded)
    clips = loaded.split(split)
    if not len(clips):
        raise DataError(f"{loaded.card.source} has no clips in its {split} split; try --split all")
    lowest = None if loaded.card.front_end else _lowest(clips, loaded.card)
    clips = clips.renormalised(loaded.card, card)
    evaluation = runner.evaluate(run.recipe, blob, clips, split, classes=len(card.classes))
    if registry.is_writable():
        registry.keep_evaluation(run.id, evaluation, loaded.card)
    else:
        console.say(f"note: {registry.path} cannot be written, so this evaluation is not kept")
    return _Answers(
        evaluation=evaluation,
        card=loaded.card,
        manifests=dict(loaded.card.manifests),
        stored=False,
        doubt=front_ends.doubt(card, loaded.card, lowest),
    )


def _require_alike(run: Run, card: DataCard, loaded: Dataset) -> None:
    """Raise DataError for arrays of other classes than a run's, and for a front end that is known to be another one."""
    from kws.reports import front_ends

    if loaded.card.classes != card.classes:
        raise DataError(
            f"run {run.id} tells apart {', '.join(card.classes)}, but {loaded.card.source} has "
            f"{', '.join(loaded.card.classes)}; give --data that has the run's classes"
        )
    if differing := front_ends.differing(card, loaded.card):
        raise DataError(
            f"the features of {loaded.card.source} are made in another way than those that run {run.id} was trained on "
            f"({', '.join(differing)}); train on them, or evaluate by the kws that made the run"
        )


def _lowest(clips: Clips, card: DataCard) -> Lowest:
    """The lowest feature of these clips, as it was before they were normalised."""
    from kws.reports.front_ends import Lowest

    least = float(clips.features.min())
    share = float((clips.features <= least + 1e-4).float().mean())
    return Lowest(least * card.std + card.mean, share >= _SILENT_SHARE)


def _names(answers: _Answers, split: str) -> list[str]:
    """What the clips are called: their paths, or else their place in the split, from 0."""
    from kws.reports.coverage import parts_of

    parts = parts_of(split)
    if all(part in answers.manifests for part in parts):
        return [path for part in parts for path in answers.manifests[part].paths]
    return [f"clip {place}" for place in range(answers.evaluation.clips)]
