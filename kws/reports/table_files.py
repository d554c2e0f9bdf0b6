"""Tables as they stand in a LaTeX, Markdown or CSV file, cell by cell as plain text.

A table is a line of column names and rows that begin with their own name. Markup goes: emphasis (what was bold is
remembered), escapes, math signs, rules, comments; `\\multicolumn` takes as many columns as it says. What a cell means,
kws.reports.checking says.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kws.errors import RegistryError

_LARGEST = 4_000_000  # bytes; a paper is less
_RULES = re.compile(
    r"\\(?:toprule|midrule|bottomrule|hline|centering|cmidrule(?:\([^)]*\))?\{[^}]*\}|cline\{[^}]*\}"
    r"|addlinespace(?:\[[^\]]*\])?|rowcolor\{[^}]*\})"
)
_TABULAR = re.compile(r"\\begin\{(tabular[*x]?|tabularx|longtable|tblr)\}(.*?)\\end\{\1\}", re.DOTALL)
_BOLD = re.compile(r"\\(?:textbf|mathbf|bm)\s*\{|\\bfseries\b|\\boldmath\b|\\B\b")
_LETTERS = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\pm": "\u00b1",
    r"\,": " ",
    r"\;": " ",
    r"\ ": " ",
    "~": " ",
    **{f"\\{letter}": letter for letter in "&%$#_{}"},
}
_LETTER = re.compile("|".join(map(re.escape, sorted(_LETTERS, key=len, reverse=True))))
_MULTICOLUMN = re.compile(r"^\s*\\multicolumn\s*\{(\d+)\}\s*\{[^}]*\}\s*\{(.*)\}\s*$", re.DOTALL)
_MULTIROW = re.compile(r"\\multirow\s*(?:\[[^\]]*\])?\{[^}]*\}\s*(?:\[[^\]]*\])?\{[^}]*\}\s*")


@dataclass(frozen=True)
class Said:
    """A cell's text without markup, and whether it was bold."""

    text: str
    bold: bool = False


@dataclass(frozen=True, kw_only=True)
class FileTable:
    """A table of a file: the names of its columns, the first of which heads the rows' names, and its rows.

    `about` is what stands around it, a caption among others.
    """

    about: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Said, ...], ...]


def read(path: Path) -> list[FileTable]:
    """The tables of a file, by its ending: .tex, .md (or .markdown, .txt), .csv.

    Raises RegistryError for another ending, a file that cannot be read, is too large or holds no table.
    """
    readers = {".tex": _latex, ".md": _markdown, ".markdown": _markdown, ".txt": _markdown, ".csv": _csv}
    if path.suffix.lower() not in readers:
        raise RegistryError(
            f"`check` (={str(path)!r}) must end in .tex, .md or .csv, so that it is known how to read it"
        )
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else None
    except OSError as error:
        raise RegistryError(f"{path} cannot be read ({error.strerror})") from None
    if data is None:
        raise RegistryError(f"{path} is larger than {_LARGEST:,} bytes; put its table into a file of its own")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RegistryError(f"{path} is not text in UTF-8") from None
    found = list(readers[path.suffix.lower()](text.replace("\r\n", "\n")))
    if not found:
        raise RegistryError(f"{path} has no table")
    return found


def _markdown(text: str) -> Iterator[FileTable]:
    lines = text.splitlines()
    about: list[str] = []
    i = 0
    while i < len(lines):
        if "|" in lines[i] and i + 1 < len(lines) and re.fullmatch(r"[\s|:-]*-[\s|:-]*", lines[i + 1]):
            columns = [said.text for said in _pipes(lines[i])]
            rows, i = [], i + 2
            while i < len(lines) and "|" in lines[i]:
                rows.append(tuple(_pipes(lines[i])))
                i += 1
            yield FileTable(about=" ".join(about[-20:]), columns=tuple(columns), rows=tuple(rows))
            about = []
        else:
            about.append(_plain_markdown(lines[i]).text)
            i += 1


def _pipes(line: str) -> Iterator[Said]:
    inner = re.sub(r"(?<!\\)\|$", "", line.strip().removeprefix("|"))
    return map(_plain_markdown, re.split(r"(?<!\\)\|", inner))


def _plain_markdown(text: str) -> Said:
    bold = re.fullmatch(r"\s*(\*\*|__)(.*)\1\s*", text, re.DOTALL)
    return Said(re.sub(r"\\([\\|*_`<>\[\]])", r"\1", bold[2] if bold else text).strip(), bool(bold))


def _latex(text: str) -> Iterator[FileTable]:
    text = re.sub(r"(?<!\\)%[^\n]*\n?", "\n", text)
    end = 0
    for tabular in _TABULAR.finditer(text):
        around = text[end : tabular.start()]
        after = text[tabular.end() : tabular.end() + 2_000].split(r"\begin{")[0]
        end = tabular.end()
        body = _RULES.sub("", _without_arguments(tabular[2]))
        lines = [line for line in re.split(r"\\\\(?:\s*\[[^\]]*\])?", body) if line.strip()]
        if len(lines) > 1:
            head, *rows = ([*_ampersands(line)] for line in lines)
            yield FileTable(
                about=_plain_latex(around[-2_000:] + after).text,
                columns=tuple(said.text for said in head),
                rows=tuple(map(tuple, rows)),
            )


def _without_arguments(body: str) -> str:
    """The body of an environment without the groups that follow its name: widths and columns."""
    body = body.lstrip()
    while body[:1] in ("{", "["):
        depth, close = 0, 0
        for place, letter in enumerate(body):
            depth += (letter in "{[") - (letter in "}]")
            if not depth:
                close = place
                break
        else:
            return body
        body = body[close + 1 :].lstrip()
    return body


def _ampersands(line: str) -> Iterator[Said]:
    for part in re.split(r"(?<!\\)&", line):
        wide = _MULTICOLUMN.match(part)
        said = _plain_latex(wide[2] if wide else part)
        yield said
        yield from [said] * (min(int(wide[1]), 100) - 1 if wide else 0)


def _plain_latex(text: str) -> Said:
    bold = bool(_BOLD.search(text))
    text = _MULTIROW.sub("", _BOLD.sub("{", text))
    text = re.sub(
        r"\\(?:num|SI|qty|emph|textit|underline|caption|label|mathrm|text|makecell)\b\s*(?:\[[^\]]*\])?", "", text
    )
    text = text.replace(r"\percent", r"\%")
    escaped = _LETTER.sub(lambda found: f"\0{ord(_LETTERS[found[0]])}\0", text)
    stripped = re.sub(r"\\[a-zA-Z]+\*?", " ", re.sub(r"[{}$]", "", escaped))
    return Said(" ".join(re.sub("\0(\\d+)\0", lambda found: chr(int(found[1])), stripped).split()), bold)


def _csv(text: str) -> Iterator[FileTable]:
    try:
        head, *rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row] or [[]]
    except csv.Error:
        return
    if rows and len(head) > 1:
        made = tuple(tuple(Said(cell.strip()) for cell in row) for row in rows)
        yield FileTable(about="", columns=tuple(head), rows=made)
