"""Gives the clips of a folder the classes of a run, of whose words the folder may have some alone.

Decisions:
- Whoever evaluates a network on recordings of their own seldom has all of its words. Where a task finds everything that
  it needs, its clips are those that it takes in training; else what is there is used, each clip of the run's class.
- A word that the run does not know is of its class of other words, if it has one, drawn as in training: in each split
  as many clips as one of the run's words that are there has on average. Where none of these is there, all are used.
- Without such a class, clips of unknown words are not used, and are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kws.errors import DataError
from kws.events import NO_WORDS, OTHER, SILENCE, SPLITS, UNKNOWN, keywords_of
from kws.recipe import Config
from kws.speech import classes as made
from kws.speech import silence as noise
from kws.speech.classes import LEFT_OUT, Assigned
from kws.speech.folder import Clip, Folder
from kws.speech.names import labels_of
from kws.speech.unheard import is_form_of_any

_UNKNOWN_FOLDER, _SILENCE_FOLDER = NO_WORDS


def assigned_partly(folder: Folder, task: Config, classes: tuple[str, ...]) -> Assigned:
    """The clips of a folder that are of one of these classes, which a run of this task tells apart.

    Raises DataError where there are none.
    """
    words: tuple[str, ...] = getattr(task, "words", None) or keywords_of(classes)
    rest = next((name for name in (OTHER, UNKNOWN) if name in classes and name not in words), None)
    there = sorted({clip.word for clip in folder.clips})
    labels = labels_of(there, words)
    keywords = [clip.labelled(classes.index(words[labels[clip.word]])) for clip in folder.clips if clip.word in labels]
    if not keywords and (hint := made.where_words_are(folder.clips, words)):
        raise DataError(f"{folder.place} has no recordings of {', '.join(words)}; {hint}")
    counts = Counter(clip.split for clip in keywords)
    present = len({clip.label for clip in keywords})
    wanted = {split: round(counts[split] / present) if present else len(folder.clips) for split in SPLITS}
    others, apart = _others(folder, labels, task)
    silent: list[Clip] = []
    if SILENCE in classes and SILENCE not in words:
        silent = [clip for clip in others if clip.word == _SILENCE_FOLDER]
        others = [clip for clip in others if clip.word != _SILENCE_FOLDER]
        if not silent and present and noise.has_recordings(folder):
            silent = noise.cut(folder, wanted, "")
        silent = [clip.labelled(classes.index(SILENCE)) for clip in silent]
    taken: list[Clip] = []
    if rest:
        ready = [clip for clip in others if rest == UNKNOWN and clip.word == _UNKNOWN_FOLDER]
        taken = [clip.labelled(classes.index(rest)) for clip in ready or made.drawn(others, wanted)]
    used = [*keywords, *silent, *taken]
    if not used:
        raise DataError(
            f"{folder.place} has no recordings of {', '.join(words)}; it has {', '.join(there)}, which the run does "
            "not tell apart; name other data"
        )
    because = f"not drawn for {rest!r}" if rest else LEFT_OUT
    return Assigned.of(
        classes, made.in_order(used), not_used=len(others) - len(taken), because=because, never_heard=len(apart)
    )


def _others(folder: Folder, labels: dict[str, int], task: Config) -> tuple[list[Clip], list[Clip]]:
    """The clips of no keyword that may be used, and those of words that the task keeps from training."""
    leave_out: Sequence[str] = getattr(task, "leave_out", ())
    clips = [clip for clip in folder.clips if clip.word not in labels]
    apart = {word for word in {clip.word for clip in clips} - {*NO_WORDS} if is_form_of_any(word, leave_out)}
    return [clip for clip in clips if clip.word not in apart], [clip for clip in clips if clip.word in apart]
