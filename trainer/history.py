"""What phases and epochs did: the records, and what follows from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer.errors import ThawError
from trainer.freeze_contract import ContractReport
from trainer.freezing import TrainableSet
from trainer.phase_length import PhaseLength
from trainer.phase_settings import PhaseSettings
from trainer.search.results import PhaseSearch


@dataclass(frozen=True)
class Summary:
    """Means over examples; nan where there are none.

    Attributes:
        loss: in nats.
        accuracy: share whose most probable class is right.
    """

    loss: float
    accuracy: float


@dataclass(frozen=True)
class EpochRecord:
    """One line of the history: what lies between two evaluations, an epoch if nothing else is asked for.

    Losses are in nats.

    Attributes:
        phase: name of the phase.
        epoch: the number of the evaluation within the phase, counted from 1.
        train_loss: mean over the epoch's examples as they were trained on, while the weights were changing.
        train_accuracy: likewise.
        eval_log_loss: mean over the eval split, after the epoch.
        eval_accuracy: likewise.
        learning_rates: of the epoch's last step, by the name of the rate group.
        step: how many steps of the phase were done.
        norms: of gradients and updates, by what they are of, see `trainer.norms`; none where nobody wants curves.
    """

    phase: str
    epoch: int
    train_loss: float
    train_accuracy: float
    eval_log_loss: float
    eval_accuracy: float
    learning_rates: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    norms: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether the model gave an answer at all; where its outputs are no numbers, its accuracy still is one."""
        return math.isfinite(self.eval_log_loss)


@dataclass(frozen=True)
class CacheUse:
    """Whether a phase read what frozen layers make of the images from the cache.

    Attributes:
        is_used: whether.
        why: and what it was expected to save, or what would not be right or not pay; in words.
    """

    is_used: bool
    why: str

    @property
    def in_words(self) -> str:
        """Such as "with the cache: …"."""
        return f"{'with' if self.is_used else 'without'} the cache: {self.why}"


@dataclass(frozen=True)
class PhaseRecord:
    """What a phase was and did.

    Attributes:
        settings: as configured, with what was found in the place of "auto".
        trainable: the freeze boundary, resolved.
        contract: which variables changed, and that no frozen one did.
        epochs: the history.
        best_epoch: whose weights the phase ended with, counted from 1.
        warning: what went wrong without ending the run, in words; or None.
        recalibrated: of the eval split, after statistics were estimated anew; None where they were not.
        search: what was found for the phase before it trained, and stands in `settings`; None where all was stated.
        cache: whether it read from the cache; no part of what makes two records equal, since it changes no result.
    """

    settings: PhaseSettings
    trainable: TrainableSet
    contract: ContractReport
    epochs: tuple[EpochRecord, ...]
    best_epoch: int
    warning: str | None = None
    recalibrated: Summary | None = None
    search: PhaseSearch | None = None
    cache: CacheUse | None = field(default=None, compare=False)


def best_of(phase: PhaseSettings, epochs: Sequence[EpochRecord]) -> int | None:
    """The best epoch by the phase's metric, counted from 1, the first of equals; None where none is good."""
    good = [record for record in epochs if record.is_good]
    if not good:
        return None
    if phase.early_stopping_metric == "accuracy":
        return max(good, key=lambda record: record.eval_accuracy).epoch
    return min(good, key=lambda record: record.eval_log_loss).epoch


def is_over(phase: PhaseSettings, length: PhaseLength, epochs: Sequence[EpochRecord]) -> bool:
    """Whether all epochs are done, or as many as `early_stopping_patience` were no better than the best."""
    if len(epochs) >= length.num_evaluations:
        return True
    num_worse = len(epochs) - (best_of(phase, epochs) or 0)
    return phase.early_stopping_patience is not None and bool(epochs) and num_worse >= phase.early_stopping_patience


def best_or_error(phase: PhaseSettings, epochs: Sequence[EpochRecord]) -> int:
    """`best_of`.

    Raises:
        ThawError: no epoch is good.
    """
    best = best_of(phase, epochs)
    if best is None:
        raise ThawError(
            f"phase {phase.name!r} diverged: its log loss is not a number in any epoch; lower its "
            f"learning_rate ({phase.peak_rate:g})"
        )
    return best
