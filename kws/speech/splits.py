"""Which split a clip belongs to: by the lists that come with the data, else by the official rule on its speaker.

The rule is that of Speech Commands (Warden, arXiv:1804.03209, section 6): all clips of a speaker share a split, and
a speaker's split never changes when clips are added. The published code takes the hash modulo 2^27; with 2^27 - 1, as
it is sometimes described, 4,031 of 11,916 clips of the official lists come out in another split.
"""

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from kws.data_card import TEST, TRAIN, VALIDATION
from kws.errors import DataError

LISTS = {VALIDATION: "validation_list.txt", TEST: "testing_list.txt"}
VALIDATION_PERCENT, TEST_PERCENT = 10, 10
_HASHES = 2**27


def speaker_of(file_name: str) -> str:
    """The speaker in a file's name: what stands before "_nohash_"; the whole name where that is missing."""
    return re.sub(r"_nohash_.*$", "", file_name)


def speaker_in(file_name: str) -> str | None:
    """The speaker in a file name made as Speech Commands makes it; None for any other name."""
    speaker, mark, _ = file_name.partition("_nohash_")
    return speaker if mark and speaker else None


@cache
def official_split(speaker: str) -> str:
    """The speaker's split by the official rule: SHA-1 of the name, 10 % validation, 10 % test, the rest training."""
    share = (
        int(hashlib.sha1(speaker.encode("utf-8", "surrogateescape")).hexdigest(), 16)
        % _HASHES
        * (100.0 / (_HASHES - 1))
    )
    if share < VALIDATION_PERCENT:
        return VALIDATION
    return TEST if share < VALIDATION_PERCENT + TEST_PERCENT else TRAIN


def read_lists(folder: Path) -> dict[str, frozenset[str]]:
    """The clips that each list in the folder names, as "word/file" without the ending, by split.

    A split without a list is absent from the result. Raises DataError for a list that cannot be read, or two lists
    that name the same clip.
    """
    lists: dict[str, frozenset[str]] = {}
    for split, name in LISTS.items():
        try:
            lines = (folder / name).read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{folder / name} cannot be read as a list of clips ({error})") from None
        lists[split] = frozenset(without_ending(line.strip()) for line in lines if line.strip())
    twice = lists.get(VALIDATION, frozenset()) & lists.get(TEST, frozenset())
    if twice:
        raise DataError(
            f"{min(twice)} and {len(twice) - 1} more clips stand in both {' and '.join(LISTS.values())} of {folder}; "
            "a clip can be in one split only"
        )
    return lists


def split_of(word: str, file_name: str, lists: dict[str, frozenset[str]]) -> str:
    """The split of a clip: that of the list which names it; where a split has no list, the official rule."""
    clip = without_ending(f"{word}/{file_name}")
    for split, clips in lists.items():
        if clip in clips:
            return split
    by_rule = TRAIN if len(lists) == len(LISTS) else official_split(speaker_of(without_ending(file_name) + ".wav"))
    return TRAIN if by_rule in lists else by_rule


def without_ending(name: str) -> str:
    """A clip's name without its ending, so that a list of .wav files also fits the same clips kept as FLAC."""
    stem, dot, _ = name.rpartition(".")
    return stem if dot else name


def shared_speakers(clips: Iterable[tuple[str, str]]) -> list[str]:
    """The speakers, of (split, file name) pairs, whose clips are in more than one split."""
    seen: dict[str, set[str]] = {}
    for split, file_name in clips:
        seen.setdefault(speaker_of(file_name), set()).add(split)
    return sorted(speaker for speaker, splits in seen.items() if len(splits) > 1)
