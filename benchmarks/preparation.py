"""Recordings to features: a folder of WAV files in the page cache to a finished cache on disk.

- kws: kws.speech.dataset.load() with an empty cache, on all cores: it lists, decodes, transforms, normalises, makes
  fingerprints and writes. Importing torch does not count, neither here nor for the peers.
- librosa and kaldi-native-fbank: clip by clip, decoded and transformed in memory, and no more; see peers_features.
  librosa also with a process for each core. NumPy's products of matrices have one thread there: they are small, and
  more threads make librosa up to ten times slower where the cores are not idle.
- Full size: 105,829 clips in 35 words (hard links to the others), prepared from an empty cache, then `kws train` of the
  fc network for 1 epoch, whose memory above torch itself is held against the size of the features.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.clips import FULL_COUNTS, FULL_QUICK, FULL_WORDS
from benchmarks.measure import call, installed, take_turns
from benchmarks.report import Row, compared, missing
from benchmarks.whole_run import train
from benchmarks.workspace import Workspace

_PEERS = {  # name: function of peers_features, package
    "librosa, clip by clip": ("librosa_clips", "librosa"),
    "librosa, a process a core": ("librosa_processes", "librosa"),
    "kaldi-native-fbank, clip by clip": ("fbank_clips", "kaldi-native-fbank"),
}
_ONE_BLAS_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_DISK_GB = 4
_WORKING_MB = 250  # beside the features: other libraries, activations, the optimizer


def measure(workspace: Workspace) -> list[Row]:
    """The rows of features."""
    folder, count = str(workspace.clips), 100 if workspace.quick else 1_000
    cells: dict[str, Callable[[], float]] = {"kws": lambda: _fresh(workspace, folder)}
    for name, (function, package) in _PEERS.items():
        if installed(package):
            cells[name] = lambda function=function: call(
                f"peers_features:{function}", env=_ONE_BLAS_THREAD, folder=folder, clips=count
            )
    turns = take_turns(cells, workspace.rounds, group="features", unit="clips/s")
    ours = turns.samples("kws")
    what = "clips to features"
    rows = []
    for number, (name, (_, package)) in enumerate(_PEERS.items()):
        if installed(package) is None or name in turns.failures:
            rows.append(missing(what, "features", name, turns.failures.get(name, "missing: not installed")))
            continue
        row = compared(
            group="features",
            what=what,
            unit="clips/s",
            ours=ours,
            against=name,
            theirs=turns.samples(name),
            more_is_better=True,
            least=5.0 if number == 0 else None,
            note="kws writes a finished cache, the peers only compute",
        )
        rows.append(row)
    held = {"wanted": "at least 4,000 clips/s", "holds": ours.median >= 4_000 if ours else None}
    return [Row(group="features", what=f"{what}, folder to finished cache", unit="clips/s", ours=ours, **held), *rows]


def _fresh(workspace: Workspace, folder: str) -> float:
    """Clips a second into an empty cache."""
    cache = workspace.folder / "fresh"
    try:
        done = call("preparation:prepare", env={"KWS_CACHE": str(cache)}, folder=folder)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    return done["clips"] / done["seconds"]


def prepare(folder: str, words: tuple[str, ...] = ("yes", "no")) -> dict[str, float]:
    """Seconds to a finished cache, and how many clips are in it. Runs in a process of its own."""
    from kws.recipe import TASK
    from kws.speech import dataset

    task = TASK.part("report").config(words=tuple(words))
    start = time.perf_counter()
    loaded = dataset.load(folder, task)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "clips": sum(len(split) for split in loaded.splits.values()),
        "megabytes": sum(split.features.nbytes for split in loaded.splits.values()) / 1e6,
    }


def measure_full_size(workspace: Workspace) -> list[Row]:
    """The rows of a data set of Speech Commands' full size."""
    total = sum((FULL_QUICK if workspace.quick else FULL_COUNTS).values())
    what = f"{total:,} clips in {len(FULL_WORDS)} words"
    free = shutil.disk_usage(workspace.folder).free / 1e9
    if free < _DISK_GB:
        return [
            Row(group="full-size", what=what, note=f"left out: {_DISK_GB} GB of disk are needed, {free:.1f} are free")
        ]
    folder, cache = workspace.folder / "full", workspace.folder / "full-cache"
    call("clips:write_full", folder=str(folder), of=str(workspace.clips), quick=workspace.quick)
    call("clips:read_all", folder=str(folder))

    def prepared() -> dict[str, Any]:
        shutil.rmtree(cache, ignore_errors=True)
        return call("preparation:prepare", env={"KWS_CACHE": str(cache)}, folder=str(folder), words=FULL_WORDS)

    cells: dict[str, Callable[[], Any]] = {"prepared": prepared}
    cells["trained"] = lambda: train(workspace, "fc", 1, data=folder, cache=cache, words=",".join(FULL_WORDS))
    cells["torch alone"] = lambda: call("peers_torch:torch_alone")
    try:
        turns = take_turns(cells, workspace.rounds, group="full-size")
        return _full_rows(what, turns)
    finally:
        for made in (folder, cache):
            shutil.rmtree(Path(made), ignore_errors=True)


def _full_rows(what: str, turns: Any) -> list[Row]:
    seconds = turns.samples("prepared", lambda done: done["seconds"])
    size = turns.samples("prepared", lambda done: done["megabytes"])
    most, alone = turns.samples("trained", lambda done: done["peak_megabytes"]), turns.samples("torch alone")
    rows = [
        compared(
            group="full-size",
            what=f"{what}: prepared",
            unit="s",
            ours=seconds,
            against="",
            theirs=None,
            most=45,
            note=turns.failures.get("prepared", ""),
        )
    ]
    above = most.minus(alone) if most and alone else None
    copies = above.over(size) if above and size else None
    return [
        *rows,
        Row(
            group="full-size",
            what=f"{what}: memory above torch itself, training the fc network",
            unit="MB",
            ours=above,
            against="their features, one copy",
            theirs=size,
            ratio=copies,
            reading="times",
            wanted=f"one copy, and {_WORKING_MB} MB to work in",
            holds=above.median <= size.median + _WORKING_MB if above and size else None,
            note=turns.failures.get("trained", "pages of the mapped cache count as memory while they are used"),
        ),
    ]
