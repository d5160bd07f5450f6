"""What training makes small."""

from typing import Annotated, Literal

from pydantic import Field

from trainer.base_settings import Settings

ClassWeights = Literal["none", "balanced"]


class LossSettings(Settings):
    """The loss of training; by default cross-entropy. Evaluation is by plain log loss whatever these say.

    Attributes:
        label_smoothing: share of each label that is spread evenly over all classes (Szegedy et al. 2016).
        focal_gamma: how much examples that are classified well count less, 0 for not at all; 2 is usual (Lin et al.
            2017).
        class_weights: "balanced" lets every class count the same in sum, however many examples it has.
    """

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 0.0
    class_weights: ClassWeights = "none"
