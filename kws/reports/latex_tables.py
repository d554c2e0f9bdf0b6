"""Reads the tables of a LaTeX file.

Markup is removed: emphasis (bold is remembered), escapes, math signs, rules, comments, layout. `\\multicolumn` takes as
many columns as it says, and a macro that is defined as bold is bold. A table's text is all the text of the environment
that it floats in, its caption first. A table that does not float has the paragraph before and after it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from kws.reports.written_tables import FileTable, Said

_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*\n?")
_RULES = re.compile(
    r"\\(?:toprule|midrule|bottomrule|hline|centering|cmidrule(?:\([^)]*\))?\{[^}]*\}|cline\{[^}]*\}"
    r"|specialrule\{[^}]*\}\{[^}]*\}\{[^}]*\}|addlinespace(?:\[[^\]]*\])?|rowcolor(?:\[[^\]]*\])?\{[^}]*\})"
)
_TABULARS = r"tabular[*xy]?|longtable|tblr"
_FLOATS = r"(?:sideways|long|wrap|threepart|margin|SC)?table\*?"
_BOLDS = r"textbf|mathbf|bm|bfseries|boldmath|boldsymbol|pmb|bf|B"
_MACRO = re.compile(
    r"\\(?:re)?newcommand\*?\s*\{?\\([a-zA-Z]+)\}?(?:\[\d\])?\s*\{[^\n]*\\(?:" + _BOLDS + r")\b[^\n]*\}"
)
_GROUP = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_DEFINITION = re.compile(
    r"\\(?:(?:re|provide)?newcommand\*?\s*(?:\{\s*\\[a-zA-Z]+\s*\}|\\[a-zA-Z]+)(?:\[[^\]]*\])*|def\s*\\[a-zA-Z]+[#0-9]*)\s*"
    + _GROUP
)
_SHORT = re.compile(r"\\caption\*?\s*\[([^\]]*)\]")
_LAYOUT = re.compile(
    r"\\(?:label|ref|autoref|cref|Cref|eqref|pageref|hyperref|cite[a-z]*|footnotemark|bibliography|input|include"
    r"|vspace|hspace|begin|end|scalebox|includegraphics|color|textcolor|captionsetup|cellcolor|rule|raisebox)\*?"
    r"(?![a-zA-Z])(?:\s*\[[^\]]*\])*(?:\{(?:[^{}]|\{[^{}]*\})*\}(?:\[[^\]]*\])?)?"
    r"|\\(?:setlength|addtolength|setcounter|fontsize|resizebox)\s*\{[^{}]*\}\s*\{[^{}]*\}"
)
_LENGTHS = re.compile(r"(?<![\w.])\d*\.?\d+\s*(?:\\(?:text|line|column)width|(?:pt|em|ex|mm|cm|in)\b(?=\}))")
_KEPT = re.compile(
    r"\\(?:num|SI|qty|emph|textit|textsc|underline|caption|captionof|mathrm|text|makecell|textsuperscript|ensuremath)\b"
    r"\*?\s*(?:\[[^\]]*\])?"
)
_LETTERS = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\pm": "\u00b1",
    r"\times": "\u00d7",
    r"\leq": "\u2264",
    r"\le": "\u2264",
    r"\geq": "\u2265",
    r"\ge": "\u2265",
    r"\approx": "\u2248",
    r"\sim": "\u2248",
    r"\dagger": "\u2020",
    r"\ddagger": "\u2021",
    r"\ast": "*",
    r"\star": "*",
    r"\,": "\u2009",
    r"\;": " ",
    r"\:": " ",
    r"\!": "",
    r"\ ": " ",
    "~": " ",
    "{,}": ",",
    **{f"\\{letter}": letter for letter in "&%$#_{}"},
}
_LETTER = re.compile(
    "|".join(
        re.escape(each) + ("(?![a-zA-Z])" if each[-1].isalpha() else "")
        for each in sorted(_LETTERS, key=len, reverse=True)
    )
)
_MULTICOLUMN = re.compile(r"^\s*\\multicolumn\s*\{(\d+)\}\s*\{[^}]*\}\s*\{(.*)\}\s*$", re.DOTALL)
_MULTIROW = re.compile(r"\\multirow\s*(?:\[[^\]]*\])?\{[^}]*\}\s*(?:\[[^\]]*\])?\{[^}]*\}\s*")


def latex(text: str) -> Iterator[FileTable]:
    """The tables of a LaTeX file, in order."""
    text = _COMMENT.sub(r"\1\n", text)
    bold = re.compile(rf"\\(?:{'|'.join([_BOLDS, *_MACRO.findall(text)])})(?![a-zA-Z])")
    text = _DEFINITION.sub("", text)
    floats, tables = _spans(text, _FLOATS), _spans(text, _TABULARS)
    for number, (start, end) in enumerate(tables):
        body = text[text.index("}", start) + 1 : text.rindex("\\end", start, end)]
        captions, body = _without_captions(_RULES.sub("", _without_arguments(body)))
        lines = re.split(r"\\\\\*?(?:\s*\[[^\]]*\])?", body)
        rows = [tuple(_ampersands(line, bold)) for line in lines if line.strip()]
        if len(rows) > 1:
            before, after = tables[number - 1][1] if number else 0, [*tables, (len(text), 0)][number + 1][0]
            floating = next((span for span in floats if span[0] <= start < span[1]), None)
            if floating:
                around = _outside(text, *floating, tables)
            else:
                around = (
                    text[before:start].rstrip().split("\n\n")[-1] + "\n\n" + text[end:after].lstrip().split("\n\n")[0]
                )
            others = _SHORT.sub(r"\n\n\1\n\n\\caption", "\n\n".join([*captions, around]))
            near = (_plain(part, bold).text for part in re.split(r"\n\s*\n|(?=\\caption\b)|(?=\\item\b)", others))
            yield FileTable(
                columns=tuple(said.text for said in rows[0]), rows=tuple(rows[1:]), near=tuple(filter(None, near))
            )


def _spans(text: str, names: str) -> list[tuple[int, int]]:
    """The start and end of the outermost environments with these names, in order."""
    open_at: list[tuple[str, int]] = []
    spans: list[tuple[int, int]] = []
    count: Counter[str] = Counter()
    for found in re.finditer(rf"\\(begin|end)\{{({names})\}}", text):
        name = found[2]
        if found[1] == "begin":
            open_at.append((name, found.start()))
            count[name] += 1
        elif count[name]:
            while open_at[-1][0] != name:  # never closed
                count[open_at.pop()[0]] -= 1
            count[name] -= 1
            start = open_at.pop()[1]
            while spans and spans[-1][0] > start:
                spans.pop()
            spans.append((start, found.end()))
    return spans


def _outside(text: str, start: int, end: int, tables: list[tuple[int, int]]) -> str:
    """A part of a text without the tables in it."""
    parts = []
    for a, b in tables:
        if start <= a < end:
            parts.append(text[start:a])
            start = b
    return " ".join([*parts, text[start:end]])


def _without_arguments(body: str) -> str:
    """The body of an environment without the argument groups after its name: widths and columns."""
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


def _without_captions(body: str) -> tuple[list[str], str]:
    """The captions among a table's rows, as in a longtable, and the rest of the body."""
    captions = []
    while found := re.search(r"\\caption\*?\s*(?=[\[{])", body):
        rest = _without_arguments(body[found.end() :])
        captions.append(body[found.start() : len(body) - len(rest)])
        if rest == body[found.end() :].lstrip():
            break  # a brace is missing
        body = body[: found.start()] + rest
    return captions, body


def _ampersands(line: str, bold: re.Pattern[str]) -> Iterator[Said]:
    for part in re.split(r"(?<!\\)&", line):
        wide = _MULTICOLUMN.match(part)
        said = _plain(wide[2] if wide else part, bold)
        yield said
        yield from [said] * (min(int(wide[1]), 100) - 1 if wide else 0)


def _plain(text: str, bold: re.Pattern[str]) -> Said:
    """A piece of LaTeX as the text that it typesets."""
    is_bold = bool(bold.search(text))
    text = _LENGTHS.sub("", _LAYOUT.sub(" ", _MULTIROW.sub("", bold.sub("{", text))))
    text = _KEPT.sub("", text).replace(r"\percent", r"\%")
    escaped = _LETTER.sub(lambda found: f"\0{ord(_LETTERS[found[0]])}\0" if _LETTERS[found[0]] else "", text)
    stripped = re.sub(r"\\[a-zA-Z]+\*?", " ", re.sub(r"[{}$]", "", escaped)).replace("``", '"').replace("''", '"')
    shown = re.sub("\0(\\d+)\0", lambda found: chr(int(found[1])), stripped)
    return Said(re.sub("[^\\S\u2009]+", " ", shown).strip(), is_bold)
