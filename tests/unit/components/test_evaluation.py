"""TFMA's figures are scikit-learn's, on two real SavedModels; and what it blesses."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluator.results import read_metrics
from components.evaluator.settings import EvaluationSettings
from trainer.errors import ThawError

pytestmark = pytest.mark.slow

SETTINGS = EvaluationSettings(min_accuracy=0.5, top_k=2)
BEAM = ["--runner=components.in_process_runner.InProcessRunner", "--direct_running_mode=in_memory"]


@dataclass(frozen=True)
class Material:
    """Two exported models that disagree, the examples of the test split, and what each model says of them."""

    models: dict[str, str]
    examples: Path
    weighted_examples: Path
    weights: np.ndarray
    labels: tuple[str, ...]
    truth: np.ndarray
    scores: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def material(
    tmp_path_factory: pytest.TempPathFactory, transform_graph: Path, digit_files: list[tuple[bytes, str]]
) -> Material:
    """The candidate's head is fitted to the digits; the baseline never predicts the last class."""
    import tensorflow as tf

    from trainer.classifier import Classifier
    from trainer.export import SERVING_SIGNATURE, export
    from trainer.small_cnn import small_cnn
    from trainer.transform_graph import read_labels

    folder = tmp_path_factory.mktemp("evaluation")
    labels = read_labels(str(transform_graph))
    truth = np.array([labels.index(label) for _, label in digit_files])
    models, scores = {}, {}
    for name in ("candidate", "baseline"):
        tf.keras.utils.set_random_seed(1)
        model = Classifier(small_cnn(8), "unit", num_classes=3, dropout_rate=0.0)
        model.build((None, 8, 8, 3))
        models[name] = str(folder / name)
        fit_head(model, digit_files, truth, last_class_wins=name == "candidate")
        serving = f"{models[name]}/Format-Serving"
        export(model, str(transform_graph), 8, serving)
        signature = tf.saved_model.load(serving).signatures[SERVING_SIGNATURE]
        scores[name] = signature(images=tf.constant([content for content, _ in digit_files]))["scores"].numpy()
    write_examples(folder / "examples" / "Split-test", digit_files)
    weights = np.where(truth == 2, 3.0, np.arange(len(truth)) % 4 / 2)
    write_examples(folder / "weighted" / "Split-test", digit_files, weights)
    return Material(models, folder / "examples", folder / "weighted", weights, labels, truth, scores)


def fit_head(model: Any, digit_files: list[tuple[bytes, str]], truth: np.ndarray, last_class_wins: bool) -> None:
    """Fits the head by scikit-learn on a few features, so that it is good and not perfect."""
    import tensorflow as tf
    from sklearn.linear_model import LogisticRegression

    from trainer.images import decode_and_resize

    pixels = np.stack([decode_and_resize(tf.constant(content), 8) for content, _ in digit_files])
    features = model.backbone(pixels / np.float32(255), training=False).numpy().mean(axis=(1, 2))
    deviations = features.std(axis=0)
    few = np.argsort(deviations)[-5:]
    fitted = LogisticRegression(C=1.0, max_iter=1000).fit(features[:, few] / deviations[few], truth)
    kernel = np.zeros((features.shape[1], 3))
    kernel[few] = (fitted.coef_ / deviations[few]).T
    model.head.kernel.assign(kernel)
    logits = features @ kernel + fitted.intercept_
    # Just enough that the last class never wins: AUC is computed at a finite number of thresholds.
    handicap = 0.0 if last_class_wins else (logits[:, 2] - logits[:, :2].max(axis=-1)).max() + 0.1
    model.head.bias.assign(fitted.intercept_ - np.array([0, 0, handicap]))


def write_examples(folder: Path, digit_files: list[tuple[bytes, str]], weights: np.ndarray | None = None) -> None:
    import tensorflow as tf

    folder.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / "images-0")) as writer:
        for number, (content, label) in enumerate(digit_files):
            values = {"image": content, "label": label.encode()}
            features: dict[str, Any] = {key: {"bytes_list": {"value": [value]}} for key, value in values.items()}
            if weights is not None:
                features["weight"] = {"float_list": {"value": [weights[number]]}}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


Evaluate = Callable[..., tuple[str, Any]]


