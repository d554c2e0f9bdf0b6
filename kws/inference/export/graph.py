"""A graph of ONNX in the making: nodes and constants are added one by one, and their names follow from a prefix.

Decisions:
- One opset for all files, 17: old enough for every runtime of the last years, onnxruntime-web among them, and plain.
- Nothing is in a file but what computes: no documentation, no paths, no names of this machine. The same graph is
  written as the same bytes.
- Constants are initializers, so that a tool that looks for weights finds them all in one place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OPSET = 17
IR_VERSION = 8  # that of opset 17's time
FLOAT = TensorProto.FLOAT


class Graph:
    """Nodes, constants, inputs and outputs of a graph, in order."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._prefix = ""

    def within(self, prefix: str) -> Graph:
        """Itself; what is added from now on has names that begin so."""
        self._prefix = f"{prefix}/" if prefix else ""
        return self

    def constant(self, name: str, value: Any) -> str:
        """Add a constant, an array; returns its name."""
        name = self._prefix + name
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add an operator with one output; returns the output's name."""
        name = self._prefix + output
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def input(self, name: str, shape: Sequence[int | str]) -> str:
        """Add an input of float32; returns its name."""
        self.inputs.append(helper.make_tensor_value_info(name, FLOAT, shape))
        return name

    def output(self, name: str, shape: Sequence[int | str]) -> None:
        """Add an output of float32, which a node computes."""
        self.outputs.append(helper.make_tensor_value_info(name, FLOAT, shape))

    def append(self, model: onnx.ModelProto, **inputs: str) -> str:
        """Add all of another model, whose inputs are values of this graph; returns the name of its one output."""
        names = {"": "", **inputs}

        def named(name: str) -> str:
            return names.setdefault(name, f"network/{name}")

        for node in model.graph.node:
            added = onnx.NodeProto()
            added.CopyFrom(node)
            added.name = named(node.name)
            added.input[:] = [named(name) for name in node.input]
            added.output[:] = [named(name) for name in node.output]
            self.nodes.append(added)
        for tensor in model.graph.initializer:
            constant = onnx.TensorProto()
            constant.CopyFrom(tensor)
            constant.name = named(tensor.name)
            self.constants.append(constant)
        return named(model.graph.output[0].name)

    def model(self, metadata: Mapping[str, str] | None = None) -> onnx.ModelProto:
        """The whole as a checked model. `metadata` is what a reader finds beside the graph."""
        graph = helper.make_graph(self.nodes, "kws", self.inputs, self.outputs, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="kws"
        )
        helper.set_model_props(model, dict(sorted((metadata or {}).items())))
        onnx.checker.check_model(model, full_check=True)
        return model


def to_bytes(model: onnx.ModelProto) -> bytes:
    """A model as a file's bytes, the same each time."""
    return model.SerializeToString(deterministic=True)
