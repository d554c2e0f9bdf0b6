"""A recipe's own options: those that are no part's, from epochs to the device."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from kws.errors import RecipeError
from kws.recipe.config import PLACE, SEED, Option, count, not_negative, option, options, share
from kws.recipe.partition import Partition, check_fold, check_split, partition_of

FINAL, BEST = "final", "best"  # the last epoch, the report's rule; or the best one on the validation split
SELECTIONS = (FINAL, BEST)
SHUFFLED, BALANCED = "shuffled", "balanced"
SAMPLINGS = (SHUFFLED, BALANCED)
ENERGY, FIRST = "energy", "first"  # which second of a longer recording: that with the word, or the first
ALIGNMENTS = (ENERGY, FIRST)
PRECISIONS = ("fp32", "bf16")


def _seed(field: str, value: int) -> None:
    if not 0 <= value < 2**63:
        raise RecipeError(f"`{field}` (={value}) must be from 0 to 2^63 - 1")


def _pretrained(field: str, value: str) -> None:
    if not value.strip():
        raise RecipeError(f"`{field}` (={value!r}) must be none, or a run with weights")


@dataclass(frozen=True, kw_only=True)
class OwnOptions:
    """A recipe without its parts; checked on construction. Raises RecipeError for what cannot be."""

    epochs: int = option(50, "Passes over the training split.", check=count, condition=True)
    batch_size: int = option(
        1024, "Clips a minibatch.", check=count, condition=True, search="64,128,256,512,1024", log=True
    )
    sampling: str = option(
        SHUFFLED,
        "An epoch has each clip once, shuffled; or as many clips, drawn so that each class comes equally often.",
        choices=SAMPLINGS,
        absent=SHUFFLED,
        section="Training",
    )
    precision: str = option(
        "fp32",
        "bf16 is faster where the processor has AMX or AVX512-BF16; `kws bench` tells.",
        choices=PRECISIONS,
        condition=True,
        section="Training",
    )  # of the activations and gradients in training; weights are always fp32
    selection: str = option(
        FINAL,
        "The epoch to keep and to test: the last, or the best on the validation split.",
        choices=SELECTIONS,
        condition=True,
        flags=("--select",),
        section="Training",
    )
    until: float | None = option(
        None,
        "End after the first epoch with this validation accuracy.",
        absent=None,
        check=share,
        condition=True,
        section="Training",
    )
    patience: int | None = option(
        None,
        "End after as many epochs without a better validation accuracy.",
        absent=None,
        check=count,
        condition=True,
        section="Training",
    )
    pretrained: str = option(
        "none",
        "Start from the network of another run; what is not given is that run's.",
        check=_pretrained,
        absent="none",
        flags=("--from",),
        metavar="none|RUN|FILE:RUN",
        section="Training",
    )
    head_epochs: int = option(
        0,
        "Epochs at the beginning in which the last layer alone is trained, for --from.",
        check=not_negative,
        absent=0,
        section="Training",
    )
    seed: int = option(0, "Decides the first weights and the shuffling.", check=_seed, role=SEED)
    data: str = option("synthetic", role=PLACE)  # as given: a source's name or a folder
    speakers: str | None = option(None, metavar="PATTERN|FILE")  # where clips' speakers are told
    pattern: str | None = option(None, absent=None, role=PLACE, metavar="PATTERN")  # of file names that carry the label
    # The fingerprint of the data, which is of what is heard, tells apart what it decides.
    align: str = option(ENERGY, choices=ALIGNMENTS, absent=FIRST, role=PLACE)
    split_shares: str | None = option(
        None,
        "Percentages of training, validation and test clips, by speaker where speakers are known. By default the "
        "data's own lists, else the official rule.",
        absent=None,
        check=check_split,
        condition=True,
        label="split",
        flags=("--split",),
        metavar="TRAIN/VALIDATION/TEST",
        section="Data",
    )
    fold: str | None = option(
        None,
        "Cut the data into N parts by speaker: test on part K, validate on the next, train on the rest.",
        absent=None,
        check=check_fold,
        condition=True,
        metavar="K/N",
        section="Data",
    )
    threads: int = option(1, check=count, bits="numbers of threads")
    micro_batch_size: int = option(
        1024,
        "Clips computed at once; the gradients of a minibatch's micro-batches are summed. By default the network's.",
        check=count, old="slice_size", bits="micro-batch sizes", hidden=True,
    )  # fmt: skip
    device: str = option("cpu", choices=("cpu", "cuda"), bits="devices")

    def __post_init__(self) -> None:
        for each in own_options():
            each.require(value := getattr(self, each.name))
            object.__setattr__(self, each.name, each.exact(value))
        if self.head_epochs and self.pretrained == "none":
            raise RecipeError(
                f"`head_epochs` (={self.head_epochs}) is for a network that was trained before: --from RUN"
            )
        if self.split_shares is not None and self.fold is not None:
            raise RecipeError(
                f"`split` (={self.split_shares}) and `fold` (={self.fold}) are two ways to make splits; leave one of "
                "both out"
            )

    @property
    def partition(self) -> Partition | None:
        """How its clips are divided into splits; None for the data's own lists, or the official rule."""
        return partition_of(self.split_shares, self.fold)


@cache
def own_options() -> tuple[Option, ...]:
    """A recipe's own options, which are no part's."""
    return options(OwnOptions)
