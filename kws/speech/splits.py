"""The split of each clip: from the lists that come with the data, else from the official rule on its speaker.

A recipe may want other splits (--split, --fold): kws.speech.dealing makes those.

The rule is that of Speech Commands (Warden, arXiv:1804.03209, section 6): all clips of a speaker share a split, and
a speaker's split never changes when clips are added. The published code takes the hash modulo 2^27; with 2^27 - 1, as
it is sometimes described, 4,031 of 11,916 clips of the official lists get another split. If the speaker is unknown, the
clip's own name replaces it, and one speaker's clips may be in several splits.

An existing list is complete: a clip that it does not name is not in its split. If a list names a clip that is missing
although its word is there, something is wrong with the list or the folder.
"""

import codecs
import hashlib
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kws.errors import DataError
from kws.events import TEST, TRAIN, VALIDATION
from kws.speech.names import Finder, without_ending

LISTS = {VALIDATION: "validation_list.txt", TEST: "testing_list.txt"}
VALIDATION_PERCENT, TEST_PERCENT = 10, 10
_HASHES = 2**27
_MARK = "_nohash_"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # as PowerShell writes text


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The split of each clip, and the entries of the lists that are not in the folder."""

    of: Sequence[str]  # in the order of the clips
    missing: Sequence[str]  # lines that name a missing clip of an existing word
    elsewhere: int  # number of clips in the lists whose words are not there


def speaker_of(file_name: str) -> str:
    """The speaker by the official rule: everything before "_nohash_", or the whole name if that is missing."""
    if "\n" not in file_name:
        return file_name.partition(_MARK)[0]
    return re.sub(r"_nohash_.*$", "", file_name)


def speaker_in(stem: str) -> str | None:
    """The speaker in a file name without ending, if it has the form SPEAKER_nohash_N of Speech Commands; else None."""
    speaker, _, number = stem.partition(_MARK)
    return speaker if speaker and number.isascii() and number.isdigit() else None


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


def split_by_name(name: str) -> str:
    """The split by the official rule of a clip for which only the name (word/.../file) is known.

    If the file name contains "_nohash_", as in Speech Commands, the speaker in it counts; otherwise the whole path
    below the word does.
    """
    return official_split(key_by_name(name))


def key_by_name(name: str) -> str:
    """What stands for the speaker of a clip (word/.../file) in the official rule, where only its name is known."""
    below = name.partition("/")[2]
    file_name = below.rpartition("/")[2]
    return speaker_of(f"{file_name if _MARK in file_name else below}.wav")


def read_lists(folder: Path) -> dict[str, list[str]]:
    """The lines of each list in the folder, by split; a split without a list is absent from the result.

    Raises DataError if a list cannot be read.
    """
    lists = {}
    for split, name in LISTS.items():
        path = list_path(folder, name)
        if path.exists() and not path.is_file():  # reading a pipe would block
            raise DataError(f"{path} cannot be read as a list of clips (it is no file)")
        try:
            data = path.read_bytes()
            text = data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as a list of clips ({error})") from None
        if "\0" in text:
            raise DataError(f"{path} cannot be read as a list of clips (it is neither UTF-8 nor marked as UTF-16)")
        lists[split] = [line for line in text.splitlines() if line.strip()]
    return lists


def list_path(folder: Path, name: str) -> Path:
    """The path of the file of that name in the folder, or of one whose name differs only in case."""
    if not (folder / name).exists():
        with suppress(OSError):
            return next((path for path in sorted(folder.iterdir()) if path.name.lower() == name), folder / name)
    return folder / name


def split_clips(
    names: Sequence[str], speakers: Sequence[str] | None, lists: dict[str, list[str]], folder: Path
) -> Splits:
    """The split of each of these clips, from the lines of the lists and the clips' speakers, if known.

    Raises DataError if two lists name the same clip.
    """
    finder = Finder(names)
    listed: dict[int, str] = {}
    missing, twice, absent = [], set(), {split: set[str]() for split in lists}
    for split, lines in lists.items():
        for line in lines:
            found = finder.find(line)
            twice |= {names[place] for place in found if listed.setdefault(place, split) != split}
            if not found and not line.startswith("#"):
                if finder.has_word(line):
                    missing.append(line.strip())
                else:
                    absent[split].add(without_ending(line.strip()))
    twice |= absent.get(VALIDATION, set()) & absent.get(TEST, set())
    if twice:
        more = f" and {len(twice) - 1:,} more clips stand" if len(twice) > 1 else " stands"
        raise DataError(
            f"{min(twice)}{more} in both {' and '.join(LISTS.values())} of {folder}; a clip can be in one split only"
        )
    if len(lists) == len(LISTS):
        of = [listed.get(place, TRAIN) for place in range(len(names))]
    else:
        rule = map(split_by_name, names) if speakers is None else map(official_split, speakers)
        by_rule = [TRAIN if split in lists else split for split in rule]
        of = [listed.get(place, split) for place, split in enumerate(by_rule)]
    return Splits(of=of, missing=missing, elsewhere=sum(map(len, absent.values())))


def shared_speakers(clips: Iterable[tuple[str, str]]) -> list[str]:
    """The speakers with clips in more than one split, from (split, speaker) pairs."""
    seen: dict[str, set[str]] = {}
    for split, speaker in clips:
        seen.setdefault(speaker, set()).add(split)
    return sorted(speaker for speaker, splits in seen.items() if len(splits) > 1)
