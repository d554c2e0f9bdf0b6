"""Exports a run's network to a file, and checks such a file: nothing is kept that disagrees with the network.

Decisions:
- A file is written beside its target under another name, checked there, and renamed only then. Whatever was at the
  target stays as it was until that moment.
- Sizes and times of all forms are measured each time, so that they can be compared on the machine that will run them.
- A file that is there is checked by its answers and by its weights, those of a new export, so that a weight that no
  test clip needs is found out as well. Rounding on another processor is no difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from kws.errors import DataError, ModelError
from kws.inference.export import checking, conversion, forms, quantization, timing
from kws.inference.export.forms import Form
from kws.inference.export.graph import to_bytes
from kws.inference.onnx_model import OnnxModel
from kws.speech.progress import Track, untracked

if TYPE_CHECKING:
    import onnx

    from kws.inference.export.checking import Agreement
    from kws.inference.export.clips import Clips
    from kws.inference.network import NetworkModel

FORMS = tuple(Form(int8=int8, streaming=streaming) for int8 in (False, True) for streaming in (False, True))


@dataclass(frozen=True)
class Measured:
    """A form's sizes in bytes, of the whole file and of the network alone, and its median time in ms."""

    form: Form
    size: int
    network_size: int
    milliseconds: float  # of one clip, or of one hop


class Export:
    """The files that can be made of one network, with the clips that they are checked on."""

    def __init__(self, model: NetworkModel, clips: Clips) -> None:
        """Raises ModelError for a network that cannot be converted."""
        self._model, self._clips = model, clips
        self._fp32 = conversion.converted(model.network, model.card.run)

    @cached_property
    def _int8(self) -> onnx.ModelProto:
        return quantization.quantized(self._fp32, self._model, self._clips.calibration())

    @cached_property
    def left_in_fp32(self) -> list[str]:
        """The network's operators that int8 leaves in fp32, and their weights."""
        return quantization.left_in_fp32(self._int8)

    def write(self, form: Form, out: Path, track: Track = untracked) -> Agreement:
        """Write a form's file, checked; returns what the check found.

        Raises ModelError for a file that disagrees with the network, and leaves none then.
        """
        with beside(out) as temporary:
            temporary.write_bytes(self._bytes(form))
            agreement = checking.compared(self._model, OnnxModel(temporary), self._clips, track)
            if problem := agreement.problem(int8=form.int8):
                raise ModelError(f"the exported file {problem}; {out} is not written")
            temporary.replace(out)
        return agreement

    def check(self, file: OnnxModel, track: Track = untracked) -> Agreement:
        """Compare a file that is there with the network. Raises ModelError for one that disagrees."""
        form = next((form for form in FORMS if form.name == file.form), None)
        if form is None or form.streaming != file.is_streaming:
            raise ModelError(f"{file.path} does not say which form it has; export its run again")
        if file.card != self._model.card:
            raise ModelError(f"{file.path} says other words, thresholds or origin of itself than its run's")
        agreement = checking.compared(self._model, file, self._clips, track)
        if problem := agreement.problem(int8=form.int8) or _other_weight(file.path, self._bytes(form)):
            raise ModelError(f"{file.path} {problem}; export its run again")
        return agreement

    def measure(self) -> list[Measured]:
        """Sizes and times of all forms; int8 is left out where the data has no clips of training."""
        found = []
        with TemporaryDirectory() as folder:
            for form in FORMS:
                with suppress(DataError):
                    file = Path(folder, "model.onnx")
                    file.write_bytes(self._bytes(form))
                    network = len(to_bytes(self._int8 if form.int8 else self._fp32))
                    took = timing.milliseconds(OnnxModel(file))
                    found.append(Measured(form, file.stat().st_size, network, took))
        return found

    def _bytes(self, form: Form) -> bytes:
        network = self._int8 if form.int8 else self._fp32
        return forms.written(network, self._model.card, self._model.mean, self._model.std, form)


def _other_weight(path: Path, fresh: bytes) -> str | None:
    """Which weight of a file differs from that of a new export by more than rounding; None where none does."""
    import onnx
    from onnx import numpy_helper

    models = onnx.load_model(path), onnx.load_model_from_string(fresh)
    theirs, ours = ({each.name: numpy_helper.to_array(each) for each in model.graph.initializer} for model in models)
    if theirs.keys() != ours.keys():
        return None  # another version's, whose constants are called or arranged otherwise: the answers must do
    for name, weight in ours.items():
        other = theirs[name]
        step = 1 if weight.dtype.kind in "iu" and name.startswith("network/") else 1e-6
        if other.shape != weight.shape or not np.allclose(other, weight, rtol=1e-5, atol=step):
            return f"has another {name} than the run"
    return None


@contextmanager
def beside(out: Path) -> Iterator[Path]:
    """A file beside `out` that is gone afterwards, unless it was renamed. Raises ModelError where there can be none."""
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        temporary.touch()
    except OSError as error:
        raise ModelError(f"{out} cannot be written ({error.strerror}); name another file with --out") from None
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(out: Path) -> None:
    """Raise ModelError where a file cannot be written, before any work is done."""
    if out.is_dir():
        raise ModelError(f"{out} is a folder; --out takes a file, as in {out}/model.onnx")
    with beside(out):
        pass
