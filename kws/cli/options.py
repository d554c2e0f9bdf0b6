"""Options and arguments that several commands share."""

import os
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kws import architectures
from kws.errors import DataError, RegistryError
from kws.recipe import BEST, FINAL, Recipe
from kws.registry.ids import beginning_with
from kws.registry.location import Location, locate
from kws.registry.runs import STATUSES
from kws.registry.selection import Selection, parse_since
from kws.training import optimizers

Architecture = StrEnum("Architecture", {name: name for name in architectures.names()})  # type: ignore[misc]
Optimizer = StrEnum("Optimizer", {name: name for name in optimizers.names()})  # type: ignore[misc]


class Precision(StrEnum):
    """What activations and gradients are computed in; weights are always fp32."""

    FP32 = "fp32"
    BF16 = "bf16"


class Device(StrEnum):
    """Where a network is trained."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Status = StrEnum("Status", {name: name for name in STATUSES})  # type: ignore[misc]


class Selected(StrEnum):
    """The epoch whose weights are kept and tested."""

    FINAL = FINAL
    BEST = BEST


DEFAULT_DB = Path("experiments.db")
DEFAULT_WORDS = ",".join(Recipe.words)


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


def number(value: float) -> float:
    """What lies in an option's range; `nan` is not below its least, nor above its most, and is a mistake as well."""
    if value != value:
        raise typer.BadParameter("nan is not a number")
    return value


# Typer knows no unions; kws.registry.location.Location is what a command gets.
Db = Annotated[
    Any,
    typer.Option(
        "--db",
        envvar="KWS_DB",
        metavar="REGISTRY",
        parser=place,
        help="The registry: a file, or postgresql+psycopg://USER@HOST/DATABASE.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
_SOURCE = "A folder of recordings or of the course's arrays, or a source that `kws data list` names; "
Data = Annotated[
    str | None,
    typer.Option(metavar="SOURCE", help=f"{_SOURCE}else $KWS_DATA, else the built-in synthetic speech."),
]
DataOfRun = Annotated[str | None, typer.Option(metavar="SOURCE", help=f"{_SOURCE}else the run's own.")]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Go on without recordings that cannot be read.")
]
Speakers = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN|FILE",
        help="Who speaks in each clip: a pattern of its path below its word's folder, as {speaker}_{n} or "
        "{speaker}/{n}, or a file of paths and speakers. By default as Speech Commands names clips, else unknown.",
    ),
]
Words = Annotated[str, typer.Option(help="The keywords; all other words together are the class 'other'.")]


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """The ids that begin so; none where --db is not understood."""
    with suppress(typer.BadParameter):
        return beginning_with(place(context.params.get("db") or DEFAULT_DB), incomplete)
    return []


_RUN_HELP = "A run's id, any unambiguous beginning of it, or `last`."
Run = Annotated[str, typer.Argument(metavar="RUN", help=_RUN_HELP, autocompletion=complete_run)]
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help=_RUN_HELP, autocompletion=complete_run)]
RunsOrAll = Annotated[list[str] | None, typer.Argument(metavar="RUN...", help=_RUN_HELP, autocompletion=complete_run)]


def chosen_data(data: str | None) -> str:
    """What --data says, else $KWS_DATA, else the built-in source. Raises DataError where --data says nothing."""
    if data is not None and not data.strip():
        raise DataError("--data is empty; name a folder or a source that `kws data list` shows, or leave it out")
    return data or os.environ.get("KWS_DATA") or "synthetic"


Where = Annotated[
    str | None,
    typer.Option(
        metavar="SQL", help="Only runs for which this is true, as in \"arch = 'cnn' and test_accuracy > 0.9\"."
    ),
]
Tags = Annotated[list[str] | None, typer.Option(metavar="TAG", help="Only runs with this tag; may be repeated.")]
OfData = Annotated[str | None, typer.Option(metavar="SOURCE", help="Only runs on this data.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only runs started since: a date, or an age as in 12h or 7d.")
]


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
