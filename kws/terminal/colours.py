"""Colours of a page of help, by its layout alone: the page is made once, in plain text. Standard library only."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing typing takes a tenth of the time of `kws --help`
if TYPE_CHECKING:
    from typing import TextIO

_BOLD, _CYAN, _OFF = "\x1b[1m", "\x1b[36m", "\x1b[0m"  # both can be read on a dark and on a light background
_LABELS = ("Usage:", "Example:")


def are_shown(stream: TextIO | None) -> bool:
    """Whether a stream shows colours: a terminal, unless NO_COLOR or TERM says otherwise; FORCE_COLOR for any."""
    if stream is None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    is_terminal = stream.isatty() and os.environ.get("TTY_COMPATIBLE") != "0"
    return is_terminal and os.environ.get("TERM") != "dumb" and os.name != "nt"


def page(text: str, stream: TextIO | None) -> str:
    """A page of help as a stream shows it: headings in bold, names of options and commands in a colour."""
    if not are_shown(stream):
        return text
    lines, in_section = [], False
    for line in text.split("\n"):
        is_heading = line.endswith(":") and not line.startswith(" ")
        in_section = in_section or is_heading
        lines.append(_bold(line) if is_heading else _line(line, in_section=in_section))
    return "\n".join(lines)


def _bold(text: str) -> str:
    return f"{_BOLD}{text}{_OFF}"


def _line(line: str, *, in_section: bool) -> str:
    for label in _LABELS:
        if line.lstrip().startswith(label):
            return line.replace(label, _bold(label), 1)
    if in_section and line.startswith("  ") and line[2:3].strip():
        name, gap, told = line[2:].partition("  ")
        return f"  {_CYAN}{name}{_OFF}{gap}{told}"
    return line
