"""That test examples count by weights, in the verdict and in words; readable without numpy."""

from collections.abc import Sequence

from trainer.settings import Settings


class ExampleWeights(Settings):
    """That test examples count by weights: every metric, interval and test does, but McNemar's.

    Attributes:
        smallest: weight above 0.
        largest: weight.
        num_left_out: examples of weight 0.
        num_equal_examples: how many examples that count alike would tell as much (Kish's effective sample size).
    """

    smallest: float
    largest: float
    num_left_out: int
    num_equal_examples: float


def example_weights(weights: Sequence[float] | None) -> ExampleWeights | None:
    """What to say of the weights of a test split, one of which is above 0; None where all count alike."""
    if weights is None or len(set(weights)) < 2:
        return None
    above_0 = [weight for weight in weights if weight > 0]
    return ExampleWeights(
        smallest=min(above_0),
        largest=max(above_0),
        num_left_out=len(weights) - len(above_0),
        num_equal_examples=sum(above_0) ** 2 / sum(weight**2 for weight in above_0),
    )


def weight_warnings(found: ExampleWeights | None, num_examples: int) -> list[str]:
    """The same in words; nothing where all count alike."""
    if found is None:
        return []
    left_out = f"; {found.num_left_out:,} of weight 0 do not count" if found.num_left_out else ""
    return [
        f"the test examples count by their weights, from {found.smallest:g} to {found.largest:g}: the {num_examples:,} "
        f"tell as much as {found.num_equal_examples:,.0f} that count alike{left_out}; McNemar's test alone counts each "
        "once"
    ]
