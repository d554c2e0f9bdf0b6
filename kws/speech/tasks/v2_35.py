"""v2-35: all 35 words of Speech Commands v0.02, a class each.

The protocol is that of de Andrade et al. (arXiv:1808.08929), whose 35-word task later papers report as V2-35: every
word of version 2 is a class, there is no "unknown" and no "silence", and splits are the official lists or rule. Warden
(arXiv:1804.03209) describes the words and the splits, but no figure on all 35. Recordings of noise are not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.recipe import config as options

if TYPE_CHECKING:
    from kws.speech.classes import Assigned
    from kws.speech.folder import Folder
    from kws.speech.progress import Track

ORDER = 3


def classes(config: options.Config) -> tuple[str, ...]:
    """The 35 words, in the order of the alphabet."""
    from kws.speech.published import ARCHIVES

    del config
    return ARCHIVES["speech-commands"].words


def assign(folder: Folder, config: options.Config, track: Track) -> Assigned:
    """All clips of the 35 words. Raises DataError if one has none."""
    from kws.speech import classes as made

    del track
    return made.assign(
        folder,
        classes(config),
        otherwise="--data speech-commands has all of them (2.4 GB), and --task words --words yes,no takes some",
    )
