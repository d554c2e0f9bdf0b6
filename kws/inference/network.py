"""A run's network in PyTorch, with its front end: waveforms to probabilities, clip by clip or hop by hop.

Decisions:
- A clip is heard as in training: one second, padded by reflection at both ends.
- A stream is heard through the same window of one second, which moves on by a hop of 20 ms. Each frame of features is
  computed once, from the samples around it, and there is no padding but digital silence before the stream's beginning.
  A frame is complete 12.5 ms after its centre; a hop of 320 samples completes two frames.
- A stream's network has its batch normalisations folded into its convolutions (see kws.inference.folding).
- Probabilities are the softmax of logits divided by the card's temperature.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from kws.architectures import FRAMES
from kws.inference.card import ModelCard
from kws.inference.detections import HOP_SAMPLES
from kws.inference.folding import folded
from kws.speech.features import log_mel, mel_filters
from kws.speech.front_end import FRONT_END

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Floats = NDArray[np.float32]

HOP_FRAMES = HOP_SAMPLES // FRONT_END.hop
TAIL_SAMPLES = FRONT_END.window // 2 + FRONT_END.hop  # heard before a hop: its first frame begins there
_BATCH = 64  # clips or windows at once: what fits into a processor's cache


class NetworkModel:
    """Probabilities by a network of PyTorch; `mean` and `std` are what its features were normalised with."""

    def __init__(self, card: ModelCard, network: nn.Module, mean: float, std: float) -> None:
        self.card, self.network, self.mean, self.std = card, network.eval(), mean, std

    @torch.inference_mode()
    def logits(self, waveforms: Floats) -> Floats:
        """Logits (B, K) of clips (B, S), S = 16,000 samples at 16 kHz."""
        if not len(waveforms):
            return np.empty((0, len(self.card.words)), np.float32)
        clips = torch.from_numpy(np.ascontiguousarray(waveforms, np.float32))
        return torch.cat([self.network(self.normalised(log_mel(batch))) for batch in clips.split(_BATCH)]).numpy()

    def probabilities(self, waveforms: Floats) -> Floats:
        """Probabilities (B, K) of clips (B, S)."""
        return self.softmax(torch.from_numpy(self.logits(waveforms))).numpy()

    def stream(self) -> NetworkStream:
        """A stream's probabilities, from its beginning."""
        return NetworkStream(self)

    @cached_property
    def folded(self) -> nn.Module:
        """The network as streams use it."""
        return folded(self.network, torch.randn(2, FRAMES, FRONT_END.bands, generator=torch.Generator()))

    def normalised(self, features: Tensor) -> Tensor:
        """Log-mel features (B, T, M) as the network takes them."""
        return (features - self.mean) / self.std

    def softmax(self, logits: Tensor) -> Tensor:
        """Probabilities (B, K) of logits (B, K), at the card's temperature."""
        return torch.softmax(logits / self.card.temperature, dim=1)


class NetworkStream:
    """Probabilities of one stream, hop by hop; holds what is heard of the last second and no more."""

    def __init__(self, model: NetworkModel) -> None:
        self._model = model
        self._network = model.folded
        self._samples = torch.zeros(TAIL_SAMPLES)  # and those that are no whole hop yet
        silent = (math.log(FRONT_END.offset) - model.mean) / model.std
        self._features = torch.full((FRAMES - HOP_FRAMES, FRONT_END.bands), silent)
        self._window = torch.hann_window(FRONT_END.window)
        self._filters = mel_filters()

    @torch.inference_mode()
    def push(self, samples: Floats) -> Floats:
        """The probabilities (H, K) at the H hops that these samples (n,) at 16 kHz complete."""
        heard = torch.cat([self._samples, torch.from_numpy(np.ascontiguousarray(samples, np.float32))])
        hops = (len(heard) - TAIL_SAMPLES) // HOP_SAMPLES
        self._samples = heard[hops * HOP_SAMPLES :].clone()
        if not hops:
            return np.empty((0, len(self._model.card.words)), np.float32)
        parts = []
        for first in range(0, hops, _BATCH):
            last = min(first + _BATCH, hops)
            piece = heard[first * HOP_SAMPLES : last * HOP_SAMPLES + TAIL_SAMPLES]
            known = torch.cat([self._features, self._frames(piece)])
            self._features = known[len(known) - (FRAMES - HOP_FRAMES) :].clone()
            windows = known.unfold(0, FRAMES, HOP_FRAMES).transpose(1, 2).contiguous()  # (H, T, M)
            parts.append(self._model.softmax(self._network(windows)))
        return torch.cat(parts).numpy()

    def _frames(self, samples: Tensor) -> Tensor:
        """The frames (2 H, M), normalised, of H hops with the tail before them."""
        frames = samples.unfold(0, FRONT_END.window, FRONT_END.hop)[: (len(samples) - TAIL_SAMPLES) // FRONT_END.hop]
        spectrum = torch.fft.rfft(frames * self._window, n=FRONT_END.transform)
        power = torch.view_as_real(spectrum).square().sum(-1)
        features = (power @ self._filters).add_(FRONT_END.offset).log_()
        return features.sub_(self._model.mean).div_(self._model.std)
