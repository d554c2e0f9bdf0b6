"""Under which licence data is, and whom to name: what a file with a network that was trained on it has to say.

Decisions:
- Speech Commands and its excerpts are known by name, where kws fetched them, and else by their clips: each is called
  as Speech Commands calls it, eight hexadecimal digits of its speaker, and is of one of its words. A folder may be
  called anything.
- The built-in speech is made by a program from a list of words, and nobody has rights in it.
- Of all other data nothing is known, and nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from kws.events import NOISE
from kws.speech.published import ARCHIVES
from kws.speech.synthetic import NAME as SYNTHETIC


class Licence(NamedTuple):
    """A licence by its usual name, and the sentence that names the authors."""

    name: str
    attribution: str

    def with_unknown_clips(self) -> Licence:
        """The same where clips of a further folder were trained on as well (`kws train --also`)."""
        return Licence(f"{self.name}, and unknown", f"{self.attribution} Clips of unknown licence were added to it.")


SPEECH_COMMANDS = Licence(
    "CC BY 4.0",
    "Trained on Speech Commands by Pete Warden (Google), arXiv:1804.03209, licensed under CC BY 4.0 "
    "(https://creativecommons.org/licenses/by/4.0/).",
)
BUILT_IN = Licence("none needed", "Trained on synthetic speech that kws makes with eSpeak NG.")
_CLIP = re.compile(r"(?:[^/]+/)?([a-z]+)/[0-9a-f]{8}_nohash_\d+\.wav")


def of(source: str, paths: Iterable[str]) -> Licence | None:
    """The licence of the data of this name, whose clips have these paths (see kws.events.Manifest); None if unknown."""
    if source in ARCHIVES:
        return SPEECH_COMMANDS
    if source == f"{SYNTHETIC} speech":
        return BUILT_IN
    clips = [path for path in paths if not path.partition("@")[0].startswith(f"{NOISE}/")]
    words = set(ARCHIVES["speech-commands"].words)
    if clips and all((found := _CLIP.fullmatch(path)) and found[1] in words for path in clips):
        return SPEECH_COMMANDS
    return None
