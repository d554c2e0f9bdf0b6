"""Kaldi's data folder: wav.scp with text, and utt2spk and segments where they are there, or such a folder a split.

Decisions:
- The text of an utterance is its label, all words of it.
- An entry of wav.scp that is a command (it ends with "|") is counted, and never run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.speech import tables
from kws.speech.found import Found, Row, splits_named
from kws.speech.walk import COMMAND, NO_LABEL, UNREAD

if TYPE_CHECKING:
    from kws.speech.recognise import Seen
    from kws.speech.tree import Tree

TITLE, ORDER = "Kaldi's wav.scp with text", 1
EXAMPLE = "wav.scp (utt1 clips/1.wav) with text (utt1 yes) and utt2spk (utt1 anna)"
_SCP, _TEXT, _SPEAKERS, _SEGMENTS = "wav.scp", "text", "utt2spk", "segments"


def find(tree: Tree) -> Found | None:
    """The utterances of the folder, or of its splits' folders; None without a wav.scp and a text beside it."""
    if tree.is_manifest and tree.place.name != _SCP:
        return None
    splits = {} if _is_there(tree, "") else splits_named(tree.folders)
    places = [f"{name}/" for name in splits if _is_there(tree, f"{name}/")] or [""]
    if not _is_there(tree, places[0]):
        return None
    rows: list[Row] = []
    lines: dict[str, list[str]] = {}
    read: list[str] = []
    for place in places:
        _read(tree, place, splits.get(place.rstrip("/")), rows, lines, read)
    return Found(title=TITLE, rows=rows, read=tuple(read), otherwise="not in wav.scp", lines=lines)


def likeness(seen: Seen) -> int:
    """One of its files."""
    return 9 if seen.has(_SCP, _SPEAKERS) else 0


def _is_there(tree: Tree, place: str) -> bool:
    return all((tree.folder / f"{place}{name}").is_file() for name in (_SCP, _TEXT))


def _read(
    tree: Tree, place: str, split: str | None, rows: list[Row], lines: dict[str, list[str]], read: list[str]
) -> None:
    """Add one folder's utterances, its lines that name none, and the files read."""

    def entries(name: str, least: int) -> dict[str, tuple[str, str]]:
        """The rest of each line by its first word, and where the line is."""
        if not (tree.folder / f"{place}{name}").is_file():
            return {}
        read.append(f"{place}{name}")
        found = {}
        for number, line in enumerate(tables.text_of(tree.folder / f"{place}{name}").split("\n"), start=1):
            parts = line.split(maxsplit=1)
            if not parts:
                continue
            if len(parts) < least or len(line) > tables.MOST_LINE or "\0" in line:
                lines.setdefault(UNREAD, []).append(f"{place}{name}:{number}")
            else:
                found[parts[0]] = (parts[1].strip() if len(parts) > 1 else "", f"{place}{name}:{number}")
        return found

    recordings, texts, speakers = entries(_SCP, 2), entries(_TEXT, 1), entries(_SPEAKERS, 2)
    segments = entries(_SEGMENTS, 2)
    utterances = segments or {name: (name, line) for name, (_, line) in recordings.items()}
    commands = {name for name, (path, _) in recordings.items() if path.endswith("|") or path.startswith("|")}
    for name in sorted(commands):
        lines.setdefault(COMMAND, []).append(recordings[name][1])
    for name, (about, line) in utterances.items():
        recording, *times = about.split()
        if recording in commands:
            continue
        try:
            start, end = (tables.seconds(time) for time in (times[:2] if times else ("", "")))
        except ValueError:
            start, end = 1.0, 0.0
        if recording not in recordings or (end is not None and end <= (start or 0)):
            lines.setdefault(UNREAD, []).append(line)
        elif not texts.get(name, ("",))[0]:
            lines.setdefault(NO_LABEL, []).append(line)
        else:
            speaker = speakers.get(name, (None,))[0]
            path = recordings[recording][0]
            rows.append(Row(path, texts[name][0], split, speaker, start or None, end, place, line))
