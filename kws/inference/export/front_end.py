"""The front end as a graph of ONNX: samples to log-mel features, without the matrix of a discrete Fourier transform.

Decisions:
- That matrix would take 0.8 MB. A frame of 400 samples is 25 rows of 16, and its transform of 512 points two small
  ones (Cooley and Tukey, Math. Comp. 1965): over the rows, 25 to 17 frequencies of 32 points, the rest of which are
  conjugate to them because samples are real; a twist by 17 x 16 factors; and over the columns, 16 points. The 272
  places are every bin from 0 to 256, some of them twice, in another order, which is the order of the filters' rows.
- The filters are triangles, of which 4 in 5 numbers are zero: those that are not are scattered into zeros by the graph
  itself, which a runtime does once, when it loads the file.
- Features count from silence: log(1 + power / offset), so that a stream's state before its beginning is zeros. They
  are greater than those of kws.speech.features by -log(offset), which the normalisation takes into account.
- Frames are slices of rows of a hop's length, one beside the other: nothing is gathered by index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kws.speech.decode import SAMPLES
from kws.speech.features import mel_filters
from kws.speech.front_end import FRONT_END

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kws.inference.export.graph import Graph

    Floats = NDArray[np.float32]
    Pair = tuple[str, str]  # the names of a real and an imaginary part

SILENT = float(np.log(FRONT_END.offset))  # what a feature of kws.speech.features is where nothing sounds
_COLUMNS = 16
_ROWS = FRONT_END.window // _COLUMNS  # 25
_POINTS = FRONT_END.transform // _COLUMNS  # 32, of the transform over rows
_KEPT = _POINTS // 2 + 1  # 17 of its frequencies
_PAD = FRONT_END.window // 2


def frames_of_clips(graph: Graph, audio: str) -> str:
    """The frames (B, T, 400) of clips (B, S), which are padded by reflection."""
    hop, frames = FRONT_END.hop, SAMPLES // FRONT_END.hop + 1
    rows = frames + 2
    more = rows * hop - SAMPLES - 2 * _PAD  # so that rows are whole; it is in no frame
    padded = graph.node(
        "Pad", [audio, graph.constant("pads", np.array([0, _PAD, 0, _PAD + more]))], "padded", mode="reflect"
    )
    hops = graph.node("Reshape", [padded, graph.constant("rows", np.array([0, rows, hop]))], "hops")
    parts = [
        _slice(graph, hops, f"part_{number}", (number, 0), (number + frames, min(hop, FRONT_END.window - number * hop)))
        for number in range(-(-FRONT_END.window // hop))
    ]
    return graph.node("Concat", parts, "frames", axis=2)


def frames_of_hop(graph: Graph, samples: str, count: int) -> str:
    """The `count` frames (1, count, 400) that begin a hop of 10 ms apart in samples (1, n)."""
    starts = [number * FRONT_END.hop for number in range(count)]
    parts = [
        graph.node(
            "Unsqueeze",
            [
                _slice(graph, samples, f"cut_{number}", (start,), (start + FRONT_END.window,)),
                graph.constant(f"axis_{number}", np.array([1])),
            ],
            f"frame_{number}",
        )
        for number, start in enumerate(starts)
    ]
    return graph.node("Concat", parts, "frames", axis=1)


def features_of_frames(graph: Graph, frames: str, count: int) -> str:
    """Log-mel features (B, count, M) above silence, of frames (B, count, 400)."""
    window = graph.constant("window", _window())
    windowed = graph.node("Mul", [frames, window], "windowed")
    shape = graph.constant("columns", np.array([0, count, _ROWS, _COLUMNS]))
    columns = graph.node("Reshape", [windowed, shape], "by_columns")
    over_rows = _waves(np.outer(np.arange(_KEPT), np.arange(_ROWS)) / _POINTS)
    real = graph.node("MatMul", [graph.constant("over_rows_real", over_rows[0]), columns], "real")
    imaginary = graph.node("MatMul", [graph.constant("over_rows_imaginary", over_rows[1]), columns], "imaginary")
    twist = _waves(np.outer(np.arange(_KEPT), np.arange(_COLUMNS)) / FRONT_END.transform)
    by = graph.constant("twist_real", twist[0]), graph.constant("twist_imaginary", twist[1])
    twisted = graph.node("Concat", _product(graph, (real, imaginary), by), "twisted", axis=3)
    cosine, sine = _waves(np.outer(np.arange(_COLUMNS), np.arange(_COLUMNS)) / _COLUMNS)
    both = np.block([[cosine, sine], [-sine, cosine]])
    spectrum = graph.node("MatMul", [twisted, graph.constant("over_columns", both)], "spectrum")  # (B, count, 17, 32)
    parts = graph.node("Mul", [spectrum, spectrum], "power")
    flat = graph.constant("flat", np.array([0, count, 2 * _COLUMNS * _KEPT]))
    powers = graph.node("Reshape", [parts, flat], "powers")
    mel = graph.node("MatMul", [powers, _filters(graph)], "mel")
    return graph.node(
        "Log", [graph.node("Add", [mel, graph.constant("one", np.float32(1))], "above_silence")], "features"
    )


def normalised(graph: Graph, features: str, mean: float, std: float) -> str:
    """Features as the network takes them, of features above silence."""
    scale = graph.constant("scale", np.float32(1 / std))
    shift = graph.constant("shift", np.float32((SILENT - mean) / std))
    return graph.node("Add", [graph.node("Mul", [features, scale], "scaled"), shift], "normalised")


def _product(graph: Graph, x: Pair, y: Pair) -> Pair:
    """The product of two complex numbers."""
    real = [graph.node("Mul", [x[part], y[part]], f"product_{part}") for part in (0, 1)]
    imaginary = [graph.node("Mul", [x[part], y[1 - part]], f"product_{2 + part}") for part in (0, 1)]
    return graph.node("Sub", real, "twisted_real"), graph.node("Add", imaginary, "twisted_imaginary")


def _slice(graph: Graph, value: str, name: str, begin: tuple[int, ...], end: tuple[int, ...]) -> str:
    """A part of a value along all its directions but the first."""
    about = [np.array(begin), np.array(end), np.arange(1, len(begin) + 1)]
    ends = [
        graph.constant(f"{name}_{which}", each) for which, each in zip(("begin", "end", "axes"), about, strict=True)
    ]
    return graph.node("Slice", [value, *ends], name)


def _window() -> Floats:
    """The periodic Hann window (400,)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRONT_END.window) / FRONT_END.window)).astype(np.float32)


