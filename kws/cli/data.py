"""`kws data`: the data sources, whether what they hold is in order, and clips out of a long recording."""

from typing import Annotated, Any

import typer

from kws.cli import data_cut, data_synth, options, recipe_options
from kws.recipe import NETWORK, OPTIMIZER, TASK, Recipe

app = typer.Typer(
    help="List, check, cut, make or download data.", rich_markup_mode=None, no_args_is_help=True, add_completion=False
)

app.command("synth")(data_synth.synth)


@app.command("list")
def list_sources(json: options.Json = False) -> None:
    """List the data sources and where they lie.

    Example: kws data list
    """
    from kws.speech import sources
    from kws.terminal import console, screens

    found = sources.catalogue()
    if json:
        console.print_json({"schema": 1, "sources": [source.record() for source in found]})
    else:
        screens.print_sources(found, options.chosen_data(None))


@app.command("check")
@recipe_options.taking_recipe(recipe_options.ONE, of=(TASK,))
def check(
    data: Annotated[str | None, typer.Argument(metavar="[SOURCE]", help="As for --data.")] = None,
    speakers: options.Speakers = None,
    pattern: options.Pattern = None,
    align: options.Align = None,
    json: options.Json = False,
    **given: Any,
) -> None:
    """Count clips, and name those that are not in order.

    Counts are a word and split, with speakers and durations, and files that are not used, by reason. With a task, they
    are a class and split as well. Clips are read as training reads them. The exit code is 1 where a clip cannot be
    read, a speaker is in two splits, a list names a clip that is not there, or a class has no clips in a split. --json
    names all that the text names the first of.

    Example: kws data check path/to/recordings --task mini-8
    """
    from kws.speech import checks, sources
    from kws.terminal import console, screens

    chosen = recipe_options.chosen(given, None)
    anything: dict[str, Any] = {
        NETWORK.option: next(iter(NETWORK.parts)),
        OPTIMIZER.option: next(iter(OPTIMIZER.parts)),
    }
    task = Recipe.of(**anything, **chosen).task if chosen else None
    source = sources.locate(options.chosen_data(data), track=console.track)
    about: dict[str, Any] = {"align": align or Recipe.align, "task": task, "track": console.track}
    report = checks.check(source, speakers or None, pattern or None, **about)
    if json:
        console.print_json(report.record())
    else:
        screens.print_check(report)
    if report.unusable:
        raise typer.Exit(1)


@app.command("download")
def download(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="A source that `kws data list` names.")],
) -> None:
    """Download or make a source now, and print its folder.

    Example: kws data download mini-speech-commands
    """
    from kws.errors import DataError
    from kws.speech import sources
    from kws.terminal import console

    if source not in sources.names():
        raise DataError(
            f"{source!r} is not a source that can be downloaded; choose one of {', '.join(sources.names())}"
        )
    typer.echo(sources.locate(source, track=console.track).folder)


app.command("cut")(data_cut.cut)
