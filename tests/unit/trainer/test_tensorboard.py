"""What TensorBoard shows of a training, read back from its event files; and that watching changes nothing."""

import dataclasses
import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deaths import Killed, assert_same
from deaths import train as train_with_checkpoints
from events import image, points, scalars, tags
from test_resume import plan
from tiny import Weights, fine_tune_phase, head_phase, settings, weights_of
from trained import Run, train

from trainer import norms, precision
from trainer.curves import ALL_PHASES
from trainer.history import EpochRecord
from trainer.phase_training import PhaseTraining
from trainer.replicas import components
from trainer.sample_predictions import choose, draw
from trainer.training import TrainingData

pytestmark = pytest.mark.slow

LABELS = ("zéro", "$\\frac{one|", "二")
CLIP_NORM = 0.1
RATES = {"block3": 0.05, "block4": 0.1}
SGD = {"name": "sgd", "clip_norm": CLIP_NORM}


@pytest.fixture(scope="module")
def named(training_data: TrainingData) -> TrainingData:
    return dataclasses.replace(training_data, labels=LABELS)


@dataclasses.dataclass(frozen=True)
class Logged:
    run: Run
    folder: Path


@pytest.fixture(scope="module")
def logged(named: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """Three epochs of four steps, then one."""
    folder = tmp_path_factory.mktemp("logs")
    return Logged(train(settings(phases=(head_phase(epochs=3), fine_tune_phase())), named, log_dir=folder), folder)


def test_each_phase_has_a_folder_with_its_curves_by_epoch(logged: Logged) -> None:
    assert {path.name for path in logged.folder.iterdir()} == {"head", "fine_tune", ALL_PHASES}
    found = scalars(logged.folder / "head" / "eval", "epoch_loss")
    expected = {epoch.epoch: epoch.eval_log_loss for epoch in logged.run.phases[0].epochs}
    assert found == pytest.approx(expected, rel=1e-6)
    assert "learning_rate/head" in tags(logged.folder / "head" / "train")


def test_all_phases_share_one_axis_of_steps_with_a_mark_where_a_phase_begins(logged: Logged) -> None:
    folder = logged.folder / ALL_PHASES
    epochs = [epoch for phase in logged.run.phases for epoch in phase.epochs]
    losses = scalars(folder / "eval", "epoch_loss")
    assert losses == pytest.approx(
        {4 * number: epoch.eval_log_loss for number, epoch in enumerate(epochs, 1)}, rel=1e-6
    )
    phases = [(step, int(value)) for step, value in points(folder / "train", "phase")]
    assert phases == [(0, 1), (4, 1), (8, 1), (12, 1), (12, 2), (16, 2)]
    marks = [(step, value.item().decode()) for step, value in points(folder / "train", "phase_boundary")]
    assert marks == [
        (0, "phase 1, **head**, begins after step 0"),
        (12, "phase 2, **fine_tune**, begins after step 12"),
    ]


def test_norms_are_there_for_blocks_that_train_and_for_no_frozen_one(logged: Logged) -> None:
    def blocks(phase: str) -> set[str]:
        found = tags(logged.folder / phase / "train")
        return {tag.removeprefix("gradient_norm/") for tag in found if tag.startswith("gradient_norm/")}

    assert blocks("head") == {"head"}
    assert blocks("fine_tune") == {"head", "block4"}
    first = logged.run.phases[0].epochs[0].norms
    written = scalars(logged.folder / "head" / "train", "update_norm/head")
    assert written[1] == pytest.approx(first["update_norm/head"], rel=1e-6)
    assert first["update_norm/head"] > 0
    assert first["global_gradient_norm"] == first["gradient_norm/head"] > 0


def test_predictions_of_a_few_eval_images_are_shown_after_each_phase(logged: Logged, named: TrainingData) -> None:
    written = points(logged.folder / ALL_PHASES / "eval", "predictions")
    assert [step for step, _ in written] == [12, 16]
    samples = choose(named.eval, seed=3)
    probabilities = logged.run.model(samples.pixels).numpy()
    np.testing.assert_array_equal(image(written[-1][1]), draw(samples, probabilities, LABELS))


def test_what_the_pictures_say_stands_there_in_words_too(logged: Logged, named: TrainingData) -> None:
    written = points(logged.folder / ALL_PHASES / "eval", "predictions_in_words")
    assert [step for step, _ in written] == [12, 16]
    samples = choose(named.eval, seed=3)
    probabilities = logged.run.model(samples.pixels).numpy()
    heading, *rows = [[html.unescape(cell.decode()) for cell in row] for row in written[-1][1]]
    assert heading == ["label", "prediction", "score"]
    assert [row[0] for row in rows] == [LABELS[label] for label in samples.label_ids]
    assert [row[1] for row in rows] == [LABELS[label] for label in probabilities.argmax(axis=-1)]
    np.testing.assert_allclose([float(row[2]) for row in rows], probabilities.max(axis=-1), atol=5e-4)
    assert {row[0] for row in rows} == set(LABELS)


def test_samples_are_of_the_whole_split_and_the_same_for_a_seed(
    named: TrainingData, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    samples = choose(named.eval, seed=1)
    np.testing.assert_array_equal(samples.pixels, choose(named.eval, seed=1).pixels)
    assert not np.array_equal(samples.pixels, choose(named.eval, seed=2).pixels)
    assert len(samples.pixels) == 16
    everything = choose(named.eval, seed=1, num_images=100)
    np.testing.assert_array_equal(everything.pixels, digits[0][52:75])
    np.testing.assert_array_equal(everything.label_ids, digits[1][52:75])
    places = [int(np.flatnonzero((digits[0][52:75] == pixels).all(axis=(1, 2, 3)))[0]) for pixels in samples.pixels]
    assert max(places) > 16


def test_right_and_wrong_answers_are_drawn_in_another_colour(named: TrainingData) -> None:
    samples = choose(named.eval, seed=3, num_images=3)
    right = np.eye(3, dtype=np.float32)[samples.label_ids]
    assert colours(draw(samples, right, LABELS)) == {"blue"}
    assert colours(draw(samples, 1 - right, LABELS)) == {"orange"}


def colours(picture: np.ndarray) -> set[str]:
    """Of the words: the digits are grey."""
    red, _, blue = (picture[..., channel].astype(int) for channel in range(3))
    return {name for name, more in (("orange", red - blue), ("blue", blue - red)) if (more > 50).any()}


@pytest.fixture
def weights_of_epochs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Weights]]:
    """Of the model when each epoch is evaluated; all replicas have the same norms then."""
    found: list[Weights] = []
    original = PhaseTraining._evaluate

    def note(phase: PhaseTraining, *arguments: Any) -> EpochRecord:
        found.append(weights_of(phase._setup.model))
        for variable in phase._steps.norms.variables:
            first, *others = map(np.array, components(variable))
            assert all(np.array_equal(first, other) for other in others)
        return original(phase, *arguments)

    monkeypatch.setattr(PhaseTraining, "_evaluate", note)
    yield found