def _waves(turns: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """Real and imaginary parts of exp(-2 pi i turns), each rounded once."""
    return np.cos(2 * np.pi * turns).astype(np.float32), -np.sin(2 * np.pi * turns).astype(np.float32)


def _filters(graph: Graph) -> str:
    """The filters (544, M) of squared parts, of which a runtime makes a constant; power counts in offsets."""
    places = np.arange(_KEPT)[:, None] + _POINTS * np.arange(_COLUMNS)  # of 512 frequencies, (17, 16)
    bins = np.minimum(places, FRONT_END.transform - places)
    is_twice = np.isin(np.arange(_KEPT), (0, _KEPT - 1))[:, None] & (places > FRONT_END.transform // 2)
    filters = mel_filters().double().numpy() / FRONT_END.offset
    dense = np.where(is_twice[:, :, None], 0, filters[bins]).astype(np.float32).reshape(-1)
    there = np.flatnonzero(dense)
    zeros = graph.node("ConstantOfShape", [graph.constant("filter_size", np.array([dense.size]))], "filter_zeros")
    known = [graph.constant("filter_places", there.astype(np.int32)), graph.constant("filter_values", dense[there])]
    scattered = graph.node("ScatterElements", [zeros, *known], "filters_flat", axis=0)
    shape = graph.constant("filter_shape", np.array([_KEPT, 1, _COLUMNS, FRONT_END.bands]))
    once = graph.node("Reshape", [scattered, shape], "filters_once")
    twice = graph.node("Concat", [once, once], "filters_twice", axis=1)  # for real and imaginary parts
    matrix = graph.constant("filter_matrix", np.array([2 * _COLUMNS * _KEPT, FRONT_END.bands]))
    return graph.node("Reshape", [twice, matrix], "filters")
