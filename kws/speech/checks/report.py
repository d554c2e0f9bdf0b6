"""Report: what a data set holds, and what is not in order in it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from kws.events import SPLITS
from kws.recipe import TASK, Config
from kws.speech.checks.confounds import Confound
from kws.speech.checks.labels import Judged
from kws.speech.checks.leaks import Pair
from kws.speech.checks.spread import Spread
from kws.speech.classes import Assigned
from kws.speech.clips import Clip

SCHEMA = 3  # of the record: since 3, `durations` has what `seconds` had, and a leak between splits makes data unusable


@dataclass(frozen=True, kw_only=True)
class TaskCounts:
    """What a task makes of a source: the clips of each class, and how many are not used, by reason."""

    name: str
    title: str
    counts: dict[str, dict[str, int]]  # class -> split -> clips
    not_used: dict[str, int]

    @classmethod
    def of(cls, task: Config, found: Assigned) -> TaskCounts:
        """The counts of what was assigned."""
        labels = Counter((clip.label, clip.split) for clip in found.clips)
        counts = {name: {split: labels[label, split] for split in SPLITS} for label, name in enumerate(found.classes)}
        return cls(name=task.NAME, title=TASK.title(task.NAME), counts=counts, not_used=dict(found.not_used))

    @property
    def lacking(self) -> list[str]:
        """The classes that have no clips in a split, with the split."""
        return [f"{name} ({split})" for name, of in self.counts.items() for split, clips in of.items() if not clips]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do: what is not in order, how often, and what to do, as one sentence."""

    what: str
    count: int
    step: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a source holds, and the names of the clips that have problems."""

    source: str
    folder: str
    files: int  # used clips and unused files
    used: int
    unused: dict[str, list[str]]  # reason -> paths
    lists: list[str]  # splits with a list; the others follow the official rule
    elsewhere: int  # clips in the lists whose words are not in the folder
    found: str  # the layout, how many splits it gives, and how many clips
    said: list[str]  # what else is to be known of how it was read, as which words were joined
    split_by: str  # what says which split a clip is in
    one_word: list[list[str]]  # folders whose names count as one word
    counts: dict[str, dict[str, int]]  # word -> split -> clips
    speakers: dict[str, int] | None  # split -> speakers; None if they are unknown
    word_speakers: dict[str, int] | None  # word -> speakers
    durations: Spread | None  # in seconds, of whole recordings; None if no clip can be read
    rates_hz: dict[int, int]  # rate -> clips
    level_dbfs: Spread | None  # root mean square of what is heard; without silent clips, as the next three
    peak_dbfs: Spread | None
    quietest: list[str]  # a few clips
    loudest: list[str]
    longer: int  # clips of over a second; only one second is used
    short: list[str]
    silent: list[str]
    clipped: list[str]
    beyond_full_scale: list[str]
    channels_cancel: list[str]
    late: list[str]
    cut_off: dict[str, list[str]]  # clip -> where the word runs into the border: beginning, end
    duplicated: list[list[str]]
    in_two_splits: list[list[str]]  # the same sound, but for silence
    in_two_words: list[list[str]]
    near_duplicates: list[Pair]  # one recording, in two splits or under two words
    overlaps: list[Pair]  # pieces of one file, in two splits or under two words
    unreadable: dict[str, str]  # clip -> why
    shared_speakers: list[str] | None  # None if they are unknown
    missing: list[str]  # in a list and of an existing word, but not in the folder
    confounds: list[Confound]
    task: TaskCounts | None = None  # if one was asked for
    labels: Judged | None = None  # if a run was asked for
    first: list[Step] = field(default_factory=list)  # what to do first
    clips: dict[str, Clip] = field(default_factory=dict, repr=False)  # by name; not in the record

    @property
    def copies(self) -> list[Pair]:
        """Near-duplicates and pieces that overlap."""
        return [*self.near_duplicates, *self.overlaps]

    @property
    def split_leaks(self) -> int:
        """How many sounds, and pairs of clips of one recording, are in two splits."""
        return len(self.in_two_splits) + sum(pair.crosses_splits for pair in self.copies)

    @property
    def word_leaks(self) -> int:
        """How many sounds, and pairs of clips of one recording, are under two words."""
        return len(self.in_two_words) + sum(pair.crosses_words for pair in self.copies)

    @property
    def unusable(self) -> bool:
        """Whether training on it would fail, or give meaningless figures."""
        lacking = self.task and self.task.lacking
        return bool(self.unreadable or self.shared_speakers or self.missing or lacking or self.split_leaks)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        made = {
            each.name: _plain(getattr(self, each.name)) for each in dataclasses.fields(self) if each.name != "clips"
        }
        return {"schema": SCHEMA, "unusable": self.unusable} | made


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value
