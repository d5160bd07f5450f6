"""The gate on real SavedModels and real examples: predictions, smoke test, release, production, and mutants."""

import dataclasses
import html
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.gate import inference, smoke_test, verdict_schema, warm_up
from components.gate.evidence import Evaluation
from components.gate.predictions import Predictions, read_predictions
from components.gate.production import find_production, fingerprint
from components.gate.report.galleries import read_galleries, small_file
from components.gate.run import GateJob, run
from components.gate.settings import GateSettings, SubsetSettings
from components.gate.statistics.metrics import Answers, value_of
from components.gate.verdict_schema import Verdict
from trainer.errors import ThawError

pytestmark = pytest.mark.slow

SETTINGS = GateSettings(
    floors={"accuracy": 0.5}, num_resamples=300, classes=SubsetSettings(margin=0.3), slice_features=("camera",)
)


@dataclass(frozen=True)
class Material:
    """Exported models and the examples of a test split, in a folder whose name is not plain ASCII."""

    folder: Path
    files: tuple[str, ...]
    truth: np.ndarray
    labels: tuple[str, ...]

    def model(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture(scope="module")
def material(
    tmp_path_factory: pytest.TempPathFactory, transform_graph: Path, digit_files: list[tuple[bytes, str]]
) -> Material:
    import tensorflow as tf

    from trainer.classifier import Classifier
    from trainer.export import export
    from trainer.images import decode_and_resize
    from trainer.small_cnn import small_cnn
    from trainer.transform_graph import read_labels

    folder = tmp_path_factory.mktemp("gate") / "mödels and more"
    labels = read_labels(str(transform_graph))
    truth = np.array([labels.index(label) for _, label in digit_files])
    pixels = np.stack([decode_and_resize(tf.constant(content), 8) for content, _ in digit_files]) / np.float32(255)
    for name, num_features in (("candidate", 64), ("baseline", 1)):
        tf.keras.utils.set_random_seed(1)
        model = Classifier(small_cnn(8), "unit", num_classes=3, dropout_rate=0.0)
        model.build((None, 8, 8, 3))
        fit_head(model, pixels, truth, num_features)
        export(model, str(transform_graph), 8, str(folder / name))
    examples = folder / "examples"
    write_examples(examples, digit_files)
    return Material(folder, (str(examples),), truth, labels)


def fit_head(model: Any, pixels: np.ndarray, truth: np.ndarray, num_features: int) -> None:
    from sklearn.linear_model import LogisticRegression

    features = model.backbone(pixels, training=False).numpy().mean(axis=(1, 2))
    chosen = np.argsort(features.std(axis=0))[-num_features:]
    scale = features[:, chosen].std(axis=0) + 1e-6
    fitted = LogisticRegression(C=10.0, max_iter=2000).fit(features[:, chosen] / scale, truth)
    kernel = np.zeros((features.shape[1], 3))
    kernel[chosen] = (fitted.coef_ / scale).T
    model.head.kernel.assign(kernel)
    model.head.bias.assign(fitted.intercept_)


def write_examples(path: Path, digit_files: list[tuple[bytes, str]]) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for number, (content, label) in enumerate(digit_files):
            values = {
                "image": content,
                "label": label.encode(),
                "path": b"caf\xe9/%d.png" % number,
                "content_sha256": b"%x" % number,
                "camera": b"old" if number % 2 else b"new",
            }
            features = {key: {"bytes_list": {"value": [value]}} for key, value in values.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


Judge = Callable[..., tuple[Verdict, Path]]


@pytest.fixture(scope="module")
def judge(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """Runs the whole gate; TFMA's part is what the models really say."""

    def call(settings: GateSettings = SETTINGS, **changes: Any) -> tuple[Verdict, Path]:
        folder = tmp_path_factory.mktemp("verdict")
        job = GateJob(
            test_examples=material.files,
            candidate=material.model("candidate"),
            baseline=material.model("baseline"),
            production=None,
            verdict=str(folder),
            approved_model=str(folder / "approved" / "Format-Serving"),
        )
        job = dataclasses.replace(job, **changes)
        return run(job, settings, evaluation_of(job, material)), folder

    return call


def evaluation_of(job: GateJob, material: Material) -> Evaluation:
    """What TFMA would find."""
    models = {"candidate": job.candidate, "baseline": job.baseline}
    found, _ = inference.predict(models, material.files)  # type: ignore[arg-type]
    metrics = {}
    for name, model in found.models.items():
        truth = np.array([model.labels.index(label) for label in found.examples.labels])
        answers = Answers(truth, model.scores)
        metrics[name] = {metric: value_of(metric, answers) for metric in ("accuracy", "log_loss")}  # type: ignore[arg-type]
    return Evaluation(True, metrics)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def approved(judge: Judge) -> tuple[Verdict, Path]:
    return judge()


def test_the_better_model_is_approved_with_a_verdict_on_disk(
    approved: tuple[Verdict, Path], material: Material
) -> None:
    found, folder = approved
    assert found.approved, found.sentence
    assert verdict_schema.read(folder) == found
    assert found.num_test_examples == len(material.truth)
    assert {row.name for row in found.slices} == {"new", "old"}
    assert (found.models["candidate"].num_parameters or 0) > 1000


def test_predictions_are_those_of_the_serving_signature(approved: tuple[Verdict, Path], material: Material) -> None:
    import tensorflow as tf

    found = read_predictions(approved[1])
    signature = tf.saved_model.load(material.model("candidate")).signatures["serving_examples"]
    records = [record.numpy() for record in tf.data.TFRecordDataset(list(material.files))]
    expected = signature(examples=tf.constant(records))["scores"].numpy()
    np.testing.assert_allclose(found.models["candidate"].scores, expected, atol=1e-6)
    assert [found.models["candidate"].labels.index(label) for label in found.examples.labels] == material.truth.tolist()
    assert found.examples.paths[3].encode(errors="surrogateescape") == b"caf\xe9/3.png"
    assert found.examples.features["camera"][:2] == ["new", "old"]


def test_the_model_in_a_process_of_its_own_is_measured(approved: tuple[Verdict, Path]) -> None:
    (rule,) = [rule for rule in approved[0].rules if rule.kind == "smoke test"]
    assert rule.outcome == "passed" and "6 photographs of 3 classes" in rule.words
    latency = {row.batch_size: row for row in approved[0].models["candidate"].latency}
    assert latency.keys() == {1, 32}
    assert all(0 < row.p50_ms <= row.p95_ms and row.num_requests >= 5 for row in latency.values())


def test_report_and_gallery_lie_beside_the_verdict_with_the_very_photographs(
    approved: tuple[Verdict, Path], material: Material, digit_files: list[tuple[bytes, str]]
) -> None:
    found, folder = approved
    assert found.sentence in html.unescape((folder / "report.html").read_text("utf-8"))
    (gained,) = [item for item in read_galleries(folder) if item.change == "gained"]
    assert gained.num_all == found.mcnemar_baseline.num_gained > 0  # type: ignore[union-attr]
    for item in gained.photographs:
        number = int(item.path.rpartition("/")[2].removesuffix(".png"))
        content, label = digit_files[number]
        assert item.label == item.after.label == label != item.before.label
        assert item.picture == small_file(content)


def test_what_is_released_has_its_card_with_it(approved: tuple[Verdict, Path]) -> None:
    card = (approved[1] / "approved" / "Format-Serving" / "assets.extra" / "model_card.md").read_text("utf-8")
    assert approved[0].models["candidate"].sha256 in card and "the fine-tuned model" in card


def test_the_release_is_the_candidate_with_warm_up_requests_that_it_answers(
    approved: tuple[Verdict, Path], material: Material
) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    release = approved[1] / "approved" / "Format-Serving"
    assert fingerprint(release) == fingerprint(material.model("candidate"))
    signature = tf.saved_model.load(str(release)).signatures["serving_default"]
    sizes = []
    path = release / "assets.extra" / warm_up.FILE_NAME
    for record in tf.data.TFRecordDataset(str(path)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.signature_name == "serving_default"
        answer = signature(images=tf.constant(tf.make_ndarray(request.inputs["images"])))
        assert set(answer["error"].numpy()) == {b""}
        sizes.append(len(answer["label"]))
    assert sizes == [1, 8]


def test_a_model_no_better_than_its_baseline_is_refused_and_nothing_is_released(
    judge: Judge, material: Material
) -> None:
    found, folder = judge(candidate=material.model("baseline"), baseline=material.model("candidate"))
    assert not found.approved and found.pushes == "nothing"
    assert not (folder / "approved").exists()
    assert (folder / warm_up.FILE_NAME).is_file(), "thaw approve needs it"


def test_the_baseline_is_released_in_a_refused_candidates_place(judge: Judge, material: Material) -> None:
    settings = SETTINGS.model_copy(update={"on_refusal": "push_baseline"})
    found, folder = judge(settings, candidate=material.model("baseline"), baseline=material.model("candidate"))
    assert not found.approved and found.pushes == "baseline"
    assert fingerprint(folder / "approved" / "Format-Serving") == fingerprint(material.model("candidate"))
    assert found.models["baseline"].latency


def test_production_is_asked_about_the_same_examples(judge: Judge, material: Material) -> None:
    found, _ = judge(production=material.model("candidate"), production_uri="s3://bucket/serving/7")
    assert found.models["production"].uri == "s3://bucket/serving/7"
    assert found.metrics[0].production == found.metrics[0].candidate
    assert found.mcnemar_production is not None and found.mcnemar_production.num_lost == 0


def test_a_production_model_that_is_none_of_ours_is_told_and_refuses(
    judge: Judge, material: Material, tmp_path: Path
) -> None:
    foreign = tmp_path / "7"
    shutil.copytree(material.model("candidate"), foreign)
    (foreign / "saved_model.pb").write_bytes(b"no graph")
    found, _ = judge(production=str(foreign))
    assert not found.approved and "the production model cannot be asked" in found.sentence


def test_a_feature_that_the_examples_lack_is_told_with_those_they_have(judge: Judge) -> None:
    with pytest.raises(ThawError, match=r"no feature 'kamera'; they have camera, content_sha256, label, path"):
        judge(SETTINGS.model_copy(update={"slice_features": ("kamera",)}))


def test_an_empty_test_split_is_told(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    with pytest.raises(ThawError, match="no test examples"):
        inference.predict({}, [str(tmp_path / "none")])


def test_the_same_models_give_the_same_verdict_but_for_what_a_clock_says(judge: Judge, approved: Any) -> None:
    def without_clock(found: Verdict) -> Any:
        content = json.loads(found.model_dump_json())
        del content["models"]["candidate"]["latency"]
        return content

    assert without_clock(judge()[0]) == without_clock(approved[0])


# Mutants: each spoils one thing of what is approved otherwise.


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[np.ndarray, Predictions], np.ndarray]], None]:
    """Changes what is recorded of the candidate's scores, as a defect or a leak would."""

    def apply(change: Callable[[np.ndarray, Predictions], np.ndarray]) -> None:
        from components.gate import run as module

        honest = inference.predict

        def spoilt(*arguments: Any, **options: Any) -> Any:
            found, samples = honest(*arguments, **options)
            candidate = found.models["candidate"]
            changed = dataclasses.replace(candidate, scores=change(np.array(candidate.scores), found))
            return dataclasses.replace(found, models={**found.models, "candidate": changed}), samples

        monkeypatch.setattr(module, "predict", spoilt)

    return apply


def test_leaked_labels_are_refused(judge: Judge, material: Material, spoil: Any) -> None:
    spoil(lambda scores, _: np.eye(3, dtype=np.float32)[material.truth])
    found, _ = judge(candidate=material.model("baseline"))
    refusing = {rule.kind for rule in found.rules if rule.refuses}
    assert {"evaluation", "smoke test"} <= refusing and not found.approved


def test_shuffled_predictions_are_refused(judge: Judge, spoil: Any) -> None:
    spoil(lambda scores, _: np.random.default_rng(0).permutation(scores))
    found, _ = judge()
    assert {"evaluation", "smoke test"} <= {rule.kind for rule in found.rules if rule.refuses}


def test_one_changed_answer_to_a_sample_is_noticed(judge: Judge, spoil: Any) -> None:
    def change(scores: np.ndarray, _: Predictions) -> np.ndarray:
        scores[0] = np.roll(scores[0], 1)
        return scores

    spoil(change)
    found, _ = judge()
    assert "smoke test" in {rule.kind for rule in found.rules if rule.refuses}


def test_a_dropped_class_is_refused(judge: Judge, material: Material, spoil: Any) -> None:
    from components.gate import run as module

    def drop(scores: np.ndarray, _: Predictions) -> np.ndarray:
        return scores * np.array([1, 1, 0], np.float32)

    spoil(drop)
    found, _ = judge()
    assert module.predict is not inference.predict
    assert {"evaluation", "smoke test"} <= {rule.kind for rule in found.rules if rule.refuses}


def test_a_model_that_cannot_be_loaded_alone_fails_the_smoke_test_in_words(material: Material, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(material.model("candidate"), broken)
    for path in (broken / "variables").glob("*.data*"):
        path.unlink()
    found = smoke_test.smoke_test(str(broken), [inference.Sample(0, b"x")], np.zeros((1, 3), np.float32), 1)
    assert not found.is_passed and "ended with status 1" in found.failure


def test_an_image_that_is_not_answered_fails_the_smoke_test(material: Material) -> None:
    samples = [inference.Sample(0, b"no image")]
    found = smoke_test.smoke_test(material.model("candidate"), samples, np.zeros((1, 3), np.float32), 1)
    assert not found.is_passed and "1 of 1 photographs are not answered" in found.failure


def test_production_is_the_newest_version_that_is_not_the_candidate(material: Material, tmp_path: Path) -> None:
    served = tmp_path / "served"
    candidate = material.model("candidate")
    assert find_production(str(served), candidate) is None
    shutil.copytree(candidate, served / "2")
    assert find_production(str(served), candidate) is None, "itself"
    shutil.copytree(material.model("baseline"), served / "10")
    (served / "11").mkdir()
    (served / ".partial-1").mkdir()
    found = find_production(str(served), candidate)
    assert found is not None and found.uri == str(served / "10")
    (served / "10" / "assets.extra").mkdir()
    (served / "10" / "assets.extra" / "model_card.md").touch()
    again = find_production(str(served), candidate)
    assert again is not None and again.sha256 == found.sha256
