"""What happens in a run and what its data is, as plain values that all parts of kws exchange.

Standard library only. Training yields them, the registry keeps them, the terminal shows them. Accuracies are fractions
in [0, 1]; losses are means in nats a clip. The losses of iterations and epochs are what training minimises, which for a
recipe with a softmax before cross-entropy is another quantity than for one without; an Evaluation has that as its
`objective`, and as its `loss` one that is the same quantity for all.

Two digests, SHA-256 in hexadecimal, say what a data set is, so that two runs can be told to have seen the same:

- its fingerprint is over the clips' labels, names and waveforms, split by split in the order of training, with the
  classes and the front end: runs with one fingerprint saw the same clips in the same order, so their bits can agree.
  Only with one folder per word are names part of it; in other layouts the order is that of the files' digests;
- its content is over labels and waveforms alone, in no order: the same clips under any names.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
DIGEST_BYTES = 32
ALL = "all"  # the three splits together, for data that was not made to be split
DRAWN_BY_NAMES = "names"  # "other" is the clips whose names have the smallest SHA-256
DRAWN_BY_DIGESTS = "digests"  # "other" is the clips whose files, or pieces of files, have the smallest SHA-256
NOT_DRAWN = "none"  # arrays hold their classes as they are
LEFT_OUT = "left out"  # all clips are of words that `leave_out` names, and of no other
OTHER, UNKNOWN, SILENCE = "other", "unknown", "silence"
NO_KEYWORDS = (OTHER, UNKNOWN, SILENCE)  # classes that are what is left when no keyword was said
NO_WORDS = ("_unknown_", "_silence_")  # folders of what is no keyword, as other tools call them
NOISE = "_background_noise_"  # the folder of the recordings that silence is cut from


def keywords_of(classes: Iterable[str]) -> tuple[str, ...]:
    """The classes that are keywords, in their order."""
    return tuple(name for name in classes if name not in NO_KEYWORDS)


def people(speakers: Iterable[str]) -> set[str]:
    """The speakers among these; silence has in their place the part of a recording that it was cut from."""
    return {each for each in speakers if not each.startswith((f"{NOISE}/", f"{NO_WORDS[1]}/"))}


@dataclass(frozen=True, kw_only=True)
class IterationEnd:
    """One optimizer step on one minibatch; loss and accuracy are those before the step."""

    iteration: int  # from 1, over all epochs
    clips: int
    loss: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class EpochEnd:
    """One pass over the training split, and the validation split after it.

    The training loss and accuracy are means over the epoch's clips, each taken before its minibatch's step.
    """

    epoch: int  # from 1
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float
    processor_seconds: float | None = None  # of all threads of the process; None if it was not measured
    iterations: tuple[IterationEnd, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A network's answers on one split: a byte a clip for the class predicted and one for the class it is.

    `loss` is the mean cross-entropy of the probabilities, the softmax of the outputs, with the labels; None where an
    older registry has lost what it is computed from. `objective` is the mean of what training minimises.
    `logits` are the network's outputs, little-endian float16 (N, K), of which the predictions are the largest; they are
    empty where the registry has them apart, or never had them, and do not count when two evaluations are compared.
    """

    split: str
    loss: float | None
    objective: float
    accuracy: float
    predictions: bytes
    labels: bytes
    logits: bytes = field(default=b"", compare=False, repr=False)

    @property
    def clips(self) -> int:
        """Clips evaluated."""
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Every clip of one split, in the order of its labels and predictions.

    A clip's digest is the SHA-256 of the second of sound that the network hears, as float32 samples, or of its features
    where it came as an array: equal digests are the same sound, whatever the files are called and however they are
    encoded. A clip's path is relative to the data set's folder, or begins with the name of another one that the test
    split came from. Where the clip was cut from a longer recording, "@" and the second that it begins at follow.
    """

    paths: tuple[str, ...]
    digests: bytes  # 32 bytes a clip
    speakers: tuple[str, ...] | None  # None where they are not known
    modified_ns: tuple[int, ...]  # the files' times of modification; 0 where the clip is no file of its own
    seconds: tuple[float, ...]  # how long each recording is, of which one second is used; 0 for features

    def digest(self, clip: int) -> bytes:
        """The digest of the clip in that place."""
        return self.digests[DIGEST_BYTES * clip : DIGEST_BYTES * (clip + 1)]

    def each_digest(self) -> list[bytes]:
        """The digest of every clip (N,)."""
        return [self.digests[at : at + DIGEST_BYTES] for at in range(0, len(self.digests), DIGEST_BYTES)]


@dataclass(frozen=True, kw_only=True)
class DataCard:
    """A data set's identity: its clips by fingerprint, its classes, its size, and how features are made of it."""

    source: str  # as shown in tables: the folder's name, or the built-in source's
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]  # clips of each class, by split
    split_fingerprints: Mapping[str, str]
    labels: Mapping[str, bytes]  # a byte a clip, by split, in the order of its predictions
    front_end: Mapping[str, float]
    mean: float  # of the training split's features; what all splits were normalised with
    std: float
    draw: str = DRAWN_BY_NAMES  # how the clips of "other" were chosen
    band_means: tuple[float, ...] | None = None  # (M,) of the training split's features; None in older registries
    unused: Mapping[str, int] = field(default_factory=dict, compare=False)  # files and folders not used, by reason
    manifests: Mapping[str, Manifest] = field(default_factory=dict, compare=False, repr=False)  # by split

    @property
    def content(self) -> str | None:
        """The same for the same clips, classes and front end under any names; None without the manifests."""
        if not self.manifests:
            return None
        splits = {}
        for split in SPLITS:
            clips = sorted(zip(self.labels[split], self.manifests[split].each_digest(), strict=True))
            splits[split] = hashlib.sha256(b"".join(bytes([label]) + digest for label, digest in clips)).hexdigest()
        text = json.dumps([self.classes, splits, dict(self.front_end)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """The whole data set's fingerprint."""
        text = json.dumps([self.classes, dict(self.split_fingerprints), dict(self.front_end)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def labels_of(self, split: str) -> bytes:
        """The labels of a split's clips, or of all splits' one after the other for `all`."""
        return b"".join(self.labels[name] for name in (SPLITS if split == ALL else (split,)))
