"""Everything that the rules judge by; no rule reads a file or asks a model."""

from collections.abc import Mapping
from dataclasses import dataclass

from components.gate.comparison import Comparison
from components.gate.predictions import ModelName, Predictions
from components.gate.settings import Metric
from components.gate.smoke_test import SmokeTest
from components.gate.verdict_schema import ModelFacts


@dataclass(frozen=True)
class Evaluation:
    """What TFMA found.

    Attributes:
        is_blessed: its own decision.
        metrics: "accuracy" and "log_loss" of "candidate" and "baseline"; None where one is not a number.
    """

    is_blessed: bool
    metrics: Mapping[ModelName, Mapping[Metric, float | None]]


@dataclass(frozen=True)
class Evidence:
    """What is known of a candidate.

    Attributes:
        predictions: of all models.
        against_baseline: the candidate beside the frozen baseline.
        against_production: the candidate beside the production model; None where there is none, or it cannot be asked.
        production_failure: why the production model cannot be asked, or "".
        evaluation: TFMA's.
        smoke_test: of the candidate.
        models: facts of each model.
    """

    predictions: Predictions
    against_baseline: Comparison
    against_production: Comparison | None
    production_failure: str
    evaluation: Evaluation
    smoke_test: SmokeTest
    models: Mapping[ModelName, ModelFacts]
