"""What a candidate must show to be pushed: the section `gate` of a configuration."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from trainer.settings import Settings

Metric = Literal["accuracy", "macro_f1", "log_loss", "auc", "calibration_error"]

Fraction = Annotated[float, Field(ge=0, le=1)]
Margin = Annotated[float, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]

_AT_MOST_ONE = ("accuracy", "macro_f1", "auc", "calibration_error")


class SubsetSettings(Settings):
    """How classes, or slices by a feature, are held against the frozen baseline and the production model.

    The accuracy within the subset counts; for a class that is its recall.

    Attributes:
        margin: by how much it may be lower.
        min_examples: a subset of fewer test examples is listed as "cannot be told".
        if_cannot_be_told: whether a subset that cannot be told refuses the model. To show that no class has lost takes
            some hundred test examples of each, so it does not by default; it is always listed.
    """

    margin: Annotated[float, Field(gt=0, lt=1)] = 0.05
    min_examples: Annotated[int, Field(ge=2)] = 30
    if_cannot_be_told: Literal["report", "refuse"] = "report"


class LatencyBudget(Settings):
    """The most milliseconds that one request may take on the machine that runs the gate; None for no limit.

    Attributes:
        batch_1_p50_ms: median of requests of one image.
        batch_1_p95_ms: 95th percentile of the same.
        batch_32_p50_ms: median of requests of 32 images.
        batch_32_p95_ms: 95th percentile of the same.
    """

    batch_1_p50_ms: Positive | None = None
    batch_1_p95_ms: Positive | None = None
    batch_32_p50_ms: Positive | None = None
    batch_32_p95_ms: Positive | None = None


class BudgetSettings(Settings):
    """The most that the exported model may cost; None for no limit.

    Attributes:
        latency: of requests.
        size_mib: of its files.
        num_parameters: of its weights.
    """

    latency: LatencyBudget = LatencyBudget()
    size_mib: Positive | None = None
    num_parameters: Annotated[int, Field(ge=1)] | None = None


class GateSettings(Settings):
    """What the fine-tuned model must show on the test split to be pushed.

    A gain is a difference in the direction that is better: of log loss and calibration error, how much lower it is.

    Attributes:
        metric: the metric whose gain over the frozen baseline of the same run is asked for.
        alpha: how often, at most, a model passes a comparison by luck that it should not pass. Bounds are one-sided at
            this level, so intervals cover with probability 1 - 2 alpha.
        min_gain: the gain that the bound of the interval must exceed; None asks for none (see baseline_margins).
        baseline_margins: by how much, at most, other metrics may be worse than the baseline's.
        production_margins: by how much, at most, metrics may be worse than those of the production model, which is the
            newest version in the push destination.
        first_push: what holds while there is no production model: "require_floor" asks for at least one floor,
            "approve" for nothing more, "refuse" leaves it to `thaw approve`.
        floors: the worst value of each metric; of log loss and calibration error, the highest.
        classes: the same for each class; None for no such rule.
        slices: the same for the values of features.
        slice_features: features of the examples, such as the camera.
        budgets: what the exported model may cost.
        on_refusal: "push_baseline" pushes the frozen baseline where the candidate is refused, if the baseline reaches
            the same floors and budgets and beats production.
        num_resamples: of the bootstrap and of randomisation tests.
        seed: of the same.
        top_k: k of the top-k accuracy that is reported.
    """

    metric: Metric = "accuracy"
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    min_gain: Annotated[float, Field(ge=0)] | None = 0.0
    baseline_margins: dict[Metric, Margin] = {}
    production_margins: Annotated[dict[Metric, Margin], Field(min_length=1)] = {"accuracy": 0.02}
    first_push: Literal["require_floor", "approve", "refuse"] = "require_floor"
    floors: dict[Metric, Annotated[float, Field(ge=0)]] = {}
    classes: SubsetSettings | None = SubsetSettings()
    slices: SubsetSettings = SubsetSettings()
    slice_features: Annotated[tuple[str, ...], Field(strict=False)] = ()
    budgets: BudgetSettings = BudgetSettings()
    on_refusal: Literal["push_nothing", "push_baseline"] = "push_nothing"
    num_resamples: Annotated[int, Field(ge=200, le=100_000)] = 2000
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    top_k: Annotated[int, Field(ge=2)] = 3

    @model_validator(mode="after")
    def _fractions_are_fractions(self) -> Self:
        for key, values in (
            ("floors", self.floors),
            ("baseline_margins", self.baseline_margins),
            ("production_margins", self.production_margins),
            ("min_gain", {self.metric: self.min_gain or 0.0}),
        ):
            for metric, value in values.items():
                if metric in _AT_MOST_ONE and value > 1:
                    raise ValueError(f"{key} of {metric} is {value:g}, but {metric} lies between 0 and 1")
        return self

    @model_validator(mode="after")
    def _baseline_is_compared(self) -> Self:
        if self.min_gain is None and not self.baseline_margins:
            raise ValueError(
                "min_gain is null and baseline_margins is empty, so nothing would be asked of the model beside its "
                "frozen baseline; give min_gain, or baseline_margins such as {accuracy: 0.01}"
            )
        return self

    @model_validator(mode="after")
    def _first_push_has_a_floor(self) -> Self:
        if self.first_push == "require_floor" and not self.floors:
            raise ValueError(
                "first_push is require_floor, but there are no floors; give floors such as {accuracy: 0.9}, or state "
                "first_push: approve or refuse"
            )
        return self
