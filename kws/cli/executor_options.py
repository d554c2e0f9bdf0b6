"""The options that say who trains the runs of a sweep or a search: processes of this machine, or a Ray cluster."""

from typing import Annotated, Literal

import typer

from kws.cli import options, sections
from kws.errors import RecipeError

Engine = Annotated[
    Literal["local", "ray"], sections.training(help="Who trains: processes of this machine, or a Ray cluster.")
]
Address = Annotated[
    str | None,
    sections.training(
        envvar="RAY_ADDRESS",
        metavar="HOST:PORT",
        help="The Ray cluster's, or `auto`; without one, Ray is started on this machine.",
        show_default=False,
    ),
]


def on_cluster(context: typer.Context, engine: str, address: str | None) -> bool:
    """Whether a Ray cluster trains. Raises RecipeError for a cluster's address without it."""
    if address is not None and engine != "ray" and options.was_typed(context, "address"):
        raise RecipeError(f"--address {address} is for a Ray cluster; add --engine ray, or leave it out")
    return engine == "ray"
