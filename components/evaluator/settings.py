"""What a candidate must reach to be pushed."""

from typing import Annotated

from pydantic import Field

from trainer.settings import Settings


class GateSettings(Settings):
    """What the fine-tuned model must reach on the test split to be pushed.

    Attributes:
        min_accuracy: the least accuracy, from 0 to 1.
        min_gain: the least gain in accuracy over the frozen baseline of the same run, from -1 to 1.
        top_k: k of the top-k accuracy that is reported.
    """

    min_accuracy: Annotated[float, Field(ge=0, le=1)]
    min_gain: Annotated[float, Field(ge=-1, le=1)] = 0.0
    top_k: Annotated[int, Field(ge=2)] = 3
