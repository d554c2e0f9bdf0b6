"""File names that carry the label: what --pattern describes, as "{label}_{speaker}_{n}".

Decisions:
- {label} is needed once; {speaker} and {split} are read, too, and any other name in braces matches any text.
- The pattern describes the end of a path below the folder, without the ending: with a "/" in it, folders as well.
- But for the label, what braces stand for ends at the first sign that follows them in the pattern: "turn_on_anna_1" is
  the label "turn_on" and the speaker "anna".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kws.errors import DataError
from kws.speech.found import Found, Row, splits_named
from kws.speech.names import without_ending
from kws.speech.walk import RANKS

if TYPE_CHECKING:
    from kws.speech.recognise import Seen
    from kws.speech.tree import Tree

TITLE, ORDER = "file names by --pattern", 0
EXAMPLE = 'yes_anna_1.wav with --pattern "{label}_{speaker}_{n}"'
_FIELD = re.compile(r"\{([^{}]*)\}")
_READ = ("label", "speaker", "split")


def find(tree: Tree) -> Found | None:
    """The recordings whose names fit the pattern; None without one.

    Raises DataError for a pattern that is none, or that fits no recording.
    """
    if tree.pattern is None:
        return None
    if tree.is_manifest:
        raise DataError(f"`pattern` (={tree.pattern}) is about the files of a folder, and {tree.place} is a file")
    expression = _expression(tree.pattern)
    parts = tree.pattern.count("/") + 1
    rows = []
    unfit = ""
    for name in tree.one_of_each(tree.recordings()):
        match = expression.fullmatch("/".join(without_ending(name).split("/")[-parts:]))
        if match is None:
            unfit = unfit or name
            continue
        fields = match.groupdict()
        rows.append(Row(name, fields["label"], fields.get("split"), fields.get("speaker")))
    given = {row.split for row in rows if row.split}
    splits = splits_named(given)
    if not rows:
        seen = f"has {unfit}" if unfit else "has no recordings"
        raise DataError(f"`pattern` (={tree.pattern}) fits no recording: {tree.place} {seen}; as in {EXAMPLE}")
    return Found(
        title=TITLE,
        rows=[row._replace(split=splits.get(row.split or "")) for row in rows],
        otherwise="not named as --pattern says",
        unknown_splits=tuple(sorted(given - {*splits})),
        by_folder=True,
    )


def likeness(seen: Seen) -> int:
    """Recordings side by side are often named after what is said."""
    return 6 if seen.flat else 0


def _expression(pattern: str) -> re.Pattern[str]:
    fields = _FIELD.findall(pattern)
    plain = _FIELD.sub("", pattern)
    if fields.count("label") != 1 or any(fields.count(each) > 1 for each in _READ) or {"{", "}"} & {*plain}:
        raise DataError(f"`pattern` (={pattern}) must have {{label}} once, as in {{label}}_{{speaker}}_{{n}}")
    ending = next((suffix for suffix in RANKS if pattern.lower().endswith(suffix)), "")
    text, expression, at = pattern[: len(pattern) - len(ending)], "", 0
    for each in _FIELD.finditer(text):
        after = text[each.end() : each.end() + 1]
        if after == "{":
            raise DataError(f"`pattern` (={pattern}) needs a letter or sign between two names in braces")
        # But for the label, a field ends at the first sign that follows it, so that matching takes little time.
        matched = "[^/]+" if each[1] == "label" or not after else f"[^/{re.escape(after)}]+"
        expression += re.escape(text[at : each.start()])
        expression += f"(?P<{each[1]}>{matched})" if each[1] in _READ else matched
        at = each.end()
    return re.compile(expression + re.escape(text[at:]), re.DOTALL)
