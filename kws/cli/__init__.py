"""The command line: one file a command; a command parses, calls, and shows.

Results go to stdout; messages and progress go to stderr. Exit codes: 0 done; 1 what a KwsError says, or a check that a
command was asked for does not hold, or a result that could not be printed; 2 a mistake in the command line; 129 ended
by SIGHUP; 130 interrupted by Ctrl-C; 143 ended by SIGTERM.
Whatever takes long to import is imported inside the commands.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

import kws
from kws.cli.commands import Group, using
from kws.errors import KwsError
from kws.registry.location import mask
from kws.terminal import colours
from kws.training.stopping import Stopped, exit_code

SECTIONS = {  # of the list of commands
    "First steps": ("start", "train", "compare", "ui"),
    "Train more": ("sweep", "tune", "rerun", "test", "watch"),
    "Look at results": ("eval", "plot", "report", "summary", "bench"),
    "Detect words": ("export", "predict", "listen", "stream"),
    "Look after data and runs": ("record", "mine", "data", "runs", "db"),
}
_NAMES = tuple(name for names in SECTIONS.values() for name in names)
_FILES = {"eval": "evaluate"}  # where a command's module and function are not called as it is
_Command = Any  # Typer does not tell its type


class _Modules(Mapping[str, _Command]):
    """The commands by name, each imported when it is asked for: a command does not wait for what the others import."""

    def __getitem__(self, name: str) -> _Command:
        if name not in _NAMES:
            raise KeyError(name)
        file = _FILES.get(name, name)
        module = importlib.import_module(f"kws.cli.{file}")
        commands = getattr(module, "app", None)
        if commands is None:
            commands = typer.Typer(rich_markup_mode=None, add_completion=False)
            commands.command(name)(getattr(module, file))
        for each in using(commands).registered_commands:
            if signature := getattr(each.callback, "signature", None):  # of a recipe's options; parts may be added
                each.callback.__signature__ = signature()  # type: ignore[union-attr]
        made = typer.main.get_command(commands)
        made.name = name
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


class _Commands(Group):
    """The commands, with every error said in one line on stderr."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs | {"commands": _Modules()})

    def format_commands(self, _: Any, formatter: Any) -> None:
        """The list of commands by section, those of a group after what it is for."""
        every = {name: self.commands[name] for name in _NAMES}
        width = max(map(len, every))
        for section, names in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(f"{name:<{width}}", _short(every[name])) for name in names])

    def invoke(self, ctx: Any) -> Any:
        """Run a command; Ctrl-C is said where the command does not say it itself."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise typer.Abort from stop

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
            code = _say(_mistake(error), error.exit_code)
        except OSError as error:
            if not isinstance(error.filename, str | bytes):
                raise
            from kws.speech.cache import unusable

            code = _say(str(unusable(error)), 1)
        except Stopped as stop:
            code = stop.exit_code
        except typer.Abort as abort:
            code = _say("stopped", exit_code(abort.__cause__))
        finally:
            if own := sys.modules.get("kws.recipe.own"):
                own.forget()  # what one command was asked to run, the next one was not
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else 0)


def _short(command: Any) -> str:
    """What a command does, in a line; of a group, its commands as well."""
    told = str(command.get_short_help_str(limit=80))
    return f"{told}: {', '.join(command.commands)}." if isinstance(command, Group) else told


def _mistake(error: Any) -> str:
    """What to say of a mistake in the command line: what was meant, or where help is."""
    from kws.cli import meant

    context = getattr(error, "ctx", None)
    if told := meant.sentence(error):
        return told
    message = str(error.format_message()).replace("Value error, ", "").removeprefix("Invalid value: ")
    if message.startswith("Usage: ") or context is None or message.endswith("?"):
        return message
    return f"{message.rstrip('.')}; see `{context.command_path} --help`"


def _say(message: str, code: int) -> int:
    """Print one line on stderr, the line breaks in names and paths escaped, no password; returns the exit code."""
    message = mask(message)
    is_page = message.startswith("Usage: ")
    text = colours.page(message, sys.stderr) if is_page else "kws: " + " ".join(message.split())
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


def main() -> None:
    """The `kws` program, on streams that kws.__main__ has guarded."""
    app()
