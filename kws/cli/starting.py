"""The steps of `kws start`: the data is looked at, a network is trained and exported, folds say how well it will do.

Decisions:
- The file comes first, and the folds that say how well it will do after it: who stops then has a detector.
- The recipe is that of the run to start from, with RECIPE in place of its rates, and as many epochs as make STEPS
  steps. Both were chosen on validation clips of words that the network had not heard (see benchmarks/few_clips.py).
- Splits that the data gives are used. Else clips are dealt by speaker, or by clip where speakers are unknown: with few
  clips, each that is not trained on is missed more than it helps to choose a threshold.
"""

from __future__ import annotations

import math
import os
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli import options as shared
from kws.cli import pages
from kws.errors import DataError
from kws.events import TRAIN
from kws.recipe import Recipe, counted
from kws.terminal import console

if TYPE_CHECKING:
    from kws.inference.export.checking import Agreement
    from kws.registry.location import Location
    from kws.registry.runs import Run
    from kws.reports.own_words import OwnWords
    from kws.speech.clips import Folder

RECIPE: dict[str, Any] = {
    "sampling": "balanced",
    "batch_size": 64,
    "learning_rate": 0.01,
    "spoken": "synthetic",
    "spoken_share": 0.15,
    "noise": "builtin",
}
STEPS, HEAD = 640, 0.2  # of the optimizer; the share of them in which the last layer alone is trained
FROM_NOTHING = "best"  # the preset where there is no run to start from
_LEAST = 3  # clips of a word, or speakers
_SPLIT = "80/10/10"
_OF_PEOPLE = ("mini-speech-commands", "speech-commands")
_OF_DATA = ("task", "words", "other", "data", "speakers", "pattern", "split_shares", "pretrained")
_MORE = ("few_clips", "few_speakers")  # what the folds say better
_OF_A_MACHINE = ("threads", "device", "micro_batch_size")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What was asked for."""

    words: tuple[str, ...]
    data: str
    out: Path
    html: Path
    other: str
    pretrained: str | None
    folds: int
    as_many: bool  # folds are at most as many as the data allows
    speakers: str | None
    pattern: str | None
    skip_unreadable: bool
    db: Location


def other_words() -> str:
    """Speech Commands where it was downloaded, a part of it or all, else the built-in negatives; said."""
    from kws.speech.negatives import BUILTIN
    from kws.speech.sources import is_here

    found = next((name for name in _OF_PEOPLE if is_here(name)), BUILTIN)
    if found == BUILTIN:
        console.say(
            "note: what is no keyword is synthetic speech alone, which is for trying out: people's other words will be "
            "taken for yours; --other FOLDER, or `kws data download mini-speech-commands`, has people say other words"
        )
    else:
        console.say(f"what is no keyword: {found}, which was downloaded (--other says otherwise)")
    return found


def run(plan: Plan, *, json: bool) -> None:
    """All steps. Raises KwsError for the first that cannot be done."""
    from kws.cli.export import require_packages
    from kws.inference.export.exporting import require_writable
    from kws.training.stopping import stoppable

    require_packages()
    require_writable(plan.out)
    pages.require_html(plan.html, "html", "kws start --words lamp,heater --data clips --html lamp.html")
    pages.require_place(plan.html)
    steps: list[str] = []
    folder, units = _look(plan)
    options = _options(plan, folder)
    wrong = _check(plan, options)
    trained = _train(plan, options, steps)
    agreement = _export(plan, trained, steps)
    console.say(f"{plan.out}: written, and agrees with run {trained.id} on {agreement.compared:,} clips")
    folds = min(plan.folds, units) if plan.as_many else plan.folds
    found = None
    if folds >= _LEAST:
        with stoppable():
            found = _fold(plan, options, folds, steps)
    _tell(plan, trained, found, wrong, steps, json=json)


def _look(plan: Plan) -> tuple[Folder, int]:
    """The folder, and how many speakers, or clips where speakers are unknown, the word has that has the fewest.

    Raises DataError for too few.
    """
    from kws.speech.folder import read_folder
    from kws.speech.names import labels_of
    from kws.speech.sources import locate

    source = locate(plan.data, track=console.track)
    if source.is_arrays:
        raise DataError(f"{plan.data} holds arrays, and `kws start` needs recordings, for its file hears sound")
    folder = read_folder(source.place, plan.speakers, plan.pattern, track=console.track)
    for line in (folder.found, *folder.said):
        console.say(console.visible(line))
    labels = labels_of(sorted({clip.word for clip in folder.clips}), plan.words)
    clips: Counter[int] = Counter()
    voices: dict[int, set[str]] = {}
    for clip in folder.clips:
        if clip.word in labels:
            clips[labels[clip.word]] += 1
            voices.setdefault(labels[clip.word], set()).add(str(clip.speaker))
    parts = []
    for label, word in enumerate(plan.words):
        of = f" of {counted(len(voices[label]), 'speaker')}" if folder.has_speakers and label in voices else ""
        parts.append(f"{word} {counted(clips[label], 'clip')}{of}")
    console.say(console.visible(", ".join(parts)))
    units = [len(voices.get(k, ())) if folder.has_speakers else clips[k] for k in range(len(plan.words))]
    few = min(range(len(units)), key=lambda k: units[k])
    if units[few] < _LEAST:
        what = "speakers" if folder.has_speakers else "clips"
        there = ", ".join(sorted({clip.word for clip in folder.clips}))
        raise DataError(
            f"{plan.words[few]!r} has {counted(units[few], what[:-1])} in {plan.data}, and {_LEAST} are needed, to "
            f"train, to choose a threshold and to test: record {_LEAST - units[few]} more, "
            f"or name other --words (there are {there})"
        )
    return folder, units[few]


def _check(plan: Plan, options: dict[str, Any]) -> list[str]:
    """What is wrong with the recordings, as `kws data check` says it."""
    from kws.recipe.partition import partition_of
    from kws.speech.checks.checking import check
    from kws.speech.sources import locate

    source = locate(plan.data)
    partition = partition_of(options.get("split_shares"), None)
    report = check(source, plan.speakers, plan.pattern, align=Recipe.align, partition=partition, track=console.track)
    lines = [step.step for step in report.first if step.what not in _MORE]
    for line in lines:
        console.say(console.visible(f"check: {line}"))
    if lines:
        console.say(f"check: `kws data check {shlex.quote(plan.data)} --html suspects.html` shows which clips")
    return lines


def _options(plan: Plan, folder: Folder) -> dict[str, Any]:
    """The options of the recipe, but for its splits' where the data gives them."""
    from kws.recipe.presets import preset
    from kws.registry import pretrained

    start = plan.pretrained or pretrained.richest(plan.db)
    if start and start != pretrained.NONE:
        begun = pretrained.of(start, plan.db)
        assert begun
        options = pretrained.options_of(begun) | RECIPE | {"pretrained": start}
    else:
        console.say(
            "note: there is no run to start from, so that the network learns from these clips alone; --from FILE:RUN "
            "names one of another registry"
        )
        options = {**preset(FROM_NOTHING).options} | RECIPE
    options |= {"task": "words", "words": plan.words, "other": plan.other, "data": plan.data}
    options |= {"speakers": plan.speakers, "pattern": plan.pattern}
    if folder.split_by != "the layout" and not folder.lists:
        options["split_shares"] = _SPLIT
    options["epochs"] = _epochs(plan, folder)
    if "pretrained" in options:
        options["head_epochs"] = max(round(HEAD * options["epochs"]), 1)
    return {name: value for name, value in options.items() if value is not None}


