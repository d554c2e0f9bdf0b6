"""The forms of a file: clips or hops in, probabilities out, with the front end, the network and what is said of both.

Decisions:
- A file that takes clips takes any number of them at once. A streaming file takes one hop of one stream.
- States are inputs and outputs of the same shape, named x and x_out, and begin as zeros: digital silence.
- Metadata are texts: the card under one key, and what a reader wants to know first under keys of their own. None of
  them depends on when or where a file was written, so that the same export is the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

import kws
from kws.architectures import FRAMES
from kws.inference.detections import HOP_SAMPLES
from kws.inference.export import front_end
from kws.inference.export.conversion import FEATURES
from kws.inference.export.graph import Graph, to_bytes
from kws.inference.network import HOP_FRAMES, TAIL_SAMPLES
from kws.inference.onnx_model import AUDIO, CARD_KEY, PROBABILITIES, STATE_OUT
from kws.speech.decode import SAMPLE_RATE_HZ, SAMPLES
from kws.speech.front_end import FRONT_END

if TYPE_CHECKING:
    import onnx

    from kws.inference.card import ModelCard


_MAKERS = ("torch", "onnx", "onnxruntime")  # whose versions decide a file's bytes


@dataclass(frozen=True)
class Form:
    """Which file of a run."""

    int8: bool = False
    streaming: bool = False

    @property
    def name(self) -> str:
        """As in "fp32" and "int8 streaming"."""
        return ("int8" if self.int8 else "fp32") + (" streaming" if self.streaming else "")


def written(network: onnx.ModelProto, card: ModelCard, mean: float, std: float, form: Form) -> bytes:
    """A form's file, with a network (see kws.inference.export.conversion) of fp32 or int8.

    `mean` and `std` are what the features of the training clips were normalised with.
    """
    graph = Graph()
    if form.streaming:
        features = _of_hop(graph)
    else:
        audio = graph.input(AUDIO, ["batch", SAMPLES])
        graph.within("front_end")
        frames = front_end.frames_of_clips(graph, audio)
        features = front_end.features_of_frames(graph, frames, FRAMES)
    entering = front_end.normalised(graph, features, mean, std)
    logits = graph.append(network, **{FEATURES: entering})
    graph.within("")
    tempered = graph.node(
        "Mul", [logits, graph.constant("inverse_temperature", np.float32(1 / card.temperature))], "tempered_logits"
    )
    graph.node("Softmax", [tempered], PROBABILITIES, axis=1)
    graph.output(PROBABILITIES, [1 if form.streaming else "batch", len(card.words)])
    graph.outputs.insert(0, graph.outputs.pop())
    return to_bytes(graph.model(metadata(card, form)))


def metadata(card: ModelCard, form: Form) -> dict[str, str]:
    """What a file says of itself."""
    return {
        CARD_KEY: card.to_json(),
        "words": ",".join(card.words),
        "sample_rate_hz": str(SAMPLE_RATE_HZ),
        "samples": str(HOP_SAMPLES if form.streaming else SAMPLES),
        "thresholds": json.dumps(dict(card.thresholds), sort_keys=True, ensure_ascii=False),
        "temperature": repr(card.temperature),
        "run": card.run,
        "commit": card.commit or "unknown",
        "data": card.data,
        "data_fingerprint": card.fingerprint,
        "licence": card.licence or "unknown",
        "attribution": card.attribution or "unknown",
        "align": card.align,
        "form": form.name,
        "made_with": f"kws {kws.__version__}, " + ", ".join(f"{name} {version(name)}" for name in _MAKERS),
    }


def _of_hop(graph: Graph) -> str:
    """The features (1, T, M) above silence of the last second, from a hop's samples and the states."""
    audio = graph.input(AUDIO, [1, HOP_SAMPLES])
    samples = graph.input("samples", [1, TAIL_SAMPLES])
    features = graph.input("features", [1, FRAMES - HOP_FRAMES, FRONT_END.bands])
    graph.within("stream")
    heard = graph.node("Concat", [samples, audio], "heard", axis=1)
    graph.within("front_end")
    frames = front_end.frames_of_hop(graph, heard, HOP_FRAMES)
    new = front_end.features_of_frames(graph, frames, HOP_FRAMES)
    graph.within("stream")
    known = graph.node("Concat", [features, new], "known", axis=1)
    begins = graph.constant("newer_samples", np.array([HOP_SAMPLES])), graph.constant("newer", np.array([HOP_FRAMES]))
    end, axis = graph.constant("end", np.array([SAMPLES])), graph.constant("axis", np.array([1]))
    graph.within("")
    for name, whole, begin, shape in (
        ("samples", heard, begins[0], [1, TAIL_SAMPLES]),
        ("features", known, begins[1], [1, FRAMES - HOP_FRAMES, FRONT_END.bands]),
    ):
        graph.node("Slice", [whole, begin, end, axis], name + STATE_OUT)
        graph.output(name + STATE_OUT, shape)
    graph.within("front_end")
    return known
