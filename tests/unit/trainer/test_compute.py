"""Mixed precision, XLA, micro-batches and rates for several replicas: what they change of a training, and what not."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import Weights, fine_tune_phase, head_phase, settings, weights_of

from trainer import precision
from trainer.classifier import Classifier, build_classifier
from trainer.devices import make_strategy
from trainer.errors import ThawError
from trainer.export import export
from trainer.phase_training import PhaseTraining
from trainer.plain_transform import write_plain_transform
from trainer.precision import INITIAL_SCALE, LossScale, are_finite, computing_in_float32
from trainer.replicas import components
from trainer.training import PhaseRecord, TrainingData, _Training, fine_tune
from trainer.training_setup import set_up


def train(
    data: TrainingData, num_replicas: int = 1, folder: Path | None = None, **changes: Any
) -> tuple[Weights, tuple[PhaseRecord, ...], Classifier]:
    changes.setdefault("batch_size_per_replica", 16 // num_replicas)
    model, records = fine_tune(
        settings(**changes), data, make_strategy(num_replicas), on_baseline=lambda _: None, checkpoint_dir=folder
    )
    return weights_of(model), records, model


def assert_close(found: Weights, expected: Weights, atol: float) -> None:
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        np.testing.assert_allclose(found[path], value, atol=atol, err_msg=path)


def plain(**changes: Any) -> dict[str, Any]:
    """SGD, whose updates are as close as the gradients are; Adam makes a large difference of a small one."""
    sgd = {"name": "sgd", "clip_norm": 1.0}
    phases = (
        head_phase(learning_rate=0.5, optimizer=sgd),
        fine_tune_phase(learning_rate=0.1, optimizer=sgd, block_decay=0.5),
    )
    return {"phases": phases, "compute": changes}


@pytest.fixture(scope="module")
def plainly_trained(training_data: TrainingData) -> tuple[Weights, tuple[PhaseRecord, ...]]:
    return train(training_data, 1, **plain())[:2]


PARTS_OF_PADDING, COMPILED = {"num_micro_batches": 4}, {"jit_compile": True}
COMPILED_PARTS = {"jit_compile": True, "num_micro_batches": 2}
BFLOAT16, FLOAT16_IN_PARTS = {"precision": "mixed_bfloat16"}, {"precision": "mixed_float16", "num_micro_batches": 2}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "num_replicas", "atol"),
    [
        (PARTS_OF_PADDING, 2, 1e-5),
        (COMPILED, 1, 1e-5),
        *((COMPILED_PARTS, number, 1e-5) for number in (1, 2)),
        *((BFLOAT16, number, 0.02) for number in (1, 2)),
        *((FLOAT16_IN_PARTS, number, 5e-3) for number in (1, 2)),
    ],
    ids=str,
)
def test_weights_are_those_of_a_plain_training(
    changes: dict[str, Any],
    num_replicas: int,
    atol: float,
    training_data: TrainingData,
    plainly_trained: tuple[Weights, tuple[PhaseRecord, ...]],
) -> None:
    """52 examples in batches of 16: with micro-batches of 4, the last batch has some of padding alone."""
    expected, plain_records = plainly_trained
    found, records, _ = train(training_data, num_replicas, **plain(**changes))
    assert_close(found, expected, atol)
    for record, plain_record in zip(records, plain_records, strict=True):
        assert record.epochs[0].train_loss == pytest.approx(plain_record.epochs[0].train_loss, rel=max(atol, 1e-4))
        assert record.epochs[0].train_accuracy == pytest.approx(plain_record.epochs[0].train_accuracy, abs=0.02)
    assert {value.dtype for value in found.values()} == {np.dtype(np.float32)}
    assert records[0].contract.num_replicas == num_replicas
    moved = max(float(np.abs(found[path] - value).max()) for path, value in expected.items())
    assert moved > 0, "computed in the same way after all"


def test_a_mixed_model_has_float32_variables_statistics_and_scores() -> None:
    before = keras.config.dtype_policy().name
    model = build_classifier(settings(compute={"precision": "mixed_float16"}), num_classes=3)
    assert keras.config.dtype_policy().name == before
    norm = model.backbone.get_layer("block1_batch_norm")
    assert norm.compute_dtype == "float16"
    assert {variable.dtype for variable in model.weights} == {"float32"}
    features = model.feature_map(np.zeros((2, 8, 8, 3), np.uint8), lambda _: False)
    assert features.dtype == tf.float16
    assert model.logits(np.zeros((2, 8, 8, 3), np.uint8), training=False).dtype == tf.float32


def test_what_is_traced_for_the_export_computes_in_float32_to_the_bit(digits: tuple[np.ndarray, np.ndarray]) -> None:
    plain_model = build_classifier(settings(), num_classes=3)
    model = build_classifier(settings(compute={"precision": "mixed_bfloat16"}), num_classes=3)
    for variable, other in zip(model.weights, plain_model.weights, strict=True):
        variable.assign(other)
    pixels = digits[0][:16]
    expected = plain_model(pixels).numpy()
    assert np.abs(model(pixels).numpy() - expected).max() > 0
    with computing_in_float32(model):
        np.testing.assert_array_equal(model(pixels), expected)
    assert np.abs(model(pixels).numpy() - expected).max() > 0


def test_a_model_that_was_trained_in_mixed_precision_is_served_in_float32(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    plain_model = build_classifier(settings(), num_classes=3)
    model = build_classifier(settings(compute={"precision": "mixed_bfloat16"}), num_classes=3)
    for variable, other in zip(model.weights, plain_model.weights, strict=True):
        variable.assign(other)
    write_plain_transform(("0", "1", "2"), 8, tmp_path / "graph")
    export(model, str(tmp_path / "graph"), 8, str(tmp_path / "model"))
    pixels = digits[0][:4]
    images = tf.stack([tf.io.encode_png(image) for image in pixels])
    served = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"](images)["scores"]
    np.testing.assert_allclose(served, plain_model(pixels), atol=1e-6)
    assert np.abs(model(pixels).numpy() - served.numpy()).max() > 1e-5


@pytest.mark.parametrize(
    ("gradients", "expected"),
    [([1.0, None, 2.0], True), ([1.0, float("inf")], False), ([float("nan"), 1.0], False)],
)
def test_one_number_that_is_infinite_or_none_is_enough_to_leave_an_update_out(
    gradients: list[float | None], expected: bool
) -> None:
    tensors = [None if value is None else tf.constant([0.0, value]) for value in gradients]
    assert bool(are_finite(tensors)) == expected


@pytest.fixture(params=[1, 2], ids=["1 replica", "2 replicas"])
def loss_scale(request: pytest.FixtureRequest) -> tuple[tf.distribute.Strategy, LossScale]:
    strategy = make_strategy(request.param)
    with strategy.scope():
        return strategy, LossScale()


def values_of(scale: LossScale) -> set[float]:
    return {float(component) for component in components(scale.variables[0])}


def test_the_scale_halves_at_an_overflow_and_doubles_after_enough_updates(
    loss_scale: tuple[tf.distribute.Strategy, LossScale], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "NUM_UPDATES_BEFORE_GROWTH", 3)
    strategy, scale = loss_scale
    overflow = tf.function(lambda: strategy.run(scale.note_overflow), autograph=False)
    update = tf.function(lambda: strategy.run(scale.note_update), autograph=False)
    update()
    overflow()
    assert values_of(scale) == {INITIAL_SCALE / 2}
    for _ in range(2):
        update()
    assert values_of(scale) == {INITIAL_SCALE / 2}
    update()
    assert values_of(scale) == {INITIAL_SCALE}
    for _ in range(2):
        update()
    assert values_of(scale) == {INITIAL_SCALE}
    update()
    assert values_of(scale) == {INITIAL_SCALE * 2}


def overflows_on_the_last_replica(_: object) -> tf.Tensor:
    context = tf.distribute.get_replica_context()
    return tf.less(context.replica_id_in_sync_group + 1, context.num_replicas_in_sync)


@pytest.mark.slow
@pytest.mark.parametrize(("num_replicas", "overflows_on"), [(1, "all"), (2, "all"), (2, "the last")])
def test_an_update_whose_gradients_overflow_is_left_out_on_all_replicas_and_is_no_bad_step(
    num_replicas: int, overflows_on: str, training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of an epoch, so that nothing changes. The schedule and the average wait."""
    if overflows_on == "all":
        monkeypatch.setattr(precision, "INITIAL_SCALE", float("inf"))
    else:
        monkeypatch.setattr(precision, "are_finite", overflows_on_the_last_replica)
    counts: list[float] = []
    original = PhaseTraining._evaluate

    def note(phase: PhaseTraining, *arguments: Any) -> Any:
        counts.extend(map(float, components(phase._average.variables[-1])))
        return original(phase, *arguments)

    monkeypatch.setattr(PhaseTraining, "_evaluate", note)
    phases = (head_phase(schedule="cosine"), fine_tune_phase())
    changes = {"phases": phases, "batch_size_per_replica": 16 // num_replicas, "seed": 3}
    start = weights_of(set_up(settings(**changes), training_data, make_strategy(num_replicas)).model)
    found, records, _ = train(
        training_data, num_replicas, **changes, ema_decay=0.9, compute={"precision": "mixed_float16"}
    )
    assert_close(found, start, 0)
    assert all(record.warning is None for record in records)
    assert records[0].epochs[0].learning_rates == {"head": pytest.approx(0.02)}
    assert counts == [0.0] * num_replicas * 2


@pytest.mark.slow
def test_gradients_that_overflow_at_the_least_scale_end_the_phase(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "INITIAL_SCALE", 1.0)
    monkeypatch.setattr(precision, "are_finite", lambda _: tf.constant(False))
    with pytest.raises(ThawError, match="phase 'head' diverged: in epoch 1, at step 1 of the phase"):
        train(training_data, compute={"precision": "mixed_float16"})


@pytest.mark.slow
@pytest.mark.parametrize("num_replicas", [1, 2])
def test_a_training_in_float16_goes_on_with_its_scale_to_the_bit(
    num_replicas: int, training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scale doubles every two updates, so that one that begins anew would show."""
    monkeypatch.setattr(precision, "NUM_UPDATES_BEFORE_GROWTH", 2)
    changes: dict[str, Any] = {
        "phases": (head_phase(epochs=2), fine_tune_phase(epochs=2)),
        "checkpoint_every_steps": 1,
        "compute": {"precision": "mixed_float16"},
    }
    expected, records, _ = train(training_data, num_replicas, **changes)
    original = _Training._save_if_due
    num_steps = 0

    class Killed(BaseException):
        pass

    def die(training: Any, phase: Any) -> None:
        nonlocal num_steps
        original(training, phase)
        num_steps += 1
        if num_steps in (3, 11):
            raise Killed

    monkeypatch.setattr(_Training, "_save_if_due", die)
    for _ in range(2):
        with pytest.raises(Killed):
            train(training_data, num_replicas, tmp_path, **changes)
    found, again, _ = train(training_data, num_replicas, tmp_path, **changes)
    assert again == records
    for path, value in expected.items():
        np.testing.assert_array_equal(found[path], value, err_msg=path)
