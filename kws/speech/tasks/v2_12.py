"""v2-12: ten words, "unknown" and "silence", the task that Speech Commands was published with.

The protocol is Warden's (arXiv:1804.03209, its "top-one error") and that of the code published with it, the
speech_commands example of TensorFlow: ten words, "unknown" for all others and "silence" for none, the latter two each a
tenth as large as the ten words together; splits by the official lists or rule; and, for figures that can be compared,
the official test archive (speech_commands_test_set_v0.02.tar.gz, 4,890 clips in a folder a class), which --test-data
names. The test split then is that archive, whole.

Where it differs:
- "unknown" is fixed. There it is drawn by a seeded shuffle whose result depends on the order of files on the disk; here
  by the clips' names (see kws.speech.classes), the same for every seed, run and machine.
- "silence" is cut from the noise recordings at fixed places and at their own level (see kws.speech.silence), and no two
  splits share a moment of one. There each clip is a part of any recording, drawn anew each time it is used, at a volume
  drawn from 0 to 1. Recordings in a folder `_silence_`, as the official archive has it, are used as they are.
- Without --test-data, the test split is made of the folder by the same rules as the others; figures then are not those
  of the official archive, and the data's fingerprint is another.
- Nothing is mixed into clips, nor are they shifted, unless an augmentation does that.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.errors import DataError, RecipeError
from kws.recipe import option
from kws.recipe.config import PLACE

if TYPE_CHECKING:
    from kws.speech.classes import Assigned
    from kws.speech.folder import Clip, Folder
    from kws.speech.progress import Track

ORDER = 2
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE = "unknown", "silence"
SHARE = 10  # percent of the words' clips


def is_named(field: str, value: str) -> None:
    """A check: not empty. Raises RecipeError."""
    if not value.strip():
        raise RecipeError(f"`{field}` is empty; name the folder of the official test archive, or leave it out")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the test split comes from."""

    test_data: str | None = option(
        None,
        "The test split, instead of the data's own: the official test archive's folder, or `speech-commands-test`.",
        metavar="SOURCE",
        role=PLACE,
        check=is_named,
        absent=None,
    )


def classes(config: Config) -> tuple[str, ...]:
    """The ten words, "unknown" and "silence"."""
    del config
    return (*WORDS, UNKNOWN, SILENCE)


def assign(folder: Folder, config: Config, track: Track) -> Assigned:
    """The clips of the twelve classes. Raises DataError if one of them cannot be made."""
    from kws.events import NOISE, TEST
    from kws.speech import classes

    found = classes.assign(
        folder,
        WORDS,
        rest=UNKNOWN,
        silence=SILENCE,
        size=lambda clips: -(-clips * SHARE // 100),
        otherwise="--data speech-commands has all of it (2.4 GB), and --task words --words yes,no takes other words",
    )
    if config.test_data is None:
        return found
    test, left = _test_clips(folder, config.test_data, track)
    kept = [clip for clip in found.clips if clip.split != TEST]
    own = Counter({classes.OWN_TEST: sum(clip.split == TEST and clip.word != NOISE for clip in found.clips)})
    not_used = {why: count for why, count in (Counter(found.not_used) + own + left).items() if count}
    return classes.Assigned(classes=found.classes, clips=classes.in_order([*kept, *test]), not_used=not_used)


def _test_clips(folder: Folder, test_data: str, track: Track) -> tuple[list[Clip], Counter[str]]:
    """The clips of the official test archive with their labels, and how many others lie there, by reason."""
    from kws.events import NO_WORDS, TEST
    from kws.speech import sources
    from kws.speech.classes import LEFT_OUT
    from kws.speech.folder import read_folder
    from kws.speech.names import labels_of, without_ending
    from kws.speech.splits import speaker_in

    source = sources.locate(test_data, track=track)
    if os.path.realpath(source.folder) == os.path.realpath(folder.place):
        raise DataError(f"`test_data` (={test_data}) is the folder that is trained on; leave it out, or name another")
    if source.is_arrays:
        raise DataError(f"`test_data` (={test_data}) holds arrays, not recordings; name the official test archive")
    there = read_folder(source.place, align=folder.align)
    wanted = (*WORDS, *NO_WORDS)
    labels = labels_of(sorted({clip.word for clip in there.clips}), wanted)
    if missing := [word for label, word in enumerate(wanted) if label not in labels.values()]:
        raise DataError(
            f"`test_data` (={test_data}) has no folder {', '.join(missing)}; the official test archive has one for "
            f"each class ({', '.join(wanted)}), and without --test-data the test split comes from --data"
        )
    found = []
    for clip in there.clips:
        if clip.word in labels:
            silent = labels[clip.word] == len(wanted) - 1
            stem = without_ending(clip.file_name.rpartition("/")[2])
            speaker = f"{NO_WORDS[1]}/{clip.file_name}" if silent else clip.speaker or speaker_in(stem)
            found.append(clip._replace(split=TEST, label=labels[clip.word], of=source.folder.name, speaker=speaker))
    return found, Counter({LEFT_OUT: len(there.clips) - len(found)})
