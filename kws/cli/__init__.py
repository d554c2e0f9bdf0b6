"""The command line: one file a command; a command parses, calls, and shows.

Results go to stdout; messages and progress go to stderr. Exit codes: 0 done; 1 what a KwsError says, or a check that a
command was asked for does not hold; 2 a mistake in the command line; 130 interrupted by Ctrl-C; 143 ended by SIGTERM.
Whatever takes long to import is imported inside the commands.
"""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import kws
from kws.errors import KwsError
from kws.location import mask
from kws.session import Stopped


class _Commands(TyperGroup):
    """The commands, with every error said in one line on stderr."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command; turns what was raised into a line and an exit code."""
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except KwsError as error:
            code = _say(str(error), error.exit_code)
        except typer.TyperException as error:
            context = getattr(error, "ctx", None)
            message = error.format_message().replace("Value error, ", "")
            if not message.startswith("Usage: ") and context is not None:
                message = f"{message.rstrip('.')}; see `{context.command_path} --help`"
            code = _say(message, error.exit_code)
        except Stopped as stop:
            code = stop.exit_code
        except typer.Abort:
            code = _say("stopped", 130)
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


def _say(message: str, code: int) -> int:
    """Print one line on stderr, the line breaks in names and paths escaped, no password; returns the exit code."""
    message = mask(message)
    text = message if message.startswith("Usage: ") else "kws: " + " ".join(message.split())
    print(text, file=sys.stderr)  # noqa: T201 - before display, and rich with it, is wanted
    return code


app = typer.Typer(
    cls=_Commands, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, add_completion=True
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kws {kws.__version__}")
        raise typer.Exit


@app.callback()
def _kws(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    """Keyword spotting experiments that can be trusted: every run in one SQLite file.

    Example: kws train --arch cnn --opt adam --epochs 50 && kws compare
    """


from kws.cli import (  # noqa: E402 - each adds itself to app
    bench,
    compare,
    data,
    db,
    evaluate,
    plot,
    report,
    rerun,
    runs,
    summary,
    sweep,
    train,
    tune,
    ui,
    watch,
)

app.command("train")(train.train)
app.command("sweep")(sweep.sweep)
app.command("tune")(tune.tune)
app.command("rerun")(rerun.rerun)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("plot")(plot.plot)
app.command("watch")(watch.watch)
app.command("report")(report.report)
app.command("ui")(ui.ui)
app.command("summary")(summary.summary)
app.command("bench")(bench.bench)
app.add_typer(runs.app, name="runs")
app.add_typer(db.app, name="db")
app.add_typer(data.app, name="data")


def main() -> None:
    """The `kws` program."""
    try:
        app()
    except BrokenPipeError:
        # Whoever read our output has stopped; Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
