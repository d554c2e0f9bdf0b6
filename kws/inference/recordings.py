"""Recordings that words are predicted of: files, the files in folders, or one that comes through a pipe.

A folder stands for every file below it whose name ends as a recording's does, in the order of their paths; hidden ones
are left out. A recording from a pipe goes through a temporary file, since libsndfile needs to move in it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from kws.errors import ClipError, DataError
from kws.inference.detections import seconds_at
from kws.inference.detector import Detector, Prediction, prediction
from kws.recipe import cores
from kws.speech import long
from kws.speech.decode import SUFFIXES, read_recording

if TYPE_CHECKING:
    import numpy as np

PIPE = "-"
_AT_ONCE = 64  # clips


def files_of(names: Iterable[str]) -> list[Path]:
    """The recordings that these names of files and folders stand for.

    Raises DataError for what is not there, and for a folder without recordings.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            below = list(_below(path))
            if not below:
                raise DataError(f"{name} holds no recordings; formats are {', '.join(SUFFIXES[:7])} and others")
            found += below
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"there is no file {name}; name recordings, or folders of them")
    return found


def _below(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for file in sorted(files):
            if not file.startswith(".") and Path(file).suffix.lower() in SUFFIXES:
                yield Path(place) / file


@contextmanager
def piped(stream: BinaryIO) -> Iterator[Path]:
    """A temporary file of what comes through a pipe until it ends."""
    with tempfile.NamedTemporaryFile(prefix="kws-", suffix=".wav") as file:
        shutil.copyfileobj(stream, file)
        file.flush()
        yield Path(file.name)


def predictions(detector: Detector, paths: list[Path]) -> Iterator[Prediction | ClipError]:
    """For each recording in turn, the word of the second that the detector's card says; or why it cannot be read.

    Every core works on a batch of its own, from reading to probabilities.
    """
    batches = [paths[first : first + _AT_ONCE] for first in range(0, len(paths), _AT_ONCE)]
    if len(batches) == 1:  # a single clip does not wait for the import of threads
        yield from _batch(detector, batches[0])
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(cores()) as pool:
        for each in pool.map(partial(_batch, detector), batches):
            yield from each


def _batch(detector: Detector, paths: list[Path]) -> list[Prediction | ClipError]:
    import numpy as np

    read = [_waveform(path, detector.card.align) for path in paths]
    clips = [each for each in read if not isinstance(each, ClipError)]
    rows = iter(detector.model.probabilities(np.stack(clips)) if clips else ())
    return [each if isinstance(each, ClipError) else prediction(detector.words, next(rows)) for each in read]


def _waveform(path: Path, align: str) -> np.ndarray | ClipError:
    try:
        return read_recording(path, align=align).waveform
    except ClipError as error:
        return error


def by_windows(detector: Detector, paths: list[Path]) -> Iterator[Prediction | ClipError]:
    """For each recording in turn, its most probable keyword in any window of a second; or why it cannot be read."""
    for path in paths:
        try:
            yield _best_window(detector, path)
        except ClipError as error:
            yield error


def _best_window(detector: Detector, path: Path) -> Prediction:
    """The probabilities of the window in which a keyword is most probable."""
    import numpy as np

    columns = [detector.words.index(word) for word in detector.keywords]
    best, at, hops = None, 0, 0
    for scores in detector.scores(_with_silence(long.from_file(path).pieces)):
        if len(scores):
            hop = int(scores[:, columns].max(axis=1).argmax())
            if best is None or scores[hop, columns].max() > best[columns].max():
                best, at = scores[hop], hops + hop
            hops += len(scores)
    assert best is not None  # half a second of silence alone has hops
    return prediction(detector.words, np.asarray(best), seconds=seconds_at(at))


def _with_silence(pieces: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The pieces and half a second of silence, so that a window has the recording's end in its middle."""
    import numpy as np

    from kws.speech.decode import SAMPLE_RATE_HZ

    yield from pieces
    yield np.zeros(SAMPLE_RATE_HZ // 2, np.float32)
