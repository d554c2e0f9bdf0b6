"""Checks a file against the network that it was made from, on real clips, by the runtime that will run it.

Decisions:
- A file of fp32 must decide as the network does on every clip and window, but where the network's two best
  probabilities are within 1e-4 of each other, and no probability may be off by more than 1e-4. What it is off by is
  some 2e-6; a weight that was changed by hand is off by more.
- A file of int8 may decide otherwise, and is kept if its accuracy is at most 0.3 points lower.
- A streaming file is compared at every hop of a minute of test clips, one after the other, with
  kws.inference.network.NetworkStream; and at the end of every test clip, where the last second is that clip. There it
  has an accuracy, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from kws.architectures import FRAMES
from kws.inference.detections import HOP_SAMPLES
from kws.inference.export.clips import BATCH, Clips, read
from kws.speech.decode import SAMPLES
from kws.speech.features import log_mel
from kws.speech.front_end import FRONT_END
from kws.speech.progress import Track, untracked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kws.inference.network import NetworkModel
    from kws.inference.onnx_model import OnnxModel

    Floats = NDArray[np.float32]

NEAR = 1e-4  # of probabilities: how far a file of fp32 may be off, and what counts as a tie
LOSS = 0.003  # of accuracy, that int8 may take
_MINUTE = 60  # clips of a second
_NAMED = 5  # clips in a sentence


@dataclass
class Agreement:
    """What the comparison of a file with its network found. Accuracies are fractions, of test clips alone."""

    clips: int
    compared: int = 0  # clips, windows, or hops
    network_right: int = 0
    file_right: int = 0
    largest_difference: float = 0.0
    differing: list[str] = field(default_factory=list)  # clips and windows whose decisions differ, ties apart
    ties: list[str] = field(default_factory=list)  # those that differ within NEAR of a tie

    @property
    def network_accuracy(self) -> float:
        """Of the network in PyTorch."""
        return self.network_right / self.clips

    @property
    def file_accuracy(self) -> float:
        """Of the file in onnxruntime."""
        return self.file_right / self.clips

    def add(self, expected: Floats, found: Floats, names: list[str], labels: NDArray[np.int64] | None = None) -> None:
        """Compare probabilities (N, K); those of test clips have labels (N,)."""
        self.compared += len(expected)
        difference = float(np.abs(found - expected).max()) if len(expected) else 0.0
        self.largest_difference = max(self.largest_difference, np.inf if np.isnan(difference) else difference)
        decisions = expected.argmax(1), found.argmax(1)
        if labels is not None:
            self.network_right += int((decisions[0] == labels).sum())
            self.file_right += int((decisions[1] == labels).sum())
        best = np.sort(expected, axis=1)[:, -2:]
        for place in np.flatnonzero(decisions[0] != decisions[1]):
            (self.ties if best[place, 1] - best[place, 0] <= NEAR else self.differing).append(names[place])

    def problem(self, *, int8: bool) -> str | None:
        """Why the file is not to be kept, as the end of a sentence that begins with it; None where it is."""
        if not np.isfinite(self.largest_difference):
            return "gives probabilities that are not numbers"
        if int8:
            loss = self.network_accuracy - self.file_accuracy
            if loss <= LOSS + 1e-12:
                return None
            return (
                f"has {100 * self.file_accuracy:.2f} % of the test clips right where the network has "
                f"{100 * self.network_accuracy:.2f} %, which is more than {100 * LOSS:.1f} points less"
            )
        if self.differing:
            named = ", ".join(self.differing[:_NAMED])
            more = f" and {len(self.differing) - _NAMED:,} more" if len(self.differing) > _NAMED else ""
            return f"decides otherwise than the network on {named}{more}"
        if self.largest_difference > NEAR:
            return f"gives a probability that is {self.largest_difference:.1e} away from the network's"
        return None


def compared(model: NetworkModel, file: OnnxModel, clips: Clips, track: Track = untracked) -> Agreement:
    """The comparison of a file with its network on the test clips, and on windows or hops of their stream."""
    return (_of_hops if file.is_streaming else _of_clips)(model, file, clips, track)


def _of_clips(model: NetworkModel, file: OnnxModel, clips: Clips, track: Track) -> Agreement:
    found, labels, at = Agreement(len(clips.test)), clips.labels(), 0
    for waveforms in clips.batches(track):
        part = slice(at, at + len(waveforms))
        names = [clip.name for clip in clips.test[part]]
        found.add(model.probabilities(waveforms), file.probabilities(waveforms), names, labels[part])
        at += len(waveforms)
    for number, waveforms in enumerate(clips.windows()):
        names = [f"window {number * BATCH + place + 1}" for place in range(len(waveforms))]
        found.add(model.probabilities(waveforms), file.probabilities(waveforms), names)
    return found


def _of_hops(model: NetworkModel, file: OnnxModel, clips: Clips, track: Track) -> Agreement:
    found, labels = Agreement(len(clips.test)), clips.labels()
    expected, given = model.stream(), file.stream()
    for second in range(_MINUTE):
        waveform = read([clips.test[(2 * second + 1) * len(clips.test) // (2 * _MINUTE)]])[0]
        names = [f"hop {hop + 1} of second {second + 1}" for hop in range(SAMPLES // HOP_SAMPLES)]
        found.add(expected.push(waveform), given.push(waveform), names)
    given, before, at = file.stream(), np.zeros((1, SAMPLES), np.float32), 0
    given.push(before[0])
    for waveforms in clips.batches(track):
        part = slice(at, at + len(waveforms))
        ends = np.stack([given.push(waveform)[-1] for waveform in waveforms])
        both = np.concatenate([before, waveforms])
        names = [f"the end of {clip.name}" for clip in clips.test[part]]
        found.add(_at_ends(model, np.concatenate([both[:-1], both[1:]], axis=1)), ends, names, labels[part])
        before, at = waveforms[-1:], at + len(waveforms)
    return found


def _at_ends(model: NetworkModel, waveforms: Floats) -> Floats:
    """A stream's probabilities (B, K) after two seconds (B, 2 S), without those before."""
    last = (2 * SAMPLES - HOP_SAMPLES) // FRONT_END.hop  # the newest frame, one hop before the newest sample
    with torch.inference_mode():
        logits = [
            model.network(model.normalised(log_mel(part)[:, last + 1 - FRAMES : last + 1]))
            for part in torch.from_numpy(waveforms).split(BATCH)
        ]
        return model.softmax(torch.cat(logits)).numpy()
