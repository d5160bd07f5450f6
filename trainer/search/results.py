"""What searches found; plain data, so that checkpoints and training records hold it."""

from dataclasses import dataclass, field

from trainer.phase_settings import Unfreeze
from trainer.search.rate_curves import Rule, Sweep


@dataclass(frozen=True)
class RateSearch:
    """What a search for a learning rate found.

    Attributes:
        sweeps: each over the same rates, with the examples in another order.
        rule: see `trainer.search.rate_curves.Reading`; of the sweep whose suggestion was taken. None where there is no
            suggestion.
        rate: the median of the sweeps' suggestions, to two digits; None where most of them suggest nothing.
        lowest: of the suggestions.
        highest: likewise.
        steepest: the median of the rates at which the loss falls fastest; None where it does not fall.
        reason: why nothing is suggested, in words; empty where something is.
    """

    sweeps: tuple[Sweep, ...]
    rule: Rule | None = None
    rate: float | None = None
    lowest: float | None = None
    highest: float | None = None
    steepest: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class DepthTrial:
    """A freeze boundary that was tried.

    Attributes:
        unfreeze: the boundary.
        where: the same in words, such as "from block4 up".
        learning_rate: it was trained with.
        num_trained_parameters: how many numbers trained, those of the head included.
        eval_log_loss: of the eval split after the trial, in nats; infinite where the trial diverged.
        eval_accuracy: likewise; 0 where it diverged.
        excess: mean over the eval examples of the loss above that of the best trial.
        standard_error: of `excess`, from the differences of the examples' losses.
        duration_s: seconds of training and evaluation.
    """

    unfreeze: Unfreeze
    where: str
    learning_rate: float
    num_trained_parameters: int
    eval_log_loss: float
    eval_accuracy: float
    excess: float
    standard_error: float
    duration_s: float = field(compare=False)


@dataclass(frozen=True)
class DepthSearch:
    """What a search for a freeze boundary found.

    Attributes:
        trials: in the order of their trained parameters, fewest first.
        chosen: index of the one that was taken: the first whose excess is at most one standard error.
        num_steps: that each trial trained.
        num_examples: of the training split that a trial saw, at most.
    """

    trials: tuple[DepthTrial, ...]
    chosen: int
    num_steps: int
    num_examples: int


@dataclass(frozen=True)
class PhaseSearch:
    """What was found for a phase before it trained.

    Attributes:
        rate: the search for its learning rate; None where it was stated.
        depth: the search for its freeze boundary; None where it was stated.
        note: what else there is to say of it, such as that the rate was lowered; empty where there is nothing.
    """

    rate: RateSearch | None
    depth: DepthSearch | None
    note: str = ""