@pytest.fixture(scope="module")
def evaluate(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """Runs our Evaluator's executor; returns the evaluation's folder and the blessing artifact."""

    def run(
        settings: EvaluationSettings,
        candidate: str = "candidate",
        baseline: str = "baseline",
        test_split: Path = material.examples,
        beam: Sequence[str] = BEAM,
    ) -> tuple[str, Any]:
        from tfx.dsl.components.base import base_beam_executor
        from tfx.types import artifact_utils, standard_artifacts

        from components.evaluator.executor import Executor

        folder = tmp_path_factory.mktemp("evaluation")
        examples, evaluation = standard_artifacts.Examples(), standard_artifacts.ModelEvaluation()
        blessing = standard_artifacts.ModelBlessing()
        models = [standard_artifacts.Model(), standard_artifacts.Model()]
        uris = (str(test_split), str(folder / "evaluation"), str(folder / "blessing"))
        for artifact, uri in zip((examples, evaluation, blessing), uris, strict=True):
            artifact.uri = uri
        for number, (artifact, name) in enumerate(zip(models, (candidate, baseline), strict=True)):
            artifact.uri, artifact.id = material.models.get(name, name), number + 1
        examples.split_names = artifact_utils.encode_split_names(["test"])
        context = base_beam_executor.BaseBeamExecutor.Context(
            beam_pipeline_args=list(beam), tmp_dir=str(folder / "temporary"), unique_id="1"
        )
        inputs = {"examples": [examples], "model": models[:1], "baseline_model": models[1:]}
        properties = {"evaluation_settings": settings.model_dump_json(), "example_splits": '["test"]'}
        Executor(context).Do(inputs, {"evaluation": [evaluation], "blessing": [blessing]}, properties)
        return evaluation.uri, blessing

    return run


@pytest.fixture(scope="module")
def evaluated(evaluate: Evaluate) -> tuple[str, Any]:
    return evaluate(SETTINGS)


def is_blessed(blessing: Any) -> bool:
    files = sorted(path.name for path in Path(blessing.uri).iterdir())
    assert files in (["BLESSED"], ["NOT_BLESSED"])
    assert (blessing.get_int_custom_property("blessed") == 1) == (files == ["BLESSED"])
    return files == ["BLESSED"]


def test_the_metrics_equal_scikit_learns(evaluated: tuple[str, Any], material: Material) -> None:
    from sklearn import metrics

    for name in ("candidate", "baseline"):
        scores = material.scores[name].astype(float)
        scores /= scores.sum(axis=-1, keepdims=True)
        found = read_metrics(evaluated[0], name)
        predicted = scores.argmax(axis=-1)
        assert found["accuracy"] == pytest.approx(metrics.accuracy_score(material.truth, predicted), abs=1e-6)
        top_2 = metrics.top_k_accuracy_score(material.truth, scores, k=2)
        assert found["top_k_accuracy"] == pytest.approx(top_2, abs=1e-6)
        log_loss = -np.log(np.clip(scores[np.arange(len(scores)), material.truth], 1e-7, 1)).mean()
        assert found["log_loss"] == pytest.approx(log_loss, rel=1e-3)
        auc = metrics.roc_auc_score(material.truth, scores, multi_class="ovr", average="macro")
        assert found["auc"] == pytest.approx(auc, abs=1e-2)


def test_a_job_server_finds_the_same_and_the_blessing_names_the_models_where_they_are(
    evaluate: Evaluate, evaluated: tuple[str, Any], material: Material, tmp_path: Path
) -> None:
    from apache_beam.runners.portability import local_job_service

    service = local_job_service.LocalJobServicer(str(tmp_path / "staging"))
    server = ["--runner=PortableRunner", f"--job_endpoint=localhost:{service.start_grpc_server(0)}"]
    flags = [*server, "--environment_type=LOOPBACK", "--sdk_container_image=none"]
    try:
        folder, blessing = evaluate(SETTINGS, beam=[*flags, f"--thaw_workspace={tmp_path / 'workspace'}"])
    finally:
        service.stop()
    for name in ("candidate", "baseline"):
        assert read_metrics(folder, name) == pytest.approx(read_metrics(evaluated[0], name))
    assert is_blessed(blessing)
    assert blessing.get_string_custom_property("current_model") == material.models["candidate"]
    assert list((tmp_path / "workspace").iterdir()) == []


def test_a_model_above_the_floor_is_blessed_however_good_its_baseline(
    evaluate: Evaluate, evaluated: tuple[str, Any]
) -> None:
    assert is_blessed(evaluated[1])
    assert is_blessed(evaluate(EvaluationSettings(min_accuracy=0.1), "baseline", "candidate")[1])


def test_a_model_below_the_floor_is_marked_as_not_blessed(evaluate: Evaluate) -> None:
    assert not is_blessed(evaluate(EvaluationSettings(min_accuracy=0.999))[1])


def test_an_incomplete_model_is_refused_in_words(evaluate: Evaluate, tmp_path: Path) -> None:
    with pytest.raises(ThawError, match=r"no complete SavedModel in .*run FineTuner again"):
        evaluate(SETTINGS, candidate=str(tmp_path))


def test_tfmas_figures_and_ours_are_by_weight(evaluate: Evaluate, material: Material) -> None:
    """The baseline never names the last class, whose examples are the heaviest."""
    from sklearn import metrics

    from components.gate.inference import predict
    from components.gate.statistics.metrics import Answers, value_of

    models = {name: f"{folder}/Format-Serving" for name, folder in material.models.items()}
    ours, _ = predict(models, [str(path) for path in (material.weighted_examples / "Split-test").iterdir()])  # type: ignore[arg-type]
    assert ours.examples.weights == material.weights.tolist()
    uri, _ = evaluate(SETTINGS, test_split=material.weighted_examples)
    for name in ("candidate", "baseline"):
        found = read_metrics(uri, name)
        predicted = material.scores[name].argmax(axis=-1)
        accuracy = metrics.accuracy_score(material.truth, predicted, sample_weight=material.weights)
        assert abs(accuracy - metrics.accuracy_score(material.truth, predicted)) > 0.01
        assert found["accuracy"] == pytest.approx(accuracy, abs=1e-6)
        answers = Answers(material.truth, ours.models[name].scores)  # type: ignore[index]
        for metric, within in (("accuracy", 1e-6), ("log_loss", 1e-4), ("auc", 1e-2)):
            assert found[metric] == pytest.approx(value_of(metric, answers, material.weights), rel=within), metric  # type: ignore[arg-type]


def test_a_test_split_in_which_nothing_counts_is_told(evaluate: Evaluate, material: Material, tmp_path: Path) -> None:
    import tensorflow as tf

    from components.gate.inference import predict

    (file,) = (material.weighted_examples / "Split-test").iterdir()
    record = next(iter(tf.data.TFRecordDataset(str(file)))).numpy()
    (tmp_path / "Split-test").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "Split-test" / "images-0")) as writer:
        writer.write(record)  # the first example is of weight 0
    with pytest.raises(ThawError, match="every example of the test split has the weight 0"):
        evaluate(SETTINGS, test_split=tmp_path)
    with pytest.raises(ThawError, match="every example of the test split has the weight 0"):
        predict({}, [str(tmp_path / "Split-test" / "images-0")])
