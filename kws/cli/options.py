"""Options and arguments that several commands share."""

import dataclasses
import os
import shlex
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kws.cli import last, sections
from kws.errors import DataError, RecipeError, RegistryError
from kws.recipe import Recipe, cores, counted, every_option, usable_threads
from kws.registry.ids import beginning_with
from kws.registry.location import Location, locate
from kws.registry.runs import STATUSES
from kws.registry.selection import Selection, parse_since

if TYPE_CHECKING:
    from kws.inference.detector import Detector
    from kws.registry.runs import Run as RecordedRun

Status = StrEnum("Status", {name: name for name in STATUSES})  # type: ignore[misc]


DEFAULT_DB = Path("experiments.db")


def place(text: str | Location) -> Location:
    """A registry's file or URL as it was typed; a URL that is not understood is a mistake in the command line."""
    try:
        return locate(text)
    except RegistryError as error:
        raise typer.BadParameter(str(error)) from None


def was_typed(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line, and is no default and no environment variable's."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def number(value: float | None) -> float | None:
    """What lies in an option's range; `nan` is not below its least, nor above its most, and is a mistake as well."""
    if value != value:
        raise typer.BadParameter("nan is not a number")
    return value


# Typer knows no unions; kws.registry.location.Location is what a command gets.
Db = Annotated[
    Any,
    sections.registry(
        "--db",
        envvar="KWS_DB",
        metavar="REGISTRY",
        parser=place,
        help="The registry: a file, or postgresql+psycopg://USER@HOST/DATABASE.",
    ),
]
DbTimeout = Annotated[
    float,
    sections.registry(
        "--db-timeout",
        metavar="SECONDS",
        callback=number,
        min=0,
        help="How long a run waits for a registry that cannot be used, before it fails; it trains on meanwhile.",
    ),
]
Checkpoints = Annotated[
    str | None,
    sections.registry(
        "--checkpoints",
        metavar="URL",
        help="Keep checkpoints in files: in a folder that all machines share, or at a URL such as s3://BUCKET/RUNS. "
        "By default the registry keeps them.",
    ),
]
WeightFiles = Annotated[
    str | None,
    sections.registry(
        "--weights",
        metavar="URL",
        help="Keep final weights in files, as --checkpoints does; the registry then needs these files. By default it "
        "keeps them itself.",
    ),
]
Json = Annotated[bool, sections.output("--json", help="Print JSON on stdout.")]
_SOURCE = "A folder of recordings or of the course's arrays, a manifest, or a source that `kws data list` names; "
Data = Annotated[
    str | None, sections.data(metavar="SOURCE", help=f"{_SOURCE}else $KWS_DATA, else the built-in synthetic speech.")
]
DataOfRun = Annotated[str | None, sections.data(metavar="SOURCE", help=f"{_SOURCE}else the run's own.")]
SkipUnreadable = Annotated[
    bool, sections.data("--skip-unreadable", help="Go on without recordings that cannot be read.")
]
Speakers = Annotated[
    str | None,
    sections.data(
        metavar="PATTERN|FILE",
        help="Who speaks in each clip: a pattern of its path below its word's folder, as {speaker}_{n} or "
        "{speaker}/{n}, or a file of paths and speakers. By default as Speech Commands names clips, else unknown.",
    ),
]
Pattern = Annotated[
    str | None,
    sections.data(
        metavar="PATTERN",
        help="Where file names carry the label: how, as {label}_{speaker}_{n}; {split} is read, too. By default the "
        "layout of the folder says what clips are.",
    ),
]
Align = Annotated[
    Literal["energy", "first"] | None,
    sections.data(
        help="Which second of a longer recording is used: the one with the word, found by energy, or the first. By "
        f"default {Recipe.align}."
    ),
]
AlignOfRun = Annotated[
    Literal["energy", "first"] | None,
    sections.data(
        help="Which second of a longer recording is used: the one with the word, found by energy, or the first. By "
        "default as in the run's training."
    ),
]
Misses = Annotated[
    float,
    typer.Option(
        min=0,
        max=0.5,
        callback=number,
        help="For words never heard in training: the share of a keyword's validation clips that its threshold misses.",
    ),
]
AUTO = "auto"
Device = Annotated[
    Literal["auto", "cpu", "cuda"] | None,
    sections.training(
        help="By default `auto`: a GPU if this machine has one; on a cluster the CPU, unless cuda is given."
    ),
]
Threads = Annotated[
    int | None,
    sections.training(
        help="Processor threads of a run. By default all cores, shared by the runs that are trained at once."
    ),
]
SeveralData = Annotated[list[str] | None, sections.data(metavar="SOURCE", help="As for `kws train`; may be repeated.")]


def chosen_threads(threads: int | None, jobs: int = 1) -> int:
    """The threads asked for, else this process's share of the cores. Raises RecipeError for what cannot be."""
    return max(cores() // jobs, 1) if threads is None else usable_threads(threads)


def chosen_device(asked: str) -> str:
    """The device asked for. Raises RecipeError for what is none, and for a GPU that is not there."""
    if asked != AUTO:
        every_option()["device"].require(asked)
    if asked == "cpu" or (asked == AUTO and not _may_have_gpu()):
        return "cpu"
    import torch

    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise RecipeError("`device` (=cuda) needs a GPU that PyTorch can use; there is none here, try --device cpu")
    return "cuda" if there else "cpu"


def _may_have_gpu() -> bool:
    """False where a GPU's driver, or a PyTorch that can use one, is not there: that is known without importing it."""
    from ctypes.util import find_library
    from importlib.metadata import version

    return "+cpu" not in version("torch") and find_library("cuda") is not None


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """The ids that begin so; none where --db is not understood."""
    with suppress(typer.BadParameter):
        return beginning_with(place(context.params.get("db") or DEFAULT_DB), incomplete)
    return []


_RUN_HELP = "A run's id, any unambiguous beginning of it, or `last`."
Run = Annotated[str, typer.Argument(metavar="RUN", help=_RUN_HELP, autocompletion=complete_run)]
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help=_RUN_HELP, autocompletion=complete_run)]
RunOrFile = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help=f"{_RUN_HELP[:-1]}; or a file that `kws export` wrote, by its name, which ends in .onnx.",
        autocompletion=complete_run,
    ),
]
RunsOrAll = Annotated[list[str] | None, typer.Argument(metavar="RUN...", help=_RUN_HELP, autocompletion=complete_run)]


