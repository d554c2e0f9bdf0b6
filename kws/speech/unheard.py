"""Words that are left out of training: which clips are theirs, for a test of what a network makes of unknown words.

Decisions:
- A word that is left out is left out of every split: all its clips in training, validation and test. What a detector
  does with words that it never heard is then measured on clips of the same speakers and microphones as everything else,
  and neither the network nor its thresholds have seen any of these words.
- Its inflections ("going" for "go") are left out, too, wherever they are: they begin with the same sounds.
- Their clips stay in their splits, as a data set of their own whose every clip is of "other". A network's answers on
  its validation and training clips are what a remedy may be chosen by; those on its test clips are the test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from kws.errors import DataError
from kws.events import NO_WORDS
from kws.speech.folder import Clip, read_folder
from kws.speech.names import folded, labels_of
from kws.speech.sources import locate

_ENDINGS = ("s", "es", "ed", "d", "ing", "er", "ers", "est", "ly", "ings", "'s")
_DOUBLED = ("ed", "ing", "er", "ers", "est", "ings")  # before which a last consonant is doubled, as in "stopping"
_VOWELS = "aeiou"


def is_form_of(word: str, of: str) -> bool:
    """Whether a word is another one or an inflection of it by the rules of English; irregular ones are not known."""
    word, of = folded(word), folded(of)
    if word == of:
        return True
    stems: list[tuple[str, tuple[str, ...]]] = [(of, _ENDINGS)]
    if len(of) > 1 and of[-1] not in _VOWELS:
        stems.append((of + of[-1], _DOUBLED))
    if of.endswith("e"):
        stems.append((of[:-1], _DOUBLED))
    if of.endswith("y"):
        stems.append((of[:-1], ("ies", "ied", "ier", "iest")))
    return any(word == stem + ending for stem, endings in stems for ending in endings)


def is_form_of_any(word: str, of: Iterable[str]) -> bool:
    """Whether a word is one of these or an inflection of one."""
    return any(is_form_of(word, each) for each in of)


def kept_apart(
    clips: Sequence[Clip], leave_out: Sequence[str], keywords: Sequence[str], place: Path
) -> tuple[list[Clip], list[Clip]]:
    """The clips that may be used, and those of words that are left out and of their inflections.

    Raises DataError for a word that has no clips or is a keyword, and where no other word is left.
    """
    if not leave_out:
        return [*clips], []
    others = _others(clips, leave_out, keywords, place)
    apart = {word for word in others if is_form_of_any(word, leave_out)}
    if not {*others} - apart:
        raise DataError(
            f"{place} has no other words than {', '.join(leave_out)}; leave out fewer, for a network needs some to "
            "tell its keywords from"
        )
    return [clip for clip in clips if clip.word not in apart], [clip for clip in clips if clip.word in apart]


def clips_of(clips: Sequence[Clip], leave_out: Sequence[str], keywords: Sequence[str], place: Path) -> list[Clip]:
    """The clips of the words that are left out, without those of inflections. Raises DataError as kept_apart()."""
    words = labels_of(_others(clips, leave_out, keywords, place), leave_out)
    return [clip for clip in clips if clip.word in words]


def _others(clips: Sequence[Clip], leave_out: Sequence[str], keywords: Sequence[str], place: Path) -> list[str]:
    """The words that are no keywords. Raises DataError for one that is left out and is none of them."""
    there = sorted({clip.word for clip in clips} - {*NO_WORDS})
    others = [word for word in there if word not in labels_of(there, keywords)]
    found = labels_of(others, leave_out)
    for label, word in enumerate(leave_out):
        if label not in found.values():
            what = "is a keyword" if word in keywords else f"has no recordings in {place}"
            raise DataError(
                f"`leave_out` (={','.join(leave_out)}) has {word!r}, which {what}; other words are {', '.join(others)}"
            )
    return others


def other_words(data: str, keywords: Sequence[str]) -> list[str]:
    """The words of a data source that are no keywords. Raises DataError for one that cannot be read, or has none."""
    source = locate(data)
    if source.is_arrays:
        raise DataError(f"--leave-out needs recordings in folders named after their words, and {data} holds arrays")
    return _others(read_folder(source.place).clips, (), keywords, source.folder)


def groups(words: Sequence[str]) -> list[tuple[str, ...]]:
    """The words in pairs, each word in one: those of the first half of the alphabet with those of the second.

    So words that look alike are apart. Of an odd number the last three are together. Raises DataError for fewer than
    four words, of which none could be left out while another pair is trained on.
    """
    ordered = sorted(words)
    if len(ordered) < 4:
        raise DataError(
            f"to turn through pairs of words needs four other words or more, and there are {len(ordered)} "
            f"({', '.join(ordered)}); name words, as in --leave-out {ordered[0] if ordered else 'go'}"
        )
    half = len(ordered) // 2
    found: list[tuple[str, ...]] = [(ordered[i], ordered[half + i]) for i in range(half)]
    return found if len(ordered) % 2 == 0 else [*found[:-1], (*found[-1], ordered[-1])]
