"""A network of PyTorch as a graph of ONNX, from features to logits.

Decisions:
- PyTorch's exporter that traces is used, not the newer one that compiles: a trace takes a second where the other takes
  ten to fifty, and keeps a GRU as one operator where the other writes 101 frames one after the other.
- What a trace leaves behind is removed: constants become initializers, copies and documentation go, and values are
  named by their module and operator, so that the same network is written as the same bytes.
- A trace keeps what a network does with one batch of clips. One that decides by its input, as one of a user's own may,
  is found out by the check on real clips; here it must only agree on clips of noise in a batch of another size.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from kws.architectures import BANDS, FRAMES
from kws.errors import ModelError
from kws.inference.export.graph import IR_VERSION, OPSET

if TYPE_CHECKING:
    import onnx
    from torch import nn

FEATURES, LOGITS = "features", "logits"
_NEAR = 1e-3  # of logits on noise; a network that was traced wrongly is off by far more


def converted(network: nn.Module, run: str) -> onnx.ModelProto:
    """The network as a model that takes normalised features (B, T, M) and gives logits (B, K).

    Raises ModelError for a network that cannot be converted.
    """
    import torch

    network = network.eval()
    noise = torch.randn(3, FRAMES, BANDS, generator=torch.Generator().manual_seed(0))
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that the exporter is the older one, and what a trace cannot follow
            expected = network(noise).numpy()
            model = _cleaned(_traced(network, noise[:2]))
            found = _answers(model, noise.numpy())
    except Exception as error:  # a user's network may raise anything, and the exporter does
        reason = " ".join((str(error).splitlines() or [type(error).__name__])[0].split()).rstrip(".")
        raise ModelError(f"the network of run {run} cannot be exported to ONNX: {reason}") from None
    if not (found.shape == expected.shape and np.abs(found - expected).max() <= _NEAR):
        raise ModelError(
            f"the network of run {run} cannot be exported to ONNX: it computes batches of 2 and of 3 clips in different"
            " ways, or differently each time"
        )
    return model


def _traced(network: nn.Module, clips: Any) -> onnx.ModelProto:
    import onnx
    import torch

    file = io.BytesIO()
    torch.onnx.export(
        network,
        (clips,),
        file,  # type: ignore[arg-type]  # which takes what can be written to, too
        dynamo=False,
        opset_version=OPSET,
        input_names=[FEATURES],
        output_names=[LOGITS],
        dynamic_axes={FEATURES: {0: "batch"}, LOGITS: {0: "batch"}},
        do_constant_folding=True,
    )
    return onnx.load_model_from_string(file.getvalue())


def _cleaned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with initializers for constants, without copies, and with names that say what and where."""
    from onnx import numpy_helper

    from kws.inference.export.graph import Graph

    made = Graph()
    names = {FEATURES: FEATURES}
    use = {name: (node, place) for node in reversed(model.graph.node) for place, name in enumerate(node.input)}
    for tensor in model.graph.initializer:
        if tensor.name in use:
            names[tensor.name] = made.constant(_name(tensor.name, *use[tensor.name]), numpy_helper.to_array(tensor))
    last = model.graph.output[0].name
    for place, node in enumerate(model.graph.node):
        if node.op_type == "Identity" and node.output[0] != last:
            names[node.output[0]] = names[node.input[0]]
            continue
        if node.op_type == "Constant":
            value = numpy_helper.to_array(node.attribute[0].t)
            names[node.output[0]] = made.constant(f"constant_{place}", value)
            continue
        kept = type(node)()
        kept.CopyFrom(node)
        kept.ClearField("doc_string")
        kept.ClearField("metadata_props")
        kept.name = _dotted(node.name)
        kept.input[:] = [names.get(name, "") for name in node.input]
        for number, output in enumerate(node.output):
            names[output] = f"{kept.name}:{number}" if number else kept.name
        if node.output[0] == last:
            names[last] = LOGITS
        kept.output[:] = [names[output] if output else "" for output in node.output]
        made.nodes.append(kept)
    made.input(FEATURES, ["batch", FRAMES, BANDS])
    made.output(LOGITS, ["batch", model.graph.output[0].type.tensor_type.shape.dim[1].dim_value])
    return made.model()


def _dotted(name: str) -> str:
    """A node's module and operator, as in blocks.0.conv1.Conv."""
    parts = name.strip("/").split("/")  # of modules in a list, a trace has both the list and the list with a number
    return ".".join(
        part for part, next_one in zip(parts, [*parts[1:], ""], strict=True) if not next_one.startswith(f"{part}.")
    )


def _name(name: str, node: onnx.NodeProto, place: int) -> str:
    """What a constant is called: as in PyTorch, or after the first operator that takes it where a trace made it."""
    kinds = {1: "weight", 2: "bias"} if node.op_type in ("Conv", "Gemm") else {}
    return f"{_dotted(node.name)}.{kinds.get(place, place)}" if name.startswith("onnx::") else name


def _answers(model: onnx.ModelProto, features: np.ndarray) -> np.ndarray:
    import onnxruntime

    assert model.ir_version == IR_VERSION
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {FEATURES: features})[0]
    return found
