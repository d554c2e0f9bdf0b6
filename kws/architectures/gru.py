"""GRU: the network of the report's authors' next report, two recurrent layers and three linear ones.

Two GRU layers of 64 units over the 101 frames (Cho et al., arXiv:1406.1078); the last hidden state of the second goes
through 64 -> 128 -> 128 -> K with ReLU between. The authors' test accuracy is 95.69 %, on clips that are not known.

In fp32 on processors, training steps are computed by kws.architectures._recurrent, which gives the same results as
nn.GRU.
"""

import torch
from torch import Tensor, nn

from kws.architectures import BANDS, _recurrent, _steps

ORDER = 3
MICRO_BATCH = {"fp32": 1024}  # two parts of kws.architectures._recurrent; gates and states of both take 265 MB


class Network(nn.Module):
    """Log-mel features (B, T, M) to logits (B, K)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.gru = nn.GRU(BANDS, 64, num_layers=2, batch_first=True)
        self.fc1 = nn.Linear(64, 128)
        self.fc2 = nn.Linear(128, 128)
        self.fc3 = nn.Linear(128, classes)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, T, M) to logits (B, K)."""
        if self.training and _steps.takes(features):
            x = _recurrent.last_states(features, self.gru)
        else:
            x = self.gru(features)[0][:, -1]
        x = torch.relu(self.fc1(x))
        x = torch.relu(self.fc2(x))
        return self.fc3(x)