def one_step_each(**compute: Any) -> dict[str, Any]:
    """An evaluation after each step; the gradient is clipped in all of them."""
    phases = (
        head_phase(epochs=None, steps=1, learning_rate=0.5, optimizer=SGD),
        fine_tune_phase(
            epochs=None,
            steps=2,
            evaluate_every_steps=1,
            unfreeze={"layer": "block3_conv"},
            learning_rate=0.2,
            block_decay=0.5,
            optimizer=SGD,
        ),
    )
    return {"phases": phases, "compute": compute}


@pytest.fixture(scope="module")
def plain_norms(named: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """On one replica, in float32, in one part."""
    run = train(settings(**one_step_each()), named, log_dir=tmp_path_factory.mktemp("plain"))
    return dict(run.phases[1].epochs[0].norms)


@pytest.mark.parametrize(
    ("num_replicas", "compute", "rel"),
    [
        (1, {}, 0),
        (2, {}, 1e-4),
        (1, {"num_micro_batches": 4}, 1e-4),
        (2, {"precision": "mixed_float16"}, 0.02),
    ],
    ids=str,
)
def test_norms_are_of_the_gradient_of_the_global_batch_and_of_what_a_step_changed(
    num_replicas: int,
    compute: dict[str, Any],
    rel: float,
    named: TrainingData,
    plain_norms: dict[str, float],
    weights_of_epochs: list[Weights],
    tmp_path: Path,
) -> None:
    changes = {**one_step_each(**compute), "batch_size_per_replica": 16 // num_replicas}
    run = train(settings(**changes), named, num_replicas, tmp_path)
    record, before, after = run.phases[1].epochs[0].norms, *weights_of_epochs[:2]
    # Both begin with the weights that the head phase ended with, which was evaluated once.
    for block, rate in {**RATES, "head": 0.2}.items():
        moved = [after[path] - value for path, value in before.items() if block in path]
        update = np.sqrt(sum(float(np.sum(np.square(each.astype(float)))) for each in moved))
        assert record[f"update_norm/{block}"] == pytest.approx(update, rel=1e-4)
        expected = rate * record[f"gradient_norm/{block}"] * record["clip_factor"]
        assert record[f"update_norm/{block}"] == pytest.approx(expected, rel=1e-3)
    of_blocks = [record[f"gradient_norm/{block}"] for block in (*RATES, "head")]
    assert record["global_gradient_norm"] == pytest.approx(np.linalg.norm(of_blocks), rel=1e-6)
    assert record["clip_factor"] == pytest.approx(CLIP_NORM / record["global_gradient_norm"], rel=1e-6)
    assert record["clip_factor"] < 1, "nothing was clipped"
    assert record == pytest.approx(plain_norms, rel=rel)


@pytest.mark.parametrize(
    ("num_replicas", "compute"), [(1, {}), (2, {"precision": "mixed_float16"}), (2, {"jit_compile": True})], ids=str
)
def test_watching_changes_no_bit(
    compute: dict[str, Any], num_replicas: int, named: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(norms, "STEPS_BETWEEN", 3)
    short = tuple(phase.model_copy(update={"epochs": 1}) for phase in plan().phases)
    changes = plan(phases=short, compute=compute, batch_size_per_replica=16 // num_replicas)
    unwatched = train_with_checkpoints(named, None, changes, num_replicas)
    watched = train_with_checkpoints(named, None, changes, num_replicas, log_dir=tmp_path)
    assert all(epoch.norms for record in watched.records for epoch in record.epochs)
    assert_same(dataclasses.replace(watched, records=without_norms(watched.records)), unwatched)


def without_norms(records: Any) -> Any:
    return tuple(
        dataclasses.replace(record, epochs=tuple(dataclasses.replace(epoch, norms={}) for epoch in record.epochs))
        for record in records
    )


def test_a_training_that_was_killed_ends_with_the_norms_and_pictures_of_an_undisturbed_one(
    named: TrainingData, die_at: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed within an epoch of the second phase, after a step whose norms were noted, and a checkpoint."""
    monkeypatch.setattr(norms, "STEPS_BETWEEN", 2)
    changes = plan(checkpoint_every_steps=1)
    expected = train_with_checkpoints(named, None, changes, log_dir=tmp_path / "expected")
    die_at.append(24 + 19)
    with pytest.raises(Killed):
        train_with_checkpoints(named, tmp_path / "checkpoints", changes, log_dir=tmp_path / "first")
    found = train_with_checkpoints(named, tmp_path / "checkpoints", changes, log_dir=tmp_path / "second")
    assert_same(found, expected)
    for name in (f"{ALL_PHASES}/train", f"{ALL_PHASES}/eval", "head/train", "fine_tune/eval"):
        folders = [tmp_path / attempt / name for attempt in ("expected", "second")]
        assert tags(folders[0]) == tags(folders[1])
        for tag in tags(folders[0]):
            left, right = (points(folder, tag) for folder in folders)
            assert [step for step, _ in left] == [step for step, _ in right], tag
            for (_, value), (_, other) in zip(left, right, strict=True):
                np.testing.assert_array_equal(value, other, err_msg=tag)


def test_a_step_that_is_left_out_for_its_loss_scale_has_no_norms(
    named: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "INITIAL_SCALE", float("inf"))
    run = train(settings(compute={"precision": "mixed_float16"}), named, log_dir=tmp_path)
    assert [epoch.norms for phase in run.phases for epoch in phase.epochs] == [{}, {}]


def test_the_last_step_of_each_epoch_is_looked_at_and_of_long_ones_every_fiftieth() -> None:
    assert [step for step in range(1, 205) if norms.is_due(step, 120 if step <= 120 else 204)] == [
        50,
        100,
        120,
        150,
        200,
        204,
    ]