def chosen_data(data: str | None) -> str:
    """What --data says, else $KWS_DATA, else the built-in source. Raises DataError where --data says nothing."""
    if data is not None and not data.strip():
        raise DataError("--data is empty; name a folder or a source that `kws data list` shows, or leave it out")
    return data or os.environ.get("KWS_DATA") or Recipe.data


def recipe_on(
    recipe: Recipe, data: str, speakers: str | None, pattern: str | None = None, align: str | None = None
) -> Recipe:
    """The recipe on the data that --data names, which then is all that is used, unless it is the recipe's data.

    Neither the test split nor other words come from elsewhere.
    Recordings are divided as the recipe says, for they may be the run's own at another place; arrays have their splits.
    Of longer ones that second is used that `align` says, else the recipe.
    """
    named = {"speakers": speakers or None, "pattern": pattern or None, "align": align or recipe.align}
    on_data = dataclasses.replace(recipe, data=data, **named)  # type: ignore[arg-type]
    if on_data.partition is not None:
        from kws.speech import sources

        if sources.locate(data).is_arrays:
            on_data = dataclasses.replace(on_data, split_shares=None, fold=None)
    elsewhere = {name: None for name in ("test_data", "other") if getattr(recipe, name) is not None}
    return on_data.changed(**elsewhere) if elsewhere and data != recipe.data else on_data


TrustCode = Annotated[
    str | None,
    sections.registry(
        metavar="DIGEST",
        help="Run the code of the run's own network, which is in the registry: its SHA-256, or its first 8 letters or "
        "more, or `all`. `kws runs show RUN --source` shows the code. Asked each time, for your own registry, too; not "
        "where `kws train --resume` has an --arch whose file is the same code.",
    ),
]


Where = Annotated[
    str | None,
    sections.registry(
        metavar="SQL", help="Only runs for which this is true, as in \"arch = 'cnn' and test_accuracy > 0.9\"."
    ),
]
Tags = Annotated[list[str] | None, sections.registry(metavar="TAG", help="Only runs with this tag; may be repeated.")]
OfData = Annotated[str | None, sections.registry(metavar="SOURCE", help="Only runs on this data.")]
Since = Annotated[
    str | None, sections.registry(metavar="TIME", help="Only runs started since: a date, or an age as in 12h or 7d.")
]


def none_matches(there: int, what: str, *, where: str | None, tags: list[str] | None, data: str | None,
                 since: str | None, others: Sequence[str] = ()) -> str:  # fmt: skip
    """The sentence for a choice of runs that no run fits: how many there are, and what was asked for."""
    asked = [*others, *(f"--tag {tag}" for tag in tags or ())]
    asked += [
        f"--{name} {shlex.quote(each)}" for name, each in (("where", where), ("data", data), ("since", since)) if each
    ]
    return f"{counted(there, what)}, and none matches {' '.join(asked)}"


def selection(
    *,
    where: str | None,
    tags: list[str] | None,
    data: str | None,
    since: str | None,
    status: str | None = None,
    deleted: bool = False,
) -> Selection:
    """The runs that these options ask for."""
    return Selection(
        where=where,
        tags=tuple(tags or ()),
        data=data,
        since=None if since is None else parse_since(since),
        status=status,
        deleted=deleted,
    )


def detector(run: str, db: Any, trust_code: str | None) -> "tuple[Detector, RecordedRun | None]":
    """The detector that RUN names, and its run if it is one of a registry and no exported file.

    Raises KwsError where there is none.
    """
    from kws.inference.detector import Detector

    if run.lower().endswith(".onnx"):
        from kws.inference.onnx_model import OnnxModel

        return Detector(OnnxModel(Path(run))), None
    import torch

    from kws.api.loading import network_model
    from kws.registry.reader import RegistryReader
    from kws.speech.memory import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(1)  # clips are few and short: threads that share one wait for each other
    with RegistryReader(db) as registry:
        found = last.run_of(registry, run, last.weights)
        return Detector(network_model(registry, found, trust_code)), found
