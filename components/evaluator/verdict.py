"""The decision of the gate, in numbers and in words; written beside the evaluation as `verdict.json`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from components.evaluator.settings import GateSettings
from trainer.settings import Settings

FILE_NAME = "verdict.json"


class MetricRow(Settings):
    """One metric of both models on the test split; None where it could not be computed.

    Attributes:
        name: as shown to people, such as "accuracy".
        candidate: value of the fine-tuned model.
        baseline: value of the frozen-only model.
    """

    name: str
    candidate: float | None
    baseline: float | None

    @property
    def difference(self) -> float | None:
        """Candidate minus baseline."""
        if self.candidate is None or self.baseline is None:
            return None
        return self.candidate - self.baseline


class ClassRow(Settings):
    """One class in both models; precision and recall count the most probable class of each image.

    Attributes:
        label: the class.
        num_examples: how many test examples are of it.
        precision: share of the images called so that are so; None where none is called so.
        recall: share of its images that are called so.
        calibration: mean probability of the class over its share of the images; 1 is right on average.
    """

    label: str
    num_examples: int
    precision: MetricRow
    recall: MetricRow
    calibration: MetricRow


class Verdict(Settings):
    """Whether the candidate may be pushed, and why.

    Attributes:
        approved: the blessing.
        sentence: the verdict in one sentence.
        reasons: what each rule found, in words.
        metrics: both models side by side.
        class_metrics: the same for each class, in the order of the scores.
        num_test_examples: how many examples the metrics were computed on.
    """

    approved: bool
    sentence: str
    reasons: Annotated[tuple[str, ...], Field(strict=False)]
    metrics: Annotated[tuple[MetricRow, ...], Field(strict=False)]
    class_metrics: Annotated[tuple[ClassRow, ...], Field(strict=False)] = ()
    num_test_examples: int


def decide(
    rules: GateSettings,
    candidate: Mapping[str, float | None],
    baseline: Mapping[str, float | None],
    num_test_examples: int,
    blessed: bool,
    class_metrics: tuple[ClassRow, ...] = (),
) -> Verdict:
    """Puts TFMA's blessing into words.

    Args:
        rules: the thresholds that TFMA applied.
        candidate: value per metric of the fine-tuned model; "accuracy" is among them.
        baseline: the same of the frozen-only model.
        num_test_examples: number of evaluated examples.
        blessed: TFMA's decision; it counts together with the rules.
        class_metrics: for the record; no rule depends on them.
    """
    metrics = tuple(
        MetricRow(name=name, candidate=value, baseline=baseline.get(name)) for name, value in candidate.items()
    )
    floor = _floor(rules, candidate["accuracy"])
    gain = _gain(rules, candidate["accuracy"], baseline["accuracy"])
    reasons: tuple[str, ...] = (floor[1], gain[1])
    if blessed and not (floor[0] and gain[0]):
        # The two must agree; if they ever do not, the stricter one holds and says so.
        reasons += ("TFMA blessed the model although a rule is not met; the rule counts",)
    if not blessed and floor[0] and gain[0]:
        reasons += ("TFMA did not bless the model although both rules are met; see the evaluation's validations",)
    approved = blessed and floor[0] and gain[0]
    failed = [words for passed, words in (floor, gain) if not passed]
    sentence = (
        f"The fine-tuned model may be pushed: {gain[1]}."
        if approved
        else f"The fine-tuned model is refused: {'; '.join(failed) or reasons[-1]}."
    )
    return Verdict(
        approved=approved,
        sentence=sentence,
        reasons=reasons,
        metrics=metrics,
        class_metrics=class_metrics,
        num_test_examples=num_test_examples,
    )


def _floor(rules: GateSettings, accuracy: float | None) -> tuple[bool, str]:
    if accuracy is None:
        return False, "its accuracy is not a number"
    passed = accuracy >= rules.min_accuracy
    relation = "reaches" if passed else "is below"
    return passed, f"its accuracy {accuracy:.4f} {relation} the floor {rules.min_accuracy:.4f}"


def _gain(rules: GateSettings, candidate: float | None, baseline: float | None) -> tuple[bool, str]:
    if candidate is None or baseline is None:
        return False, "its gain over the frozen baseline cannot be computed"
    gain = candidate - baseline
    passed = gain >= rules.min_gain
    relation = "reaches" if passed else "is below"
    return passed, (
        f"its gain of {gain:+.4f} over the frozen baseline ({baseline:.4f}) {relation} "
        f"the least gain {rules.min_gain:+.4f}"
    )


def write(verdict: Verdict, folder: str) -> None:
    """Writes `verdict` into `folder`."""
    (Path(folder) / FILE_NAME).write_text(verdict.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read(folder: str) -> Verdict:
    """Reads the verdict of an evaluation.

    Raises:
        OSError: the folder holds none.
    """
    return Verdict.model_validate_json((Path(folder) / FILE_NAME).read_text(encoding="utf-8"))
