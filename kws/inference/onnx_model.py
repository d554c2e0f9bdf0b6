"""A model in a file that `kws export` wrote, by onnxruntime and NumPy alone: torch is never imported.

Decisions:
- One thread: such networks are so small that threads wait for each other longer than they compute.
- A streaming file takes a hop of 20 ms and gives its probabilities; its states are named pairs of inputs and outputs,
  of which the output's name ends in _out, and begin as zeros.
- A file that takes clips hears a stream through windows of a second, each computed anew. They lie as those of
  kws.inference.network do, whose last frame has its centre one hop before the newest sample.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kws.errors import ModelError, needs
from kws.inference.card import ModelCard
from kws.inference.detections import HOP_SAMPLES
from kws.speech.decode import SAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kws.inference.detector import Stream

    Floats = NDArray[np.float32]

CARD_KEY = "kws"  # of the metadata, where the card is
AUDIO, PROBABILITIES, STATE_OUT = "audio", "probabilities", "_out"
_BATCH = 8  # clips at once: their spectra stay in the cache, and 64 take a third longer each
_NO_MESSAGES = 4  # onnxruntime's level of messages at which it prints none; errors are raised in any case


class OnnxModel:
    """Probabilities by an exported file; `is_streaming` says whether it takes hops rather than clips."""

    def __init__(self, path: str | Path) -> None:
        """Load a file. Raises ModelError for one that `kws export` did not write, and where onnxruntime is missing."""
        self.path = Path(path)
        self._session = _session(self.path)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.card = _card(self.path, metadata)
        self.form: str = metadata.get("form", "")  # as in "int8 streaming"
        shapes = {each.name: tuple(each.shape) for each in self._session.get_inputs()}
        outputs = {each.name for each in self._session.get_outputs()}
        self._states = {name: shape for name, shape in shapes.items() if name != AUDIO}
        if AUDIO not in shapes or outputs != {PROBABILITIES, *(name + STATE_OUT for name in self._states)}:
            raise ModelError(f"{self.path} has other inputs and outputs than `kws export` writes; export its run again")
        self.is_streaming = bool(self._states)

    def probabilities(self, waveforms: Floats) -> Floats:
        """Probabilities (B, K) of clips (B, S). Raises ModelError for a streaming file."""
        if self.is_streaming:
            raise ModelError(
                f"{self.path} takes hops of a stream, not clips; use it with stream(), or export the run without "
                "--streaming"
            )
        clips = np.ascontiguousarray(waveforms, np.float32)
        batches = [clips[at : at + _BATCH] for at in range(0, len(clips), _BATCH)]
        return np.concatenate([np.empty((0, len(self.card.words)), np.float32), *map(self._of_clips, batches)])

    def stream(self) -> Stream:
        """A stream's probabilities, from its beginning."""
        return _Hops(self._session, self._states, len(self.card.words)) if self.is_streaming else _Windows(self)

    def _of_clips(self, clips: Floats) -> Floats:
        found: Floats = self._session.run([PROBABILITIES], {AUDIO: clips})[0]
        return found


class _Hops:
    """Probabilities of one stream by a streaming file, which holds what was heard in its states."""

    def __init__(self, session: Any, states: dict[str, tuple[int, ...]], classes: int) -> None:
        self._session, self._classes = session, classes
        self._states = {name: np.zeros(shape, np.float32) for name, shape in states.items()}
        self._outputs = [PROBABILITIES, *(name + STATE_OUT for name in states)]
        self._rest = np.empty(0, np.float32)  # samples that are no whole hop yet

    def push(self, samples: Floats) -> Floats:
        """The probabilities (H, K) at the H hops that these samples (n,) at 16 kHz complete."""
        heard = np.concatenate([self._rest, np.asarray(samples, np.float32)])
        hops = len(heard) // HOP_SAMPLES
        found = np.empty((hops, self._classes), np.float32)
        for hop in range(hops):
            audio = heard[None, hop * HOP_SAMPLES : (hop + 1) * HOP_SAMPLES]
            found[hop], *states = self._session.run(self._outputs, {AUDIO: audio, **self._states})
            self._states = dict(zip(self._states, states, strict=True))
        self._rest = heard[hops * HOP_SAMPLES :]
        return found


class _Windows:
    """Probabilities of one stream by a file that takes clips."""

    def __init__(self, model: OnnxModel) -> None:
        self._model = model
        self._heard = np.zeros(SAMPLES, np.float32)  # the last second, and samples that are no whole hop yet

    def push(self, samples: Floats) -> Floats:
        """The probabilities (H, K) at the H hops that these samples (n,) at 16 kHz complete."""
        heard = np.concatenate([self._heard, np.asarray(samples, np.float32)])
        hops = (len(heard) - SAMPLES) // HOP_SAMPLES
        self._heard = heard[hops * HOP_SAMPLES :]
        windows = np.lib.stride_tricks.sliding_window_view(heard, SAMPLES)[: hops * HOP_SAMPLES : HOP_SAMPLES]
        return self._model.probabilities(windows) if hops else np.empty((0, len(self._model.card.words)), np.float32)


def _session(path: Path) -> Any:
    """The file, loaded by onnxruntime. Raises ModelError."""
    if not path.is_file():
        raise ModelError(f"{path} is not a file; `kws export RUN --out {path}` writes one")
    try:
        import onnxruntime
    except ImportError:
        raise ModelError(needs("an exported file", "onnxruntime")) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _NO_MESSAGES
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each of onnxruntime's is a child of Exception alone
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelError(f"{path} cannot be read as an ONNX model ({reason}); export its run again") from None


def _card(path: Path, metadata: dict[str, str]) -> ModelCard:
    """The card in a file's metadata. Raises ModelError."""
    if CARD_KEY not in metadata:
        raise ModelError(f"{path} is an ONNX model, but not one that `kws export` wrote: it does not say its words")
    try:
        return ModelCard.from_json(metadata[CARD_KEY])
    except (ValueError, TypeError, KeyError):
        raise ModelError(f"what {path} says of itself cannot be read; export its run again") from None
