"""`kws eval`: a run's network on a split of its data, or of other data."""

import dataclasses
from enum import StrEnum
from typing import Annotated

import typer

from kws.cli import options
from kws.data_card import ALL, SPLITS, TEST
from kws.recipe import Recipe

Split = StrEnum("Split", {name: name for name in (*SPLITS, ALL)})  # type: ignore[misc]
TEST_SPLIT = Split(TEST)
_MOST = 10  # clips most surely wrong


def evaluate(
    run: options.Run,
    split: Annotated[
        Split, typer.Option(help="The split; `all` is every clip, for data not made to be split.")
    ] = TEST_SPLIT,
    data: options.Data = None,
    speakers: options.Speakers = None,
    skip_unreadable: options.SkipUnreadable = False,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Evaluate a run on a split of its data, or of other data.

    Shows accuracy, loss, the confusion matrix, precision, recall and F1 a class; the equal error rate and the area
    under the ROC curve of each class against the rest; whether its probabilities can be believed; and the clips most
    surely wrong. Without --data the run's own data is used. The result is kept in the registry, if that can be written.

    Example: kws eval last --split validation
    """
    from kws import architectures, display, screens_evaluation, training, weights
    from kws.errors import DataError
    from kws.registry.store import Registry
    from kws.reports import records
    from kws.reports.classes import ClassReport
    from kws.reports.scores import Scores
    from kws.speech import dataset

    with Registry(db) as registry:
        found = registry.run(run)
        blob = registry.weights(found.id)
        card = registry.card(found.data_fingerprint)
        source, words = data or found.recipe.data, found.recipe.words
        if data is None:
            speakers = speakers or found.recipe.speakers
        loaded = dataset.load(
            source, words, speakers=speakers or None, skip_unreadable=skip_unreadable, track=display.track
        )
        if loaded.card.classes != card.classes:
            raise DataError(
                f"run {found.id} tells apart {', '.join(card.classes)}, but {loaded.card.source} has "
                f"{', '.join(loaded.card.classes)}"
            )
        clips = loaded.split(split.value).renormalised(loaded.card, card)
        if not len(clips):
            raise DataError(f"{loaded.card.source} has no clips in its {split.value} split; try --split all")
        recipe = dataclasses.replace(found.recipe, device="cpu")  # evaluated where it is asked for, not where trained
        recipe = dataclasses.replace(
            recipe, slice_size=architectures.slice_size(recipe.arch, recipe.batch_size), precision=Recipe.precision
        )
        training.set_up(recipe)
        model = architectures.build(found.recipe.arch, classes=len(card.classes), maps=found.recipe.maps)
        weights.load(model, blob)
        evaluation = training.evaluate(model, clips, split.value, recipe)
        if registry.is_writable():
            registry.keep_evaluation(found.id, evaluation, loaded.card)
        else:
            display.say(f"note: {db} cannot be written, so this evaluation is not kept")
    scores = Scores.of(evaluation.logits, evaluation.labels, card.classes)
    names = dataset.clip_names(loaded, split.value)
    report = ClassReport.of(evaluation, card.classes)
    same = loaded.card.fingerprint == found.data_fingerprint
    if not same:
        display.say(f"note: these are not the clips that run {found.id} was trained beside ({found.data_source})")
    if json:
        of_answers = records.evaluation_record(found, loaded.card, evaluation, report)
        display.print_json(of_answers | records.scores_record(scores, names, most=_MOST))
    else:
        screens_evaluation.print_evaluation(found, loaded.card, evaluation, report)
        screens_evaluation.print_scores(scores, names, most=_MOST)