def _epochs(plan: Plan, folder: Folder) -> int:
    """As many epochs of the training clips as make STEPS steps."""
    from kws.speech import negatives
    from kws.speech.tasks.words import MOST

    both = negatives.beside(folder, plan.other, plan.words, track=console.track)
    own = sum(clip.split == TRAIN for clip in folder.clips)
    others = sum(clip.split == TRAIN for clip in both.clips) - own
    return max(math.ceil(STEPS * RECIPE["batch_size"] / (own + min(others, MOST))), 5)


def _recipe(options: dict[str, Any], **more: Any) -> Recipe:
    from kws.cli import recipe_options

    chosen = options | more
    return Recipe.of(**(chosen | recipe_options.resolved(chosen)))


def _train(plan: Plan, options: dict[str, Any], steps: list[str]) -> Run:
    from kws.terminal import loading
    from kws.terminal.progress import Terminal
    from kws.training import runner

    loading.pytorch()
    recipe = _recipe(options, threads=1)  # so few clips are as soon learned by one, whatever else the cores do
    _say_command(plan, steps, ["train", *_typed(recipe)])
    return runner.run(
        recipe,
        db=plan.db,
        name=None,
        note=None,
        skip_unreadable=plan.skip_unreadable,
        reporter=Terminal(),
    )


