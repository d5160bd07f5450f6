"""What a verdict is made of: intervals, gains, rows of tables, outcomes of rules, facts of models."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from components.gate.settings import Metric
from trainer.settings import Settings

Outcome = Literal["passed", "failed", "cannot be told"]
Subject = Literal["candidate", "baseline"]
RuleKind = Literal[
    "evaluation",  # TFMA's own blessing, and whether its metrics are those of the predictions
    "baseline",  # against the frozen baseline
    "production",  # against the production model
    "class",
    "slice",
    "floor",
    "budget",
    "smoke test",
]


class Interval(Settings):
    """A confidence interval; each of its bounds alone holds with probability (1 + confidence) / 2.

    Attributes:
        low: lower bound; None where there is none.
        high: upper bound.
        confidence: that both hold, such as 0.9.
        method: "score" (Tango's of a paired difference, or Wilson's of a share) or "bootstrap".
    """

    low: float | None
    high: float | None
    confidence: float
    method: Literal["score", "bootstrap"]


class Gain(Settings):
    """How much better the candidate is than another model; negative where it is worse.

    Attributes:
        value: the difference, in the direction that is better; None where it could not be computed.
        interval: of it; None where it could not be computed.
        p_value: one-sided, of a gain this large if the models were equal: McNemar's exact test for accuracy, a paired
            randomisation test otherwise, and for accuracy by weights, too.
    """

    value: float | None
    interval: Interval | None = None
    p_value: float | None = None


class MetricRow(Settings):
    """One metric of all models on the test split; None where it could not be computed or there is no such model.

    Attributes:
        name: as shown to people, such as "log loss".
        metric: as a configuration names it; None for what can only be looked at.
        higher_is_better: the direction.
        candidate: value of the fine-tuned model.
        baseline: value of the frozen-only model.
        production: value of the production model, on the classes that it shares with the candidate.
        candidate_on_shared: the candidate's value on these; equal to `candidate` where the classes are the same.
        candidate_interval: of the candidate's value.
        baseline_interval: of the baseline's value.
        production_interval: of the production model's value.
        gain_over_baseline: the paired comparison.
        gain_over_production: the same on the shared classes.
    """

    name: str
    metric: Metric | None = None
    higher_is_better: bool = True
    candidate: float | None
    baseline: float | None
    production: float | None = None
    candidate_on_shared: float | None = None
    candidate_interval: Interval | None = None
    baseline_interval: Interval | None = None
    production_interval: Interval | None = None
    gain_over_baseline: Gain | None = None
    gain_over_production: Gain | None = None

    @property
    def difference(self) -> float | None:
        """Candidate minus baseline, whichever direction is better."""
        if self.candidate is None or self.baseline is None:
            return None
        return self.candidate - self.baseline


class SubsetRow(Settings):
    """The test examples of one class, or with one value of a feature.

    Attributes:
        name: the class, or the value.
        feature: whose value it is; None for a class.
        num_examples: how many test examples are of it.
        accuracy: of all models on these examples; of a class that is its recall. Its gains have intervals that are
            not corrected for the number of subsets; outcomes are.
        outcome: against the baseline and the production model, with Holm's correction; None where no rule is set.
    """

    name: str
    feature: str | None = None
    num_examples: int
    accuracy: MetricRow
    outcome: Outcome | None = None


class ClassRow(SubsetRow):
    """One class in all models; precision and recall count the most probable class of each image.

    Attributes:
        precision: share of the images called so that are so; None where none is called so.
        calibration: mean probability of the class over its share of the images; 1 is right on average.
    """

    precision: MetricRow
    calibration: MetricRow

    @property
    def label(self) -> str:
        """The class."""
        return self.name

    @property
    def recall(self) -> MetricRow:
        """Share of its images that are called so."""
        return self.accuracy


class RuleOutcome(Settings):
    """What one rule found.

    Attributes:
        kind: which sort of rule.
        name: in a few words, such as "gain over the frozen baseline in accuracy".
        metric: that it is about, if any.
        subset: the class or the slice that it is about, if any.
        subject: the model that it judges.
        value: what was found.
        interval: of the value, with the correction for the number of subsets where there are several.
        p_value: of the test that decided, corrected likewise.
        threshold: what the value, or a bound of its interval, was held against.
        unit: of value and threshold; "" for plain numbers.
        num_examples: that it was computed on.
        outcome: passed, failed, or cannot be told.
        refuses: whether it refuses the model, which every failed rule does, and most that cannot be told.
        words: the whole in words, without a full stop.
    """

    kind: RuleKind
    name: str
    metric: Metric | None = None
    subset: str | None = None
    subject: Subject = "candidate"
    value: float | None = None
    interval: Interval | None = None
    p_value: float | None = None
    threshold: float | None = None
    unit: str = ""
    num_examples: int | None = None
    outcome: Outcome
    refuses: bool
    words: str


class McNemar(Settings):
    """Test examples on which exactly one of two models is right; each counts once, whatever it weighs.

    Attributes:
        num_gained: the candidate alone is right.
        num_lost: the other model alone is right.
        p_value: two-sided, exact.
    """

    num_gained: int
    num_lost: int
    p_value: float


class Power(Settings):
    """What this test set could have shown of the gain over the frozen baseline.

    Attributes:
        power: the chance that is meant, such as 0.8.
        smallest_gain: the least true gain that would pass the rule with that chance.
        resolution: the least true gain that would be told from none with that chance.
        num_examples_for_min_gain: test examples that would tell a gain of min_gain from none; None where min_gain is 0.
        num_examples_for_observed_gain: test examples that would let the observed gain pass; None where it never would.
    """

    power: float
    smallest_gain: float
    resolution: float
    num_examples_for_min_gain: int | None = None
    num_examples_for_observed_gain: int | None = None


class Latency(Settings):
    """Milliseconds per request, over repeated requests.

    Attributes:
        batch_size: images in a request.
        p50_ms: median.
        p95_ms: 95th percentile.
        num_requests: how many were timed.
    """

    batch_size: int
    p50_ms: float
    p95_ms: float
    num_requests: int


class ModelFacts(Settings):
    """One model that took part.

    Attributes:
        uri: folder of its SavedModel.
        sha256: digest of graph, weights and labels.
        version: number in the push destination, of the production model.
        labels: its classes, in the order of its scores.
        num_parameters: of its weights; None where the model was not loaded apart.
        size_mib: of its files.
        latency: by batch size, of the exported model in a process of its own.
    """

    uri: str
    sha256: str
    version: str | None = None
    labels: Annotated[tuple[str, ...], Field(strict=False)]
    num_parameters: int | None = None
    size_mib: float
    latency: Annotated[tuple[Latency, ...], Field(strict=False)] = ()


class Approval(Settings):
    """A refused model that somebody pushed all the same.

    Attributes:
        who: the user.
        when: UTC.
        why: the reason given.
        pushed_to: folder of the version.
    """

    who: str
    when: AwareDatetime
    why: str
    pushed_to: str
