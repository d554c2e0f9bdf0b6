"""`kws data`: the data sources, whether what they hold is in order, and clips out of a long recording."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kws.cli import data_cut, data_synth, options, recipe_options, sections
from kws.recipe import NETWORK, OPTIMIZER, TASK, Recipe
from kws.recipe.wording import suggestion

app = typer.Typer(
    help="List, check, cut, make or download data.",
    short_help="Recordings",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
)
_PARTITION = ("split_shares", "fold")  # options of a recipe that divide the data into splits


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
@recipe_options.taking_recipe(recipe_options.ONE, of=(TASK,), also=_PARTITION)
def check(
    data: Annotated[str | None, typer.Argument(metavar="[SOURCE]", help="As for --data of `kws train`.")] = None,
    speakers: options.Speakers = None,
    pattern: options.Pattern = None,
    align: options.Align = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="List the clips whose labels this run, or file that `kws export` wrote, most surely contradicts.",
            autocompletion=options.complete_run,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        sections.output(
            metavar="OUT.html", help="Write a page with the waveform, spectrogram and sound of each suspect, too."
        ),
    ] = None,
    trust_code: options.TrustCode = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
    **given: Any,
) -> None:
    """Count clips, name those not in order, say what to do.

    Counts are a word and split, with speakers, rates, durations and levels, and files that are not used, by reason.
    With a task, they are a class and split as well. Clips are read as training reads them, and told to be silent,
    clipped or cut off as the network hears them. One recording in two splits or under two words is found even if it was
    encoded, amplified or cut another way. With --split or --fold, splits are those that training makes with them.

    The exit code is 1 where a clip cannot be read, a speaker or a recording is in two splits, a list names a clip that
    is not there, or a class has no clips in a split. --json names all that the text names the first of.

    Example: kws data check path/to/recordings --task mini-8
    """
    from kws.cli import checking
    from kws.speech import checks, sources
    from kws.terminal import console, screens_check

    chosen = recipe_options.chosen(given, None)
    anything: dict[str, Any] = {
        NETWORK.option: next(iter(NETWORK.parts)),
        OPTIMIZER.option: next(iter(OPTIMIZER.parts)),
    }
    recipe = Recipe.of(**(anything | chosen)) if chosen else None
    task = recipe.task if recipe and {*chosen} - {*_PARTITION} else None
    if html is not None:
        checking.require_page(html)
    source = sources.locate(options.chosen_data(data), track=console.track)
    report = checks.check(
        source,
        speakers or None,
        pattern or None,
        align=align or Recipe.align,
        partition=recipe.partition if recipe else None,
        task=task,
        judge=None if run is None else checking.judge(run, db, trust_code),
        track=console.track,
    )
    if html is not None:
        checking.write_page(report, html)
        console.say(f"wrote {console.visible(str(html))}")
    if json:
        console.print_json(report.record())
    else:
        screens_check.print_check(report)
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
            f"{suggestion(source, sources.names())}"
        )
    typer.echo(sources.locate(source, track=console.track).folder)


app.command("cut")(data_cut.cut)
app.command("synth")(data_synth.synth)
