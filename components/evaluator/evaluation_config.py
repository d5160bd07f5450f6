"""What TFMA computes and which thresholds it applies."""

import json
from collections.abc import Sequence
from typing import Any

from tensorflow_model_analysis.proto import config_pb2

from components.evaluator.settings import EvaluationSettings
from trainer.features import LABEL, LABEL_ID, WEIGHT
from trainer.saved_models import EXAMPLES_SIGNATURE, LABEL_FUNCTION

ACCURACY = "accuracy"
TOP_K_ACCURACY = "top_k_accuracy"
LOG_LOSS = "log_loss"
AUC = "auc"
CALIBRATION = "calibration"
EXAMPLE_COUNT = "example_count"


def evaluation_config(
    settings: EvaluationSettings, labels: Sequence[str], is_weighted: bool = False
) -> config_pb2.EvalConfig:
    """The configuration of one evaluation.

    The threshold holds for the overall slice alone; one in the metric's own config would hold for every slice. How the
    candidate compares with its baseline is for the gate to judge, which knows the error of a difference.
    There is exactly one model spec, and it has no name: only then does TFX add the baseline's.

    Args:
        settings: the threshold, and k.
        labels: the classes, in the order of the scores.
        is_weighted: whether an example counts by its feature "weight".
    """
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(
                model_type="tf_generic",
                signature_name=EXAMPLES_SIGNATURE,
                preprocessing_function_names=[LABEL_FUNCTION],
                label_key=LABEL_ID,
                prediction_key="scores",
                example_weight_key=WEIGHT if is_weighted else "",
            )
        ],
        slicing_specs=[config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[LABEL])],
        metrics_specs=[
            _overall_metrics(settings, len(labels)),
            _per_class_metrics(len(labels)),
            _averaged_metrics(len(labels)),
        ],
    )


def _overall_metrics(settings: EvaluationSettings, num_classes: int) -> config_pb2.MetricsSpec:
    accuracy = _metric("SparseCategoricalAccuracy", ACCURACY)
    accuracy.per_slice_thresholds.add(slicing_specs=[config_pb2.SlicingSpec()], threshold=_threshold(settings))
    return config_pb2.MetricsSpec(
        metrics=[
            accuracy,
            _metric("SparseTopKCategoricalAccuracy", TOP_K_ACCURACY, k=min(settings.top_k, num_classes)),
            _metric("SparseCategoricalCrossentropy", LOG_LOSS),
            _metric("ExampleCount", EXAMPLE_COUNT),
            # Thresholds of 0.0 count the most probable class, whatever its probability.
            _metric("MultiClassConfusionMatrixPlot", "confusion_matrix", thresholds=[0.0]),
        ]
    )


def _per_class_metrics(num_classes: int) -> config_pb2.MetricsSpec:
    """Of each class's probability against the rest; precision and recall follow from the confusion matrix."""
    return config_pb2.MetricsSpec(
        binarize=config_pb2.BinarizationOptions(class_ids={"values": range(num_classes)}),
        metrics=[_metric("Calibration", CALIBRATION)],
    )


def _averaged_metrics(num_classes: int) -> config_pb2.MetricsSpec:
    """One against the rest, every class with the same weight."""
    every_class = {class_id: 1.0 for class_id in range(num_classes)}
    return config_pb2.MetricsSpec(
        aggregate=config_pb2.AggregationOptions(macro_average=True, class_weights=every_class),
        metrics=[_metric("AUC", AUC)],
    )


def _metric(class_name: str, name: str, **config: Any) -> config_pb2.MetricConfig:
    return config_pb2.MetricConfig(class_name=class_name, config=json.dumps({"name": name, **config}))


def _threshold(settings: EvaluationSettings) -> config_pb2.MetricThreshold:
    return config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": settings.min_accuracy})
    )
