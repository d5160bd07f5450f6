"""The exported model answers for the bytes of a file as the trained one does for its pixels."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tiny import settings

from benchmarks import zoo
from trainer import per_image
from trainer.classifier import Classifier, build_classifier
from trainer.errors import ThawError
from trainer.export import EXAMPLES_SIGNATURE, LABEL_FUNCTION, SERVING_SIGNATURE, export
from trainer.images import decode_and_resize, resize
from trainer.photographs import reference_pixels
from trainer.serving import predict
from trainer.transform_graph import read_labels

pytestmark = pytest.mark.slow

SIZE_PX = 8
KEYS = ("label", "score", "scores", "error")


@pytest.fixture(scope="module")
def model() -> Classifier:
    return build_classifier(settings(), num_classes=3)


@pytest.fixture(scope="module")
def exported(model: Classifier, transform_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(model, str(transform_graph), SIZE_PX, str(folder))
    return folder


@pytest.fixture
def files(tmp_path: Path, digit_files: list[tuple[bytes, str]]) -> list[Path]:
    paths = []
    for number, (content, label) in enumerate(digit_files[:7]):
        paths.append(tmp_path / f"{number} {label}.png")
        paths[-1].write_bytes(content)
    return paths


def probabilities(model: Classifier, content: bytes) -> np.ndarray:
    pixels = decode_and_resize(tf.constant(content), SIZE_PX, zoo.BACKGROUND)
    return model(pixels[None], training=False).numpy()[0]


def test_predictions_on_files_equal_the_models_on_preprocessed_pixels(
    model: Classifier, exported: Path, transform_graph: Path, files: list[Path]
) -> None:
    labels = read_labels(str(transform_graph))
    predictions = predict(exported, files)
    assert [prediction.path for prediction in predictions] == [str(path) for path in files]
    for path, prediction in zip(files, predictions, strict=True):
        expected = probabilities(model, path.read_bytes())
        assert list(prediction.scores) == list(labels)
        np.testing.assert_allclose(list(prediction.scores.values()), expected, rtol=1e-5)
        assert prediction.label == labels[int(np.argmax(expected))]
        assert prediction.score == pytest.approx(float(expected.max()), rel=1e-5)
        assert prediction.error is None


def test_a_batch_of_mixed_sizes_is_served_in_one_call(
    exported: Path, model: Classifier, digit_files: list[tuple[bytes, str]]
) -> None:
    small = digit_files[0][0]
    large = tf.io.encode_jpeg(tf.image.resize(tf.io.decode_png(small), [90, 40], "nearest")).numpy()
    signature = tf.saved_model.load(str(exported)).signatures[SERVING_SIGNATURE]
    answer = signature(images=tf.constant([small, large, small]))
    expected = [probabilities(model, content) for content in (small, large, small)]
    np.testing.assert_allclose(answer["scores"], expected, rtol=1e-4)


def test_a_server_without_thaw_answers_good_images_and_gives_each_bad_one_an_error(
    exported: Path, model: Classifier, transform_graph: Path, tmp_path: Path
) -> None:
    forms = zoo.make_zoo() | {"text": b"no image", "nothing": b""}
    unknown = ("gif", "animated_gif", "transparent_gif", "tiff", "text")
    names = sorted(forms)
    folder = tmp_path / "images"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(forms[name])
    script = Path(__file__).parent / "ask_exported_model.py"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-P", str(script), str(exported), str(folder)]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, timeout=300, check=True)
    answers = json.loads(done.stdout)
    assert not answers["has_trainer"]
    assert {key: len(value) for key, value in answers["none"].items()} == {key: 0 for key in KEYS}
    assert answers["bad"]["label"] == [""]
    assert len(set(map(tuple, answers["32"]["scores"]))) == 1
    labels = read_labels(str(transform_graph))
    for position, name in enumerate(names):
        label, score, scores, error = (answers["all"][key][position] for key in KEYS)
        if name.startswith(zoo.AS_IS):
            pixels = np.asarray(resize(tf.constant(reference_pixels(forms[name], zoo.BACKGROUND)), SIZE_PX))
            expected = model(pixels[None], training=False).numpy()[0]
            np.testing.assert_allclose(scores, expected, rtol=1e-4)
            assert (label, error) == (labels[int(np.argmax(expected))], "")
        else:
            assert (label, score, scores) == ("", 0, [0, 0, 0])
            reason = per_image.NOT_ACCEPTED if name.startswith(unknown) else per_image.NOT_TAKEN
            assert error.startswith(per_image.EMPTY if name == "nothing" else reason), name


def test_predict_takes_every_form_and_gives_the_same_answer_for_the_same_pixels(
    exported: Path, model: Classifier, tmp_path: Path
) -> None:
    forms = zoo.make_zoo()
    paths = []
    for name, content in forms.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(content)
    for path, prediction in zip(paths, predict(exported, paths), strict=True):
        assert prediction.error is None, path
        pixels = resize(tf.constant(reference_pixels(forms[path.name], zoo.BACKGROUND)), SIZE_PX)
        expected = model(pixels[None], training=False).numpy()[0]
        np.testing.assert_allclose(list(prediction.scores.values()), expected, rtol=1e-4)


def test_the_background_of_the_transform_graph_travels_with_the_model(exported: Path) -> None:
    loaded = tf.saved_model.load(str(exported))
    assert tuple(loaded.background_rgb.numpy().tolist()) == zoo.BACKGROUND


def test_serialized_examples_give_the_same_scores_and_the_ids_of_their_labels(
    exported: Path, model: Classifier, transform_graph: Path, digit_files: list[tuple[bytes, str]]
) -> None:
    labels = read_labels(str(transform_graph))

    def example(content: bytes, label: str) -> bytes:
        values = {"image": content, "label": label.encode()}
        features = {key: {"bytes_list": {"value": [value]}} for key, value in values.items()}
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    content = digit_files[3][0]
    serialized = tf.constant([example(content, label) for label in [*labels, "never seen"]])
    signatures = tf.saved_model.load(str(exported)).signatures
    scores = signatures[EXAMPLES_SIGNATURE](examples=serialized)["scores"]
    np.testing.assert_allclose(scores, [probabilities(model, content)] * 4, rtol=1e-5)
    assert signatures[LABEL_FUNCTION](examples=serialized)["label_id"].numpy().tolist() == [0, 1, 2, -1]


def test_the_vocabulary_travels_as_an_asset(exported: Path, transform_graph: Path) -> None:
    text = (exported / "assets" / "labels").read_text("utf-8")
    assert tuple(text.splitlines()) == read_labels(str(transform_graph))


def test_a_bad_file_gets_an_error_of_its_own_and_the_others_an_answer(
    exported: Path, files: list[Path], tmp_path: Path
) -> None:
    text, folder, missing, half = (tmp_path / name for name in ("text.png", "folder.png", "missing.png", "half.png"))
    text.write_text("no image")
    folder.mkdir()
    half.write_bytes(files[0].read_bytes()[:60])
    found = predict(exported, [text, folder, missing, half, files[0]])
    assert found[0].error == "not an image: starts with b'no image'"
    assert found[3].error == per_image.DAMAGED
    assert found[1].error == "Is a directory"
    assert found[2].error == "No such file or directory"
    assert all(prediction.label == "" and prediction.scores == {} for prediction in found[:4])
    assert found[4].error is None and found[4].label


def test_the_newest_version_is_taken_by_number_and_incomplete_ones_are_passed_over(
    exported: Path, files: list[Path], tmp_path: Path
) -> None:
    versions = tmp_path / "versions"
    for number in ("9", "10"):
        shutil.copytree(exported, versions / number)
    (versions / "11").mkdir()
    (versions / ".partial-1").mkdir()
    labels = versions / "10" / "assets" / "labels"
    labels.write_text(labels.read_text("utf-8").replace("two", "deux"), "utf-8")
    assert "deux" in predict(versions, files[:1])[0].scores


@pytest.mark.parametrize("missing", ["saved_model.pb", "variables/variables.index"])
def test_an_incomplete_model_is_refused_by_name(
    exported: Path, files: list[Path], tmp_path: Path, missing: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    (copy / missing).unlink()
    with pytest.raises(ThawError, match=f"no complete SavedModel in '{copy}'"):
        predict(copy, files)
    with pytest.raises(ThawError, match="no complete SavedModel in '/nonexistent'"):
        predict(Path("/nonexistent"), files)


@pytest.mark.parametrize("missing", ["variables/variables.data-00000-of-00001", "assets/labels"])
def test_a_model_without_its_data_or_its_labels_is_refused_in_words(
    exported: Path, files: list[Path], tmp_path: Path, missing: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    (copy / missing).unlink()
    with pytest.raises(ThawError):
        predict(copy, files)
