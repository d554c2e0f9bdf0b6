"""mini-8: the eight words of mini-speech-commands, a class each.

The words and classes, in the order of the alphabet, are those of TensorFlow's tutorial "Simple audio recognition:
Recognizing keywords": no "unknown" and no "silence". It differs in the splits: the tutorial shuffles the 8,000 clips of
mini-speech-commands (80, 10 and 10 %), so that a speaker may be in several splits, which flatters accuracy; here they
are by the official lists or rule, each speaker in one. All clips of the eight words that the folder has are used: of
the full Speech Commands, several times as many as the tutorial's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.recipe import config as options

if TYPE_CHECKING:
    from kws.speech.classes import Assigned
    from kws.speech.folder import Folder
    from kws.speech.progress import Track

ORDER = 4


def classes(config: options.Config) -> tuple[str, ...]:
    """The eight words."""
    from kws.speech.published import ARCHIVES

    del config
    return ARCHIVES["mini-speech-commands"].words


def assign(folder: Folder, config: options.Config, track: Track) -> Assigned:
    """All clips of the eight words. Raises DataError if one has none."""
    from kws.speech import classes as made

    del track
    return made.assign(
        folder,
        classes(config),
        otherwise="--data mini-speech-commands has all of them (0.2 GB), and --task words --words yes,no takes some",
    )
