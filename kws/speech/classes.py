"""Which class each clip belongs to: what the tasks (kws/speech/tasks) are made of.

Decisions:
- Words become classes in the order given. Names that differ only in case, spaces or Unicode composition ("Yes" beside
  "yes") are one word.
- What is drawn from all other words is drawn by the clips' names alone (the smallest SHA-256 first), so every run, seed
  and machine has the same ones. In layouts other than one folder per word it is drawn by the digests of their files.
- Words that are left out, and their inflections, are neither drawn nor otherwise used (see kws.speech.unheard).
- A folder "_unknown_" or "_silence_" is that class ready made, and used whole, where a task has such a class.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kws.errors import DataError
from kws.events import NO_WORDS, OTHER, SPLITS, UNKNOWN
from kws.recipe.wording import listed
from kws.speech import silence as noise
from kws.speech.folder import Clip, Folder
from kws.speech.names import labels_of, without_ending
from kws.speech.recognise import folder_above
from kws.speech.splits import LISTS
from kws.speech.unheard import kept_apart

NOT_DRAWN = f"not drawn for {OTHER!r}"
LEFT_OUT = "of words that the task leaves out"
NEVER_HEARD = "of words that --leave-out keeps from training"
OWN_TEST = "of its own test split, which --test-data replaces"
# How reasons begin that are the task's, and no fault of the folder.
BY_TASK = ("not drawn for ", LEFT_OUT, OWN_TEST, NEVER_HEARD)
_UNKNOWN_FOLDER, _SILENCE_FOLDER = NO_WORDS


@dataclass(frozen=True, kw_only=True)
class Assigned:
    """What a task makes of a folder: its classes, the clips used, and how many are not, by reason.

    Clips have their labels, and are ordered by split, label and name.
    """

    classes: tuple[str, ...]
    clips: list[Clip]
    not_used: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls, classes: tuple[str, ...], clips: list[Clip], *, not_used: int, because: str, never_heard: int = 0
    ) -> Assigned:
        """Clips that are in order; `because` is the reason for those that are not used, but for the `never_heard`."""
        reasons = {because: not_used, NEVER_HEARD: never_heard}
        return cls(classes=classes, clips=clips, not_used={why: count for why, count in reasons.items() if count})


def assign(
    folder: Folder,
    words: tuple[str, ...],
    *,
    otherwise: str,
    rest: str | None = None,
    silence: str | None = None,
    size: Callable[[int], int] = lambda _: 0,
    leave_out: tuple[str, ...] = (),
    most: int | None = None,
) -> Assigned:
    """The words' clips and, as classes of those names if given, what is drawn from all other words, and silence.

    `size` gives the clips of such a class in a split from the words' own there; with `most`, all clips of other words
    are used up to so many in a split. Silence is cut from the folder's noise
    recordings (see kws.speech.silence). Raises DataError for what is missing; it says what else to do as `otherwise`
    has it.
    """
    clips, place = folder.clips, folder.place
    labels = labels_of(sorted({clip.word for clip in clips}), words)
    if missing := [word for label, word in enumerate(words) if label not in labels.values()]:
        hint = _above(place, words) or where_words_are(clips, words) or otherwise
        raise DataError(f"{place} has no recordings of {listed(map(repr, missing))}; {hint}")
    classes = (*words, *(name for name in (rest, silence) if name))
    used = [clip.labelled(labels[clip.word]) for clip in clips if clip.word in labels]
    counts = Counter(clip.split for clip in used)
    wanted = {split: size(counts[split]) for split in SPLITS}
    clips, apart = kept_apart(clips, leave_out, words, place)
    others = [clip for clip in clips if clip.word not in labels]
    if silence:
        ready = [clip for clip in others if clip.word == _SILENCE_FOLDER]
        others = [clip for clip in others if clip.word != _SILENCE_FOLDER]
        cut = ready or noise.cut(folder, wanted, otherwise)
        used += [clip.labelled(classes.index(silence)) for clip in cut]
    if rest:
        if not others:
            raise DataError(f"{place} has no words for {rest!r} besides {listed(map(repr, words))}; {otherwise}")
        ready = [clip for clip in others if rest == UNKNOWN and clip.word == _UNKNOWN_FOLDER]
        taken = ready or drawn(others, wanted if most is None else dict.fromkeys(SPLITS, most))
        used += [clip.labelled(classes.index(rest)) for clip in taken]
        left = {"not_used": len(others) - len(taken), "never_heard": len(apart)}
        return Assigned.of(classes, in_order(used), because=f"not drawn for {rest!r}", **left)
    if len(classes) < 2:
        raise DataError(_alone(place, words[0]))
    return Assigned.of(classes, in_order(used), not_used=len(others), because=LEFT_OUT)


def draw_classes(clips: Sequence[Clip], words: tuple[str, ...], place: Path) -> tuple[tuple[str, ...], list[Clip]]:
    """The report's classes, and the used clips with their labels: the words', and as many of "other" as of a word.

    Without other words there is no "other". Raises DataError if the folder lacks a word, or if there are fewer than two
    classes.
    """
    there = sorted({clip.word for clip in clips})
    labels = labels_of(there, words)
    for label, word in enumerate(words):
        if label not in labels.values():
            hint = _above(place, words) or where_words_are(clips, words)
            hint = hint or f"it has {', '.join(there)}; choose among them with --words"
            raise DataError(f"{place} has no recordings of {word!r}; {hint}")
    others = [clip for clip in clips if clip.word not in labels]
    classes = (*words, OTHER) if others else words
    if len(classes) < 2:
        raise DataError(_alone(place, words[0]))
    used = [clip.labelled(labels[clip.word]) for clip in clips if clip.word in labels]
    counts = Counter(clip.split for clip in used)
    used += [clip.labelled(len(words)) for clip in drawn(others, {s: mean_of(words)(counts[s]) for s in SPLITS})]
    return classes, in_order(used)


def mean_of(words: Sequence[str]) -> Callable[[int], int]:
    """As many clips as a word has on average."""
    return lambda clips: round(clips / len(words))


def drawn(clips: Sequence[Clip], wanted: Mapping[str, int]) -> list[Clip]:
    """So many of these clips in each split, or all where there are fewer: those with the least digests.

    Digests are of their names, or of their files (see Clip.drawn_by).
    """
    found = []
    for split in SPLITS:
        mine = sorted((clip for clip in clips if clip.split == split), key=lambda clip: clip.drawn_by)
        found += mine[: wanted[split]]
    return found


def in_order(clips: Sequence[Clip]) -> list[Clip]:
    """The clips in the order of training: by split, label and name."""
    place = {split: number for number, split in enumerate(SPLITS)}
    return sorted(clips, key=lambda clip: (place[clip.split], clip.label, clip.order))


def _alone(place: Path, word: str) -> str:
    return f"{place} holds the word {word!r} alone; at least one other word is needed to tell it from"


def _above(place: Path, words: tuple[str, ...]) -> str:
    """Advice for a word's own folder; "" for one that is not called like a word."""
    if not labels_of([place.resolve().name], words):
        return ""
    return f"it is called like a word: name the folder above: --data {folder_above(place)}"


def where_words_are(clips: Sequence[Clip], words: tuple[str, ...]) -> str:
    """Advice for missing words whose folders lie deeper; "" where there are none."""
    above = set()
    for clip in clips:
        parts = clip.name.split("/")[:-1]
        for place in range(1, len(parts)):
            if parts[place : place + 1] and labels_of([parts[place]], words):
                above.add("/".join(parts[:place]))
    if not above:
        return _in_file_names(clips, words)
    some = ", ".join(sorted(above)[:3])
    lists = f"; splits are told by {' and '.join(LISTS.values())} there" if len(above) > 1 else ""
    return f"folders of such a name lie in {some}: give --data the folder that holds the words' folders{lists}"


def _in_file_names(clips: Sequence[Clip], words: tuple[str, ...]) -> str:
    """Advice for missing words that are parts of file names; "" where there are none."""
    for clip in clips:
        parts = re.split(r"[\W_]+", without_ending(clip.file_name.rpartition("/")[2]))
        if labels_of(parts, words):
            return (
                f"file names may hold the words, as {clip.word}/{clip.file_name} does: say how they are made, as in "
                '--pattern "{label}_{speaker}_{n}"'
            )
    return ""
