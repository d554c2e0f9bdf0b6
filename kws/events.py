"""What happens in a run, as plain values: the learning wing yields them, the registry keeps them, the edge shows them.

Standard library only. Accuracies are fractions in [0, 1]; losses are means in nats a clip. The losses of iterations and
epochs are what training minimises, which for a recipe with a softmax before cross-entropy is another quantity than for
one without; an Evaluation has that as its `objective`, and as its `loss` one that is the same quantity for all.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class IterationEnd:
    """One optimizer step on one minibatch; loss and accuracy are those before the step."""

    iteration: int  # from 1, over all epochs
    clips: int
    loss: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class EpochEnd:
    """One pass over the training split, and the validation split after it.

    The training loss and accuracy are means over the epoch's clips, each taken before its minibatch's step.
    """

    epoch: int  # from 1
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float
    iterations: tuple[IterationEnd, ...]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A network's answers on one split: a byte a clip for the class predicted and one for the class it is.

    `loss` is the mean cross-entropy of the probabilities, the softmax of the outputs, with the labels; None where an
    older registry has lost what it is computed from. `objective` is the mean of what training minimises.
    `logits` are the network's outputs, little-endian float16 (N, K), of which the predictions are the largest; they are
    empty where the registry has them apart, or never had them, and do not count when two evaluations are compared.
    """

    split: str
    loss: float | None
    objective: float
    accuracy: float
    predictions: bytes
    labels: bytes
    logits: bytes = field(default=b"", compare=False, repr=False)

    @property
    def clips(self) -> int:
        """Clips evaluated."""
        return len(self.labels)
