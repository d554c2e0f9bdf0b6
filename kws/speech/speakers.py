"""The speaker of each clip: from the clips' names, from a pattern, or from a file.

Decisions:
- By default, speakers are known only if every clip of a folder is named as in Speech Commands, SPEAKER_nohash_N. A
  folder below a word's folder is not taken for a speaker: it could also be a session or a microphone.
- A pattern describes a clip's path below its word's folder, without the ending: "{speaker}_{n}" or "{speaker}/{n}". Any
  other name in braces matches any text. If a name matches in several ways, the longest speaker counts.
- A file has one line per clip with its path and its speaker, separated by commas, tabs or spaces, with or without a
  header line, as in Kaldi's utt2spk. Clips may be spelled in any way that is allowed in a split's list.
- A pattern or file must give all speakers: a clip that does not match the pattern, or is not in the file, is an error.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from kws.errors import DataError
from kws.speech.decode import SUFFIXES
from kws.speech.names import Finder
from kws.speech.splits import speaker_in

_FIELD = re.compile(r"\{([^{}]*)\}")
_SPEAKER = "speaker"
_SPEAKER_COLUMNS = (_SPEAKER, "speaker_id", "speakerid", "spk", "spk_id", "client_id", "user", "user_id", "who")
_PATH_COLUMNS = ("path", "file", "filename", "file_name", "name", "clip", "wav", "audio", "utt", "utterance", "id")
_SHOWN = 3


def speakers_of(names: Sequence[str], told: str | None, folder: Path) -> list[str] | None:
    """The speaker of each of these clips (word/.../file, without ending); None if they are unknown.

    `told` is a pattern or a file's path, relative to the working folder or to `folder`. Raises DataError if it does not
    give all speakers.
    """
    if told is None:
        found = [speaker_in(name.rpartition("/")[2]) for name in names]
        known = [speaker for speaker in found if speaker is not None]
        return known if len(known) == len(names) else None
    return _by_pattern(names, told) if "{" in told else _by_file(names, told, folder)


def speakers_file(told: str, folder: Path) -> Path | None:
    """The speakers' file, in the working folder or in `folder`; None if there is no file of that name."""
    with suppress(OSError, RuntimeError, ValueError):
        return next((path for path in (Path(told).expanduser(), folder / told) if path.is_file()), None)
    return None


def _by_pattern(names: Sequence[str], pattern: str) -> list[str]:
    expression = _expression(pattern)
    matches = [expression.fullmatch(name.partition("/")[2]) for name in names]
    unfit = [name for name, match in zip(names, matches, strict=True) if not match]
    if unfit:
        raise DataError(
            f"`speakers` (={pattern}) does not fit {_some(unfit)}; it is about a clip's path below its word's folder"
        )
    return [match[_SPEAKER] for match in matches if match]


def _expression(pattern: str) -> re.Pattern[str]:
    fields = _FIELD.findall(pattern)
    plain = _FIELD.sub("", pattern)
    if fields.count(_SPEAKER) != 1 or "{" in plain or "}" in plain:
        raise DataError(
            f"`speakers` (={pattern}) must have {{speaker}} once, as in {{speaker}}_{{n}} or {{speaker}}/{{n}}"
        )
    ending = next((suffix for suffix in SUFFIXES if pattern.lower().endswith(suffix)), "")
    text, expression, at = pattern[: len(pattern) - len(ending)], "", 0
    for field in _FIELD.finditer(text):
        expression += re.escape(text[at : field.start()])
        expression += f"(?P<{_SPEAKER}>[^/]+)" if field[1] == _SPEAKER else "[^/]+?"
        at = field.end()
    return re.compile(expression + re.escape(text[at:]), re.DOTALL)


def _by_file(names: Sequence[str], told: str, folder: Path) -> list[str]:
    path = speakers_file(told, folder)
    if path is None:
        raise DataError(
            f"`speakers` (={told}) is neither a file nor a pattern; name a file of paths and speakers, "
            "or give a pattern as {speaker}_{n}"
        )
    finder = Finder(names)
    found: dict[int, str] = {}
    for clip, speaker in _rows(path, finder):
        for place in finder.find(clip):
            if found.setdefault(place, speaker) != speaker:
                raise DataError(f"{path} gives {names[place]} two speakers, {found[place]} and {speaker}")
    unnamed = [name for place, name in enumerate(names) if place not in found]
    if unnamed:
        raise DataError(f"{path} has no speaker for {_some(unnamed)}; it must tell those of all clips, or of none")
    return [found[place] for place in range(len(names))]


def _rows(path: Path, finder: Finder) -> Iterator[tuple[str, str]]:
    """The path and speaker in each line. Raises DataError if the file is not such a table."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a file of clips and speakers ({error})") from None
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    separator = next((mark for mark in "\t,;" if lines and all(mark in line for line in lines[:2])), None)
    if separator:
        rows = [[part.strip() for part in row] for row in csv.reader(lines, delimiter=separator)]
    else:
        rows = [line.rsplit(maxsplit=1) for line in lines]
    at, of = 0, 1
    names = [part.lower() for part in rows[0]] if rows else []
    if any(name in _SPEAKER_COLUMNS for name in names) and not finder.find(rows[0][0]):
        of = next(place for place, name in enumerate(names) if name in _SPEAKER_COLUMNS)
        at = next((place for place, name in enumerate(names) if name in _PATH_COLUMNS and place != of), 1 - min(of, 1))
        rows = rows[1:]
    for row in rows:
        if len(row) <= max(at, of) or not row[of]:
            raise DataError(f"{path} has no speaker in the line {' '.join(row)!r}; a path and a speaker are wanted")
        yield row[at], row[of]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
