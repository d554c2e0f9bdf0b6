"""Recipe: everything that decides a run, so that the same recipe on the same data gives the same numbers.

Standard library only: the command line reads its defaults from here without importing torch. The defaults are the
report's. Two fields are None where they do not apply: `momentum` (an optimizer without it) and `maps` (a network
without convolutions, or one with its own default).
"""

import hashlib
import json
import math
import os
import unicodedata
from dataclasses import asdict, dataclass

from kws.errors import RecipeError

FINAL, BEST = "final", "best"  # the last epoch, the report's rule; or the best one on the validation split
MOST_THREADS = 4096  # above that, a process may not get the memory for them
SELECTIONS = (FINAL, BEST)
BITS_ALONE = ("threads", "slice_size", "device")  # fields that decide the last bits of a result and nothing else
_NOT_OF_A_CELL = ("seed", "data", "speakers", *BITS_ALONE)  # where clips and speakers are told; their splits count


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One run's hyperparameters and data; checked on construction.

    Raises RecipeError, naming the field and its value, for what cannot be.
    """

    arch: str
    opt: str
    learning_rate: float
    momentum: float | None = None
    weight_decay: float = 0.0
    epochs: int = 50
    batch_size: int = 1024
    seed: int = 0
    softmax: bool = False  # the mistake that the report corrects: a softmax before cross-entropy
    maps: tuple[int, ...] | None = None  # feature maps of each convolution
    words: tuple[str, ...] = ("yes", "no")  # the keywords; every other word is "other"
    data: str = "synthetic"  # as given: a source's name or a folder
    threads: int = 1
    slice_size: int = 1024  # clips computed at once; the gradients of a minibatch's slices are summed
    precision: str = "fp32"  # of the activations and gradients in training; weights are always fp32
    device: str = "cpu"
    selection: str = FINAL  # the epoch whose weights are kept and tested: the last, or the first of the best
    speakers: str | None = None  # where clips' speakers are told: a pattern of file names, or a file

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise RecipeError(f"`selection` (={self.selection}) must be one of {', '.join(SELECTIONS)}")
        for field in ("epochs", "batch_size", "threads", "slice_size"):
            at_least(field, getattr(self, field), 1)
            if getattr(self, field) >= 2**31:
                raise RecipeError(f"`{field}` (={getattr(self, field)}) must be below 2^31")
        if not 0 <= self.seed < 2**63:
            raise RecipeError(f"`seed` (={self.seed}) must be from 0 to 2^63 - 1")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise RecipeError(f"`learning_rate` (={self.learning_rate}) must be a number above 0")
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise RecipeError(f"`momentum` (={self.momentum}) must be at least 0 and below 1")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise RecipeError(f"`weight_decay` (={self.weight_decay}) must be a number of at least 0")
        if self.maps == ():
            raise RecipeError("`maps` (=()) must hold a number of feature maps for each convolution, or be left out")
        for maps in self.maps or ():
            at_least("maps", maps, 1)
            if maps >= 2**31:
                raise RecipeError(f"`maps` (={maps}) must be below 2^31")

    def cell_digest(self) -> str:
        """What runs of one cell of a table have in common on the same data: all but seed, path and bits; 16 letters."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        for name in _NOT_OF_A_CELL:
            values.pop(name, None)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def hyperparameters(self) -> dict[str, float]:
        """The optimizer's: learning rate, weight decay, and momentum where it has one."""
        values = {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}
        return values if self.momentum is None else values | {"momentum": self.momentum}


def at_least(field: str, value: int, least: int) -> None:
    """Raise RecipeError, naming the field and its value, unless value is at least `least`."""
    if value < least:
        raise RecipeError(f"`{field}` (={value}) must be at least {least}")


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_threads(value: int) -> int:
    """Processor threads that a command was given. Raises RecipeError for none, or more than a process can have."""
    at_least("threads", value, 1)
    if value > MOST_THREADS:
        raise RecipeError(f"`threads` (={value}) must be at most {MOST_THREADS:,}")
    return value


def parse_words(text: str) -> tuple[str, ...]:
    """The keywords in "yes,no", letters composed. Raises RecipeError for none, an empty or repeated one, or "other"."""
    words = tuple(unicodedata.normalize("NFC", word.strip()) for word in text.split(","))
    if not all(words):
        raise RecipeError(f"`words` (={text!r}) must be words with a comma between them, as in --words yes,no")
    if len(set(words)) < len(words):
        raise RecipeError(f"`words` (={text!r}) names a word twice")
    if "other" in words:
        raise RecipeError(f"`words` (={text!r}) may not hold 'other': that class is made of all words not named")
    if len(words) > 255:
        raise RecipeError(f"`words` names {len(words)} words; 255 at most")
    return words


def parse_maps(text: str) -> tuple[int, ...]:
    """The feature maps in "32,16". Raises RecipeError for what is not numbers."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise RecipeError(f"`maps` (={text!r}) must be numbers with a comma between them, as in --maps 32,16") from None
