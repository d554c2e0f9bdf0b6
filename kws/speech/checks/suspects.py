"""The clips of a report that someone should look at and listen to, as the network hears them.

At most 60 clips are shown in all, so that a page with their sounds stays below some MB. Kinds of suspects take turns,
the gravest first, until no place is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.errors import ClipError
from kws.speech.checks.leaks import Pair
from kws.speech.checks.report import Report
from kws.speech.clips import Clip
from kws.speech.decode import read_recording

if TYPE_CHECKING:
    import numpy as np

MOST = 60  # clips
_SIDE_BY_SIDE = 4  # clips of one sound


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A clip, why it is suspect, and what is heard: waveform (S,), and log-mel features (T, M)."""

    clip: Clip
    note: str
    waveform: np.ndarray
    features: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Suspects:
    """Suspects of one kind: in each row one, or those that are one recording; `more` rows are not shown."""

    title: str
    rows: list[list[Suspect]]
    more: int


def suspects(report: Report) -> list[Suspects]:
    """The suspects of a report, with their sounds. What can no longer be read is left out."""
    kinds = list(_kinds(report))
    taken, left = [0] * len(kinds), MOST
    while True:
        before = left
        for place, (_, rows) in enumerate(kinds):
            if taken[place] < len(rows) and len(rows[taken[place]]) <= left:
                left -= len(rows[taken[place]])
                taken[place] += 1
        if left == before:
            break
    found = []
    for (title, rows), count in zip(kinds, taken, strict=True):
        shown = [drawn for row in rows[:count] if (drawn := [*_drawn(report, row)])]
        found.append(Suspects(title=title, rows=shown, more=len(rows) - count))
    return found


def _kinds(report: Report) -> Iterator[tuple[str, list[list[tuple[str, str]]]]]:
    """Each kind's title, and its rows of (clip, note)."""
    wrong = report.labels.wrong if report.labels else []
    known = {True: "; it was trained on this clip", False: ""}
    kinds: list[tuple[str, list[list[tuple[str, str]]]]] = [
        (
            "Labels that the run contradicts",
            [
                [(each.clip, f"labelled {each.label}, heard as {each.hears} with {100 * each.probability:.1f} %"
                  f"{known[each.trained_on]}")]
                for each in wrong
            ],
        ),
        ("The same sound in two splits", [_same(names, report) for names in report.in_two_splits]),
        ("The same sound under two words", [_same(names, report) for names in report.in_two_words]),
        ("Copies of one recording", [_copy(pair) for pair in report.near_duplicates]),
        ("Pieces of one file that overlap", [_copy(pair) for pair in report.overlaps]),
        ("Silent", [[(name, "nothing above -60 dBFS")] for name in report.silent]),
        ("Channels that cancel each other", [[(name, "")] for name in report.channels_cancel]),
        ("Louder after the second that is heard", [[(name, "this second is heard")] for name in report.late]),
        ("Cut off", [[(name, f"at its {' and '.join(ends)}")] for name, ends in report.cut_off.items()]),
        ("Clipped", [[(name, "")] for name in (*report.clipped, *report.beyond_full_scale)]),
        ("The quietest that are not silent", [[(name, "")] for name in report.quietest]),
    ]  # fmt: skip
    yield from ((title, rows) for title, rows in kinds if rows)


def _same(names: Sequence[str], report: Report) -> list[tuple[str, str]]:
    """The clips of one sound; names may have their splits behind them."""
    bare = [name if name in report.clips else name.rpartition(" (")[0] for name in names]
    more = len(bare) - _SIDE_BY_SIDE
    return [(name, f"and {more:,} more" if more > 0 else "") for name in bare[:_SIDE_BY_SIDE]]


def _copy(pair: Pair) -> list[tuple[str, str]]:
    if pair.correlation is None:
        return [(name, f"begins {abs(pair.shift_ms):.0f} ms apart") for name in pair.clips]
    return [(name, f"correlation {pair.correlation:.2f}, {abs(pair.shift_ms):.0f} ms apart") for name in pair.clips]


def _drawn(report: Report, row: Sequence[tuple[str, str]]) -> Iterator[Suspect]:
    import torch

    from kws.speech.features import log_mel

    for name, note in row:
        with suppress(ClipError):
            waveform = read_recording(*report.clips[name].place).waveform
            features = log_mel(torch.from_numpy(waveform)[None])[0].numpy()
            yield Suspect(clip=report.clips[name], note=note, waveform=waveform, features=features)
