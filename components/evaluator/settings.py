"""What TFMA is asked for."""

from typing import Annotated

from pydantic import Field

from trainer.settings import Settings


class EvaluationSettings(Settings):
    """What is computed, and the one threshold that TFX needs to give a blessing at all.

    Attributes:
        min_accuracy: the least accuracy on the test split.
        top_k: k of the top-k accuracy that is reported.
    """

    min_accuracy: Annotated[float, Field(ge=0, le=1)] = 0.0
    top_k: Annotated[int, Field(ge=2)] = 3
