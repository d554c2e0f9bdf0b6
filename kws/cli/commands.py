"""What every command has: -h, -q, help in sections, and an answer to a command of a group that does not exist."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from kws.cli import sections
from kws.terminal import colours, quiet

HELP_NAMES = ["-h", "--help"]
_QUIET = "kws.quiet"  # in a context
_LEADING = ("record",)  # it leads through its work by what it says


class _Pages:
    """Help in sections, on -h as well, and in colours where stdout shows them."""

    _help_option: Any

    def get_help_option_names(self, _: Any) -> list[str]:
        """Both, in this order."""
        return [*HELP_NAMES]

    def get_help_option(self, ctx: Any) -> Any:
        """The option, which shows the page in colours where stdout has them."""
        if self._help_option is None and (made := super().get_help_option(ctx)):  # type: ignore[misc]
            made.callback = _show_help
            made.rich_help_panel = sections.OUTPUT
        return self._help_option

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments, then options, by section."""
        for heading, rows in by_section(self, ctx):
            with formatter.section(heading):
                formatter.write_dl(rows)


def by_section(command: Any, ctx: Any) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A command's arguments and options by the headings of its help; each is its flags and its help."""
    arguments: list[tuple[Any, tuple[str, str]]] = []
    options: list[tuple[Any, tuple[str, str]]] = []
    for each in command.get_params(ctx):
        if row := each.get_help_record(ctx):
            (arguments if each.param_type_name == "argument" else options).append((each, row))
    if arguments:
        yield "Arguments", [row for _, row in arguments]
    panels = [each.rich_help_panel or sections.OPTIONS for each, _ in options]
    if len(options) <= sections.FEW:
        panels = [sections.OPTIONS] * len(options)
    for section in sections.EVERY:
        if rows := [row for panel, (_, row) in zip(panels, options, strict=True) if panel == section]:
            yield section, rows


def _show_help(ctx: Any, _: Any, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        typer.echo(colours.page(ctx.get_help(), sys.stdout), color=True)
        ctx.exit()


def _be_quiet(ctx: Any, _: Any, value: bool) -> None:
    ctx.meta[_QUIET] = value


class Command(_Pages, TyperCommand):
    """A command with -h, and with -q unless it leads by what it says."""

    def __init__(self, name: str | None, **about: Any) -> None:
        super().__init__(name, **about)
        if name not in _LEADING:
            self.params.append(
                TyperOption(
                    param_decls=["-q", "--quiet"],
                    is_flag=True,
                    default=False,
                    expose_value=False,
                    callback=_be_quiet,
                    help="No progress and no notes on stderr: results and errors alone.",
                    rich_help_panel=sections.OUTPUT,
                )
            )

    def invoke(self, ctx: Any) -> Any:
        """Run it, quietly where that was asked for."""
        with quiet.quietly(ctx.meta.get(_QUIET, False)):
            return super().invoke(ctx)


class Group(_Pages, TyperGroup):
    """Commands under one name."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The commands, then the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is named; where there is none, the error says which was meant."""
        try:
            return super().resolve_command(ctx, args)
        except typer.TyperException as error:
            from kws.cli import meant

            if args and not args[0].startswith("-"):
                error.message = f"{ctx.command_path} has no command {args[0]!r}"
                if found := meant.command(args[0], ctx.find_root().command, self.name):
                    error.message += f". Did you mean {found}?"
            raise


def using(app: typer.Typer) -> typer.Typer:
    """The same app, whose commands and itself are of these classes."""
    app.info.cls = Group
    for each in app.registered_commands:
        each.cls = Command
    return app
