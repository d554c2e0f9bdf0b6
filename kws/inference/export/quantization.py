"""A network in int8: static, a scale for each channel of a weight, and scales of activations from training clips.

Decisions:
- Only the network: the front end stays in fp32, because the logarithm of a quiet band needs more than 8 bits.
- Pairs of QuantizeLinear and DequantizeLinear (QDQ), which are plain operators. onnxruntime's quantised operators
  (QOperator) take 8 to 10 kB less and 6 % less time, but QGemm and QLinearAdd are its own, which other runtimes lack.
- Activations are unsigned and weights signed, of 7 bits: processors without VNNI, of which there are many, add two
  products in 16 bits, and with weights of 8 bits those overflow. On validation, the preset `best` then decides
  otherwise than in fp32 on 1 clip of 1,198, and with 8 bits on 9. Signed activations are the same numbers and took 1.4
  to 1.6 times as long.
- Activations are scaled by the least and the greatest value that the calibration clips give, 512 of them: fewer, and
  methods that cut off what is rare (percentiles, entropy), decided otherwise more often on validation.
- onnxruntime quantises no GRU and no LSTM. They stay in fp32, and what stays is said.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kws.inference.export.clips import BATCH
from kws.inference.export.conversion import FEATURES
from kws.inference.export.graph import to_bytes
from kws.speech.features import log_mel

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    from kws.inference.network import NetworkModel

    Floats = NDArray[np.float32]

_WEIGHTY = 2  # directions of an array that is a weight, not a bias


def quantized(network: onnx.ModelProto, model: NetworkModel, waveforms: Floats) -> onnx.ModelProto:
    """The network (see kws.inference.export.conversion) in int8, calibrated on clips (n, S)."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with TemporaryDirectory() as folder, _quiet():
        before, after = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx")
        before.write_bytes(to_bytes(network))
        quantize_static(
            str(before),
            str(after),
            _Reader(model, waveforms),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load_model(after)


def left_in_fp32(network: onnx.ModelProto) -> list[str]:
    """What has weights and was left in fp32: its name, operator and number of weights."""
    sizes = {
        each.name: int(np.prod(each.dims))
        for each in network.graph.initializer
        if each.data_type == 1 and len(each.dims) >= _WEIGHTY
    }
    found = []
    for node in network.graph.node:
        weights = [name for name in node.input if name in sizes]
        if weights and node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            found.append(f"{node.name} ({node.op_type}, {sum(sizes[name] for name in weights):,} weights)")
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice that onnxruntime's quantisation gives by logging."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


class _Reader:
    """Calibration clips' features, batch after batch, as onnxruntime asks for them."""

    def __init__(self, model: NetworkModel, waveforms: Floats) -> None:
        self._batches = iter(torch.from_numpy(waveforms).split(BATCH))
        self._model = model

    def get_next(self) -> dict[str, Any] | None:
        """The next batch; None after the last."""
        for batch in self._batches:
            return {FEATURES: self._model.normalised(log_mel(batch)).numpy()}
        return None
