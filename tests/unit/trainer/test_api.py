"""Fine-tuning from a notebook: what goes in, what comes out, and that no TFX is needed for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase, settings

import trainer
from trainer.errors import ConfigurationError, FreezeContractError, ThawError
from trainer.own_data import class_names_of, read_split, write_split
from trainer.serving import predict

Digits = tuple[np.ndarray, np.ndarray]
NAMES = ("zero", "one", "two")


@pytest.fixture(scope="module")
def arrays(digits: Digits) -> tuple[Digits, Digits]:
    pixels, labels = digits
    return (pixels[:52], labels[:52]), (pixels[52:75], labels[52:75])


@pytest.fixture(scope="module")
def tuned(arrays: tuple[Digits, Digits]) -> Any:
    return trainer.fine_tune(*arrays, settings(), class_names=NAMES, verbose=False)


def written(data: Any, folder: Path, names: tuple[str, ...] | None = None) -> list[tuple[Any, Any]]:
    """The examples as training reads them."""
    from trainer.datasets import evaluation_batches

    own = read_split("train", data)
    split = write_split(own, class_names_of(own, own, names), 8, folder)
    ((inputs, labels, _weights),) = evaluation_batches(split, split.num_examples).as_numpy_iterator()
    return list(zip(inputs["pixels"], labels.tolist(), strict=True))


@pytest.mark.slow
def test_it_trains_as_the_pipeline_does_on_the_same_examples(tuned: Any, training_data: Any) -> None:
    from tiny import weights_of

    from trainer.devices import make_strategy
    from trainer.training import fine_tune

    model, records = fine_tune(settings(), training_data, make_strategy(None), on_baseline=lambda _: None)
    assert tuned.phases == records
    for found, expected in zip(tuned.model.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len(weights_of(model)) == len(tuned.model.weights)


@pytest.mark.slow
def test_model_and_baseline_predict_with_keras(tuned: Any, arrays: tuple[Digits, Digits]) -> None:
    pixels, labels = arrays[1]
    for model, epoch in ((tuned.model, tuned.phases[-1].epochs[-1]), (tuned.baseline, tuned.phases[0].epochs[-1])):
        scores = model.predict(pixels, verbose=0)
        assert scores.shape == (23, 3)
        assert np.mean(scores.argmax(axis=-1) == labels) == pytest.approx(epoch.eval_accuracy)


@pytest.mark.slow
def test_the_baseline_is_the_frozen_backbone_with_its_head(tuned: Any) -> None:
    differing = [
        found.path
        for found, other in zip(tuned.baseline.weights, tuned.model.weights, strict=True)
        if not np.array_equal(np.array(found), np.array(other))
    ]
    assert {path.split("/")[-2] for path in differing} == {"block4_conv", "head"}


@pytest.mark.slow
def test_the_record_holds_history_contracts_and_trainable_sets(tuned: Any, tmp_path: Path) -> None:
    assert [phase["name"] for phase in tuned.record["phases"]] == ["head", "fine_tune"]
    assert tuned.record["phases"][0]["freeze_contract"]["num_frozen_variables"] > 0
    assert tuned.record["phases"][1]["trainable"]["first_layer"] == "block4_conv"
    assert tuned.record["labels"] == list(NAMES)
    assert [epoch.phase for epoch in tuned.history] == ["head", "fine_tune"]
    tuned.write_record(tmp_path / "record")
    assert json.loads((tmp_path / "record/training.json").read_text()) == json.loads(json.dumps(tuned.record))
    assert tuned.curves_png().startswith(b"\x89PNG")


@pytest.mark.slow
def test_what_is_exported_takes_encoded_images_and_gives_the_same_answers(
    tuned: Any, arrays: tuple[Digits, Digits], tmp_path: Path
) -> None:
    tuned.export(tmp_path / "model")
    paths = []
    for number, image in enumerate(arrays[1][0][:5]):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(tf.io.encode_png(image).numpy())
    expected = tuned.model.predict(arrays[1][0][:5], verbose=0)
    for found, scores in zip(predict(tmp_path / "model", paths), expected, strict=True):
        np.testing.assert_allclose(list(found.scores.values()), scores, atol=1e-6)
        assert tuple(found.scores) == NAMES
        assert found.label == NAMES[int(scores.argmax())]


@pytest.mark.slow
def test_an_export_of_other_weights_is_an_error(tuned: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.api.export", lambda _, *rest: export(tuned.baseline, *rest))
    from trainer.export import export

    with pytest.raises(FreezeContractError, match="differs from the trained one"):
        tuned.export(tmp_path / "model")


def test_batched_data_sets_single_images_and_arrays_are_the_same_examples(digits: Digits, tmp_path: Path) -> None:
    pixels, labels = digits[0][:11], digits[1][:11]
    single = tf.data.Dataset.from_tensor_slices((pixels, labels))
    forms = {
        "arrays": (pixels, labels),
        "single": single,
        "batched": single.batch(4),
        "float": (pixels.astype(np.float32), labels),
        "grey": (pixels[..., :1], labels),
        "int64": (pixels.astype(np.int64), labels),
    }
    expected = written(forms.pop("arrays"), tmp_path / "arrays")
    for name, form in forms.items():
        for (image, label), (other, other_label) in zip(expected, written(form, tmp_path / name), strict=True):
            np.testing.assert_array_equal(image, other, err_msg=name)
            assert label == other_label


def test_images_of_any_size_are_resized_as_the_served_model_does(tmp_path: Path) -> None:
    from sklearn.datasets import load_sample_images

    from trainer.images import resize

    photographs = [load_sample_images().images[0], load_sample_images().images[1][:100, :333]]

    def generate() -> Any:
        yield from zip(photographs, (1, 0), strict=True)

    signature = (tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int32))
    examples = written(tf.data.Dataset.from_generator(generate, output_signature=signature), tmp_path / "train")
    for (image, _), photograph in zip(examples, photographs, strict=True):
        np.testing.assert_array_equal(image, resize(tf.constant(photograph), 8))


def test_classes_are_the_strings_in_alphabetical_order_or_as_given(digits: Digits, tmp_path: Path) -> None:
    labels = np.array([NAMES[label] for label in digits[1][:11]])
    own = read_split("train", (digits[0][:11], labels))
    assert class_names_of(own, own, None) == ("one", "two", "zero")
    assert class_names_of(own, own, NAMES) == NAMES
    found = [label for _, label in written((digits[0][:11], labels), tmp_path / "train", NAMES)]
    assert found == digits[1][:11].tolist()


GOOD = np.full([4, 8, 8, 3], 7, np.uint8)
LABELS = np.array([0, 1, 0, 1])
NO_NUMBER = np.where(np.arange(4)[:, None, None, None] == 2, np.nan, GOOD)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (3, "must be a tf.data.Dataset, or a tuple"),
        ((GOOD, LABELS[:3]), r"different lengths: \[4, 8, 8, 3\], \[3\]"),
        ((GOOD[..., 0], LABELS), r"\[4, 8, 8\]; add the channel with images\[..., None\]"),
        ((GOOD.repeat(2, -1), LABELS), "height, width, 1 or 3"),
        ((GOOD / 255, LABELS), r"no pixel above 0.027\d+, as if scaled to 0 … 1"),
        ((GOOD - 8.0, LABELS), "example 0 has pixels from -1"),
        ((NO_NUMBER, LABELS), "example 2 has pixels from -1"),
        ((GOOD.astype(np.float32) * 100, LABELS), "pixels from 700 to 700"),
        ((GOOD, LABELS + 0.5), "a whole number or a string; they are float64"),
        ((GOOD, np.eye(2, dtype=np.int64)[LABELS]), "of one-hot labels, take tf.argmax"),
        ((GOOD, LABELS * 2), "without a gap; they are 0, 2; number them anew"),
        ((GOOD, LABELS * 0), "fewer than two classes: 0"),
        ((GOOD, LABELS, -LABELS), "example 1 has the weight -1; it must be a number that is not negative"),
        ((GOOD, LABELS, np.full(4, np.nan)), "example 0 has the weight nan"),
        ((GOOD, LABELS, np.zeros(4)), "every example of train has the weight 0"),
    ],
)
def test_data_that_cannot_be_right_is_refused_in_words(data: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ThawError, match=words):
        written(data, tmp_path / "train")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tf.data.Dataset.from_tensor_slices((GOOD, LABELS)).repeat(), "has no end"),
        (lambda: tf.data.Dataset.from_tensor_slices((GOOD, LABELS)).take(0), "fewer than two classes: none"),
        (lambda: tf.data.Dataset.from_tensor_slices(GOOD), "must have elements"),
    ],
)
def test_a_data_set_that_cannot_be_right_is_refused_in_words(make: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(ThawError, match=words):
        written(make(), tmp_path / "train")


def test_a_label_that_training_does_not_have_is_refused_by_name() -> None:
    with pytest.raises(ThawError, match="evaluated, example 1 has the label 'cat'; the classes are a, b"):
        trainer.fine_tune((GOOD, list("abab")), (GOOD, ["a", "cat", "b", "b"]), settings(), verbose=False)


def test_a_class_that_a_split_lacks_is_warned_of(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="train has no example of two"):
        written((GOOD, LABELS), tmp_path / "train", NAMES)


def test_a_plan_may_be_settings_a_mapping_or_a_preset() -> None:
    from trainer.api import settings_of

    keys = {"backbone": "small_cnn", "weights": "none", "image_size_px": 8}
    preset = settings_of("two_phase", keys)
    assert preset == settings_of({**keys, "phases": "two_phase"}, {})
    assert settings_of(preset, {}) is preset
    assert settings_of(settings(), {"seed": 4}) == settings(seed=4)
    with pytest.raises(ConfigurationError, match="plan is a int"):
        settings_of(7, {})  # type: ignore[arg-type]


def test_every_epoch_is_printed_unless_told_otherwise(
    arrays: tuple[Digits, Digits], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = settings(phases=(head_phase(), fine_tune_phase()))
    trainer.fine_tune(*arrays, plan)
    assert "head 1/1 · loss" in capsys.readouterr().out


IN_A_FRESH_PROCESS = """
import sys
import numpy as np
import trainer
assert "tensorflow" not in sys.modules, "an import does nothing"
pixels = np.random.default_rng(1).integers(0, 256, [12, 8, 8, 3], np.uint8)
labels = np.arange(12) % 2
phases = [{"name": "head", "epochs": 1, "learning_rate": 0.01}]
plan = {"backbone": "small_cnn", "weights": "none", "image_size_px": 8, "phases": phases}
tuned = trainer.fine_tune((pixels, labels), (pixels, labels), plan, verbose=False)
tuned.export(sys.argv[1])
heavy = {"tfx", "apache_beam", "tensorflow_transform", "tensorflow_data_validation", "tensorflow_model_analysis"}
found = heavy & {name.split(".")[0] for name in sys.modules}
print("imported:", sorted(found))
"""


@pytest.mark.slow
def test_no_tfx_is_imported_for_training_and_export(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.stdout.strip().splitlines()[-1:] == ["imported: []"], done.stderr[-2000:]
