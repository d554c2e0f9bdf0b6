"""What would do where a class has no clips in a split: other splits, or how many more clips and of whom."""

from __future__ import annotations

from kws.events import SILENCE, SPLITS, DataCard
from kws.recipe.partition import LEAST_FOLDS, Partition

_FEW = "60/20/20"  # percentages for few clips, as in --split
_USUAL = 5  # folds


def remedy(card: DataCard, label: int, partition: Partition | None) -> str:
    """What to do about a class that lacks clips in one of its splits, which are the data's own without a partition."""
    name = card.classes[label]
    if not card.front_end or not card.manifests or name == SILENCE:
        return "`kws data check` counts what is there"
    clips, speakers = _counts(card, label)
    units, what = (clips, "clips") if speakers is None else (speakers, "speakers")
    has = f"it has {clips:,} {'clip' if clips == 1 else 'clips'}"
    has += "" if speakers is None else f" of {speakers:,} {'speaker' if speakers == 1 else 'speakers'}"
    folds = 0 if partition is None or partition.splits == SPLITS else len(partition.splits)
    if units < LEAST_FOLDS:
        missing = LEAST_FOLDS - units
        whose = "" if speakers is None else f" of {missing} other {'speaker' if missing == 1 else 'speakers'}"
        more = f"{missing} more" if speakers is None else "some"
        then = "" if partition else f", then `--split {_FEW}` gives each split some"
        return f"{has}, and three splits need clips of {LEAST_FOLDS} {what}: record {more}{whose}{then}"
    if folds > units:
        return f"{has}, and {folds} folds need clips of {folds} {what}: take --folds {units}, or record more"
    if partition is not None:
        return f"{has}, which these splits do not share out: record more of it, or try other splits"
    return (
        f"{has}, enough for all three splits: add `--split {_FEW}`, or test every clip in turn with `kws sweep --folds "
        f"{min(units, _USUAL)}`"
    )


def _counts(card: DataCard, label: int) -> tuple[int, int | None]:
    """The clips of a class in all splits, and how many speakers say it; None if the speakers are unknown."""
    said, known = set[str](), True
    for split, manifest in card.manifests.items():
        known = known and manifest.speakers is not None
        mine = zip(manifest.speakers or (), card.labels[split], strict=False)
        said |= {speaker for speaker, each in mine if each == label}
    return sum(counts[label] for counts in card.counts.values()), len(said) if known else None
