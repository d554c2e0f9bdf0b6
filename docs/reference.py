"""The commands as Markdown, for docs/commands.md: made of the program itself by `make readme`, held to it by a test.

Decisions:
- What a command says by --help is all that there is: nothing is written here that help lacks.
- What many commands share is told once: the options of a recipe with `kws train`, and --db, --json, -q and -h at the
  top. Another command names those that it has in the same way, and tells what it says in another.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from kws.cli import SECTIONS, app, sections
from kws.cli.commands import by_section
from kws.recipe import names

SHARED = ("--db", "--json", "--quiet", "--help")
MANY = 20  # options of a recipe; a command that has so many has all but a few
Row = tuple[str, str]  # an option's flags, and its help


def markdown() -> str:
    """Every command of kws, in the order of `kws --help`."""
    root = get_command(app)
    lines = [*_shared(root.commands["train"])]
    for section, found in SECTIONS.items():
        lines += ["", f"## {section}"]
        for name in found:
            command = root.commands[name]
            inner = getattr(command, "commands", None)
            if inner is None:
                lines += _command(f"kws {name}", command, root)
            else:
                for each, one in inner.items():
                    lines += _command(f"kws {name} {each}", one, root)
    return "\n".join(lines) + "\n"


def _shared(train: Any) -> Iterator[str]:
    yield "Every command has these, as far as they mean something to it; they stand after the command:"
    yield ""
    rows = {flag: row for flag, row in _rows(train) if flag in SHARED}
    yield from (_item(*rows[flag]) for flag in SHARED)


def _command(path: str, command: Any, root: Any) -> Iterator[str]:
    """A command's heading, usage, text and options."""
    context = typer.Context(command, info_name=path)
    pieces = [each for each in command.collect_usage_pieces(context) if each]
    yield from ("", f"### {path}", "", "```", " ".join([path, *pieces]), "```", "")
    yield from _text(command.help)
    train = root.commands["train"]
    same = [] if command.name == "train" else [each for each in command.params if _told_by(train, each)]
    left_out = {each.get_help_record(context) for each in same}
    left_out |= {row for flag, row in _rows(command) if flag in SHARED}
    found = list(by_section(command, context))
    is_divided = len([heading for heading, _ in found if heading != "Arguments"]) > 1
    for heading, rows in found:
        if kept := [row for row in rows if row not in left_out]:
            title = heading if heading == "Arguments" else f"Options: {heading[0].lower()}{heading[1:]}"
            title = title if heading != sections.OPTIONS else "Options of its own" if is_divided else heading
            yield from ("", f"**{title}**", "", *(_item(*row) for row in kept))
    if same:
        yield from ("", _recipe(same, command, train))


def _told_by(train: Any, option: Any) -> bool:
    """Whether `kws train` has the same option of a recipe, and says the same of it."""
    return any(
        each.name == option.name and each.opts[0] == option.opts[0] and each.help == option.help
        for each in train.params
        if each.name in {*names(), "preset", "settings", "skip_unreadable"}
    )


def _recipe(same: list[Any], command: Any, train: Any) -> str:
    """Which options of a recipe another command has as `kws train` has them."""
    those = "[options of `kws train`](#kws-train)"
    if len(same) < MANY:
        return f"As the {those}: {', '.join(f'`{each.opts[0]}`' for each in same)}."
    here = {each.name for each in command.params}
    missing = [f"`{each.opts[0]}`" for each in train.params if each.name in names() and each.name not in here]
    return f"Besides, all {those} that are a recipe's" + (f", but {', '.join(missing)}." if missing else ".")


def _rows(command: Any) -> Iterator[tuple[str, Row]]:
    """Each option's last flag, and what help says of it."""
    context = typer.Context(command)
    for each in command.get_params(context):
        if row := each.get_help_record(context):
            yield each.opts[-1], row


def _text(told: str) -> Iterator[str]:
    """The paragraphs of a command's help; what is laid out by lines, and the example, as code."""
    for paragraph in inspect.cleandoc(told).split("\n\n"):
        lines = paragraph.split("\n")
        if lines[0].strip() == "\b":
            yield from ("```", *(line.strip() for line in lines[1:]), "```", "")
        elif paragraph.startswith("Example: "):
            yield from ("Example:", "", "```", " ".join(lines).removeprefix("Example: "), "```")
        else:
            yield from (_plain(" ".join(lines)), "")


def _item(flags: str, told: str) -> str:
    return f"- `{flags}`: {_plain(' '.join(told.split()))}" if told else f"- `{flags}`"


def _plain(text: str) -> str:
    """A text in which nothing but `code` means anything to Markdown."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(each if each.startswith("`") else re.sub(r"([*_<>\[\]])", r"\\\1", each) for each in parts)