def _say_command(plan: Plan, steps: list[str], arguments: list[str]) -> None:
    """Show a command that does the next step on the same registry, and keep it for the page."""
    arguments = [*arguments, *(["--skip-unreadable"] if plan.skip_unreadable else [])]
    if str(plan.db) != os.environ.get("KWS_DB", str(shared.DEFAULT_DB)):
        arguments += ["--db", str(plan.db)]
    steps.append(shlex.join(["kws", *arguments]))
    console.say(console.visible(f"$ {steps[-1]}"))


def _typed(recipe: Recipe) -> list[str]:
    """What is typed to train a recipe; what `kws train --from` takes over from the other run is left out."""
    left_out = {*_OF_A_MACHINE, "seed"}
    if recipe.pretrained != "none":
        left_out |= {*recipe.values} - {*RECIPE, *_OF_DATA, "epochs", "head_epochs"}
    return recipe.arguments(without=[*left_out])


def _export(plan: Plan, trained: Run, steps: list[str]) -> Agreement:
    from kws.api.loading import network_model
    from kws.inference.export import clips
    from kws.inference.export.exporting import Export
    from kws.inference.export.forms import Form
    from kws.registry.reader import RegistryReader

    _say_command(plan, steps, ["export", trained.id, "--out", str(plan.out)])
    with RegistryReader(plan.db) as registry:
        model = network_model(registry, trained)
    there = clips.of(
        trained.recipe, model.card.words, trained.id, skip_unreadable=plan.skip_unreadable, track=console.track
    )
    return Export(model, there).write(Form(int8=False, streaming=False), plan.out, console.track)


def _fold(plan: Plan, options: dict[str, Any], folds: int, steps: list[str]) -> OwnWords:
    """The figures of the runs of all folds, which are trained where the registry does not have them."""
    from kws.cli import sweeping
    from kws.recipe import cores
    from kws.recipe.partition import folds as each_fold
    from kws.registry.reader import RegistryReader
    from kws.reports import own_words
    from kws.speech import negatives
    from kws.sweeps import executors
    from kws.sweeps.trainer import WorkerConfig

    options = {name: value for name, value in options.items() if name != "split_shares"}
    jobs = min(cores(), folds)
    recipe = _recipe(options, threads=1)
    arguments = recipe.arguments(without=[*_OF_A_MACHINE, "seed"])
    _say_command(plan, steps, ["sweep", "--folds", str(folds), *arguments])
    axes = {name: [value] for name, value in recipe.values.items() if value is not None and name != "micro_batch_size"}
    axes |= {"fold": each_fold(folds)}
    config = WorkerConfig.here(plan.db, skip_unreadable=plan.skip_unreadable, retry=True, test=True)
    executor = executors.choose(config, jobs, axes, ray=False, address=None)
    runs = sweeping.run([axes], executor, plan.db, new=False, retry=True, fail_fast=True, json=False)
    with RegistryReader(plan.db) as registry:
        builtin = plan.other == negatives.BUILTIN
        return own_words.of_folds(registry, [registry.by_id(run) for run in runs], builtin=builtin)


def _tell(plan: Plan, trained: Run, found: OwnWords | None, wrong: list[str], steps: list[str], *, json: bool) -> None:
    from kws.reports import own_words
    from kws.reports.page.own_words import page
    from kws.speech.negatives import BUILTIN
    from kws.terminal import screens_own_words

    lines = wrong + (own_words.advice(found, builtin=plan.other == BUILTIN) if found else [])
    if found:
        pages.write(plan.html, page(trained, plan.out, found, lines, steps))
    if json:
        about = {"schema": 1, "run": trained.id, "file": str(plan.out), "page": str(plan.html) if found else None}
        about |= {"figures": found.record() if found else None, "advice": lines, "commands": steps}
        console.print_json(about)
        return
    screens_own_words.print_figures(plan.out, found, lines)
    if found:
        console.tell(f"{plan.html}: the same as a page")
    file = shlex.quote(str(plan.out))
    console.tell(f"next: kws listen {file}   kws predict {file} CLIP.wav")
