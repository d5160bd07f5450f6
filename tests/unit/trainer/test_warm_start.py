"""Training that begins with an exported model: what is taken over, what is drawn anew, what is refused."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deaths import assert_same, train, train_through_deaths
from tiny import Weights, fine_tune_phase, head_phase, settings, weights_of

import trainer
from trainer.activation_cache.store import Store
from trainer.classifier import Classifier
from trainer.devices import make_strategy
from trainer.errors import ConfigurationError, ThawError, WeightsError
from trainer.replicas import components
from trainer.settings import ModelSettings
from trainer.training import TrainingData, fine_tune
from trainer.training_setup import set_up
from trainer.training_state import training_digest
from trainer.warm_start import FOLDER
from trainer.warm_start.card import CARD_FILE, WEIGHTS_FILE, read_card
from trainer.warm_start.origin import WarmStart, find_origin, open_warm_start

pytestmark = pytest.mark.slow

NAMES = ("zero", "one", "two")


@dataclasses.dataclass(frozen=True)
class Earlier:
    """An exported model, and what it was before it was exported."""

    folder: Path
    weights: Weights


@pytest.fixture(scope="module")
def earlier(digits: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Earlier:
    """Trained as a whole, so that no weight is what it was drawn as."""
    pixels, labels = digits
    plan = settings(seed=9, phases=(fine_tune_phase(unfreeze="all", batch_norm="adapt"),), baseline="none")
    tuned = trainer.fine_tune(
        (pixels[:52], labels[:52]), (pixels[52:75], labels[52:75]), plan, class_names=NAMES, verbose=False
    )
    folder = tmp_path_factory.mktemp("earlier") / "7"
    tuned.export(folder)
    return Earlier(folder, weights_of(tuned.model))


@pytest.fixture
def copied(earlier: Earlier, tmp_path: Path) -> Path:
    """A model to be spoilt."""
    return Path(shutil.copytree(earlier.folder, tmp_path / "7"))


def warm(folder: Path, labels: tuple[str, ...] = NAMES, **changes: Any) -> WarmStart:
    return open_warm_start(folder, settings(**changes), labels)


def built(
    data: TrainingData, warm_start: WarmStart | None, num_classes: int = 3, num_replicas: int = 1, **changes: Any
) -> Classifier:
    """The model before its first step."""
    data = dataclasses.replace(data, warm_start=warm_start, num_classes=num_classes)
    return set_up(settings(**changes), data, make_strategy(num_replicas)).model


def backbone_of(weights: Weights) -> Weights:
    return {path: value for path, value in weights.items() if "head" not in path and "seed" not in path}


@pytest.mark.parametrize(
    ("labels", "kept", "new", "dropped"),
    [
        (NAMES, NAMES, (), ()),
        (("two", "zero", "one"), ("two", "zero", "one"), (), ()),
        (("a new one", *NAMES), NAMES, ("a new one",), ()),
        (("zero", "two"), ("zero", "two"), (), ("one",)),
        (("zero", "uno", "two"), ("zero", "two"), ("uno",), ("one",)),
        (("three", "four"), (), ("three", "four"), NAMES),
    ],
    ids=["the same", "another order", "added", "removed", "renamed", "all others"],
)
def test_kept_classes_keep_their_part_of_the_head_and_new_ones_are_drawn_as_without_a_warm_start(
    labels: tuple[str, ...],
    kept: tuple[str, ...],
    new: tuple[str, ...],
    dropped: tuple[str, ...],
    earlier: Earlier,
    training_data: TrainingData,
) -> None:
    found = warm(earlier.folder, labels)
    assert (found.kept, found.new, found.dropped) == (kept, new, dropped)
    model, fresh = built(training_data, found, len(labels)), built(training_data, None, len(labels))
    for column, label in enumerate(labels):
        for part, drawn in ((model.head.kernel, fresh.head.kernel), (model.head.bias, fresh.head.bias)):
            path = part.path
            expected = earlier.weights[path][..., NAMES.index(label)] if label in kept else np.array(drawn)[..., column]
            np.testing.assert_array_equal(np.array(part)[..., column], expected, err_msg=f"{label} {path}")
    for path, value in backbone_of(weights_of(model)).items():
        np.testing.assert_array_equal(value, backbone_of(earlier.weights)[path], err_msg=path)


def test_every_replica_begins_with_the_earlier_weights(earlier: Earlier, training_data: TrainingData) -> None:
    model = built(training_data, warm(earlier.folder), num_replicas=2)
    for variable in (*model.backbone.weights, model.head.kernel, model.head.bias):
        on_replicas = components(variable)
        assert len(on_replicas) == 2
        for component in on_replicas:
            np.testing.assert_array_equal(component, earlier.weights[variable.path], err_msg=variable.path)


def test_a_model_in_mixed_precision_begins_with_the_earlier_weights(
    earlier: Earlier, training_data: TrainingData
) -> None:
    model = built(training_data, warm(earlier.folder), compute={"precision": "mixed_bfloat16"})
    for path, value in backbone_of(weights_of(model)).items():
        np.testing.assert_array_equal(value, earlier.weights[path])


def test_the_frozen_baseline_is_a_head_on_the_backbone_that_came_in(
    earlier: Earlier, training_data: TrainingData
) -> None:
    data = dataclasses.replace(training_data, warm_start=warm(earlier.folder))
    outcome = train(data, None, settings())
    (baseline,) = outcome.baselines
    for path, value in backbone_of(baseline).items():
        np.testing.assert_array_equal(value, earlier.weights[path], err_msg=path)
    head = "classifier/head/kernel"
    assert (baseline[head] != earlier.weights[head]).any()
    assert any((value != earlier.weights[path]).any() for path, value in backbone_of(outcome.weights).items())


def test_a_training_that_was_killed_ends_with_the_same_bits(
    earlier: Earlier, training_data: TrainingData, die_at: list[int], tmp_path: Path
) -> None:
    """A probe, too, after which the model has to be what it was before."""
    data = dataclasses.replace(training_data, warm_start=warm(earlier.folder))
    plan = settings(
        phases=(fine_tune_phase(),), probe=head_phase(name="probe"), baseline="probe", checkpoint_every_steps=1
    )
    expected = train(data, None, plan)
    die_at.extend([8 + 2, 8 + 6])  # the counter began with the training above
    outcome, num_deaths = train_through_deaths(data, tmp_path, plan)
    assert num_deaths == 2
    assert_same(outcome, expected)


def test_checkpoints_belong_to_the_content_of_the_model_and_not_to_its_place(
    earlier: Earlier, copied: Path, training_data: TrainingData
) -> None:
    def digest(warm_start: WarmStart | None, asked: str) -> str:
        splits = {"train": training_data.train, "eval": training_data.eval}
        return training_digest(settings(warm_start=asked), splits, 3, 1, warm_start)

    at_first = digest(warm(earlier.folder), str(earlier.folder))
    assert digest(warm(copied), str(copied)) == at_first
    assert digest(warm(copied, ("one", "zero", "two")), str(copied)) != at_first, "other columns are taken over"
    assert digest(None, "latest") != at_first
    with (copied / FOLDER / CARD_FILE).open("a") as file:
        file.write("\n")
    assert digest(warm(copied), str(copied)) != at_first


def test_activations_of_another_beginning_are_not_taken_from_the_cache(
    earlier: Earlier, training_data: TrainingData, tmp_path: Path
) -> None:
    store = Store(tmp_path, max_bytes=2**26)
    plan = settings(phases=(head_phase(epochs=3, learning_rate=0.05),), cache="require")
    data = dataclasses.replace(training_data, warm_start=warm(earlier.folder))

    def trained(data: TrainingData, plan: ModelSettings, store: Store | None) -> Weights:
        model, _ = fine_tune(plan, data, make_strategy(1), on_baseline=lambda _: None, cache=store)
        return weights_of(model)

    trained(training_data, plan, store)
    found = trained(data, plan, store)
    expected = trained(data, plan.model_copy(update={"cache": "off"}), None)
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)


def test_a_notebook_begins_with_the_model_that_it_names_and_its_record_lists_the_classes(
    earlier: Earlier, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    pixels, labels = digits
    names = np.array(["zero", "uno", "two"])[labels]
    splits = (pixels[:52], names[:52]), (pixels[52:75], names[52:75])
    plan = settings(warm_start=str(earlier.folder.parent), phases=(head_phase(learning_rate=1e-6),))
    tuned = trainer.fine_tune(*splits, plan, verbose=False)
    assert tuned.record["warm_start"] == {
        "model": str(earlier.folder),
        "sha256": warm(earlier.folder).sha256,
        "image_size_px": 8,
        "kept": ["two", "zero"],
        "new": ["uno"],
        "dropped": ["one"],
    }
    kernel = np.array(tuned.model.head.kernel)
    column = tuned.class_names.index("zero")
    np.testing.assert_allclose(kernel[:, column], earlier.weights["classifier/head/kernel"][:, 0], atol=1e-4)
    assert tuned.baseline is not None
    tuned.export(tmp_path / "8")
    assert read_card(tmp_path / "8").labels == tuned.class_names


def test_pretrained_weights_are_not_read_where_a_model_is_begun_with(
    earlier: Earlier, training_data: TrainingData, tmp_path: Path
) -> None:
    missing = {"weights": str(tmp_path / "missing.weights.h5"), "weights_sha256": "a" * 64}
    model = built(training_data, warm(earlier.folder), **missing)
    np.testing.assert_array_equal(np.array(model.head.kernel), earlier.weights["classifier/head/kernel"])
    with pytest.raises(WeightsError, match="no file"):
        built(training_data, None, **missing)


def test_images_of_another_size_are_allowed_and_the_record_has_the_earlier_one(
    earlier: Earlier, training_data: TrainingData
) -> None:
    found = warm(earlier.folder, image_size_px=16)
    assert found.content["image_size_px"] == 8
    model = built(training_data, found, image_size_px=16)
    np.testing.assert_array_equal(np.array(model.head.bias), earlier.weights["classifier/head/bias"])


def test_another_backbone_is_refused_with_both_names(earlier: Earlier) -> None:
    with pytest.raises(ConfigurationError, match=r"has the backbone small_cnn, but model.backbone is MobileNetV2"):
        warm(earlier.folder, backbone="MobileNetV2", image_size_px=32)


def test_weights_that_are_missing_or_damaged_are_refused_in_words(copied: Path, training_data: TrainingData) -> None:
    weights, card = copied / FOLDER / WEIGHTS_FILE, copied / FOLDER / CARD_FILE
    content, description = weights.read_bytes(), card.read_text()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WeightsError, match="is damaged: it has sha256"):
        warm(copied)
    weights.unlink()
    with pytest.raises(WeightsError, match=r"no file .*which warm_start\.json beside it tells of"):
        warm(copied)
    weights.write_bytes(content)
    card.write_text(description.replace('"format": 1', '"format": 2'))
    with pytest.raises(WeightsError, match="damaged, or of another version of thaw"):
        warm(copied)
    card.write_text(description.replace('    "two"\n', '    "two", "three"\n'))
    with pytest.raises(WeightsError, match="does not hold the weights of a small_cnn with 4 classes"):
        built(training_data, warm(copied))
    card.unlink()
    with pytest.raises(WeightsError, match=r"has no assets.extra/warm_start/warm_start.json .*; name another version"):
        warm(copied)


def test_a_folder_without_a_model_and_latest_without_a_pipeline_are_told(
    digits: tuple[np.ndarray, np.ndarray], training_data: TrainingData, tmp_path: Path
) -> None:
    with pytest.raises(ThawError, match="no exported model in"):
        find_origin(str(tmp_path))
    with pytest.raises(ConfigurationError, match="is in no file system that is mounted"):
        find_origin("latest", "gs://bucket/served")
    with pytest.raises(ConfigurationError, match="only the pipeline knows where models are pushed"):
        trainer.fine_tune(digits, digits, settings(warm_start="latest"))
    with pytest.raises(ConfigurationError, match="TrainingData has no warm_start"):
        set_up(settings(warm_start=str(tmp_path)), training_data, make_strategy(1))


def test_latest_is_the_newest_whole_version_that_does_not_come_of_this_training(
    earlier: Earlier, tmp_path: Path
) -> None:
    def push(version: str, training_sha256: str) -> Path:
        folder = Path(shutil.copytree(earlier.folder, tmp_path / version))
        card = folder / FOLDER / CARD_FILE
        card.write_text(json.dumps({**json.loads(card.read_text()), "training_sha256": training_sha256}))
        return folder

    assert find_origin("latest", tmp_path / "nowhere", "this") is None
    assert find_origin("none", tmp_path, "this") is None
    own = push("10", "this")
    assert find_origin("latest", tmp_path, "this") is None
    assert find_origin("latest", tmp_path, "that") == own
    other = push("9", "that")
    (tmp_path / "11").mkdir()
    (tmp_path / ".partial-1").mkdir()
    assert find_origin("latest", tmp_path, "this") == find_origin(str(tmp_path), None, "this") == other
    assert find_origin("latest", tmp_path) == own, "whatever it comes of, where that is not known"
    assert find_origin(str(own), None, "this") == own, "a version that is named is that version"
    shutil.rmtree(own / FOLDER)
    assert find_origin("latest", tmp_path, "this") == own, "of which nothing is known, as whoever opens it is told"


def test_the_weights_beside_a_model_are_the_same_bytes_each_time(earlier: Earlier, tmp_path: Path) -> None:
    from trainer.datasets import Split

    data = TrainingData(Split((), 0, 8), Split((), 0, 8), 3)
    model = built(data, warm(earlier.folder))
    from trainer.warm_start.card import save

    for name in ("a", "b"):
        assert save(model, settings(), NAMES, tmp_path / name) > 0
    assert read_card(tmp_path / "a") == read_card(tmp_path / "b")
    found = built(data, warm(tmp_path / "a"))
    for path, value in weights_of(found).items():
        np.testing.assert_array_equal(value, weights_of(model)[path])
