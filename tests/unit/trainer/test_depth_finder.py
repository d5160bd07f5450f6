"""The search for a freeze boundary."""

import math
from pathlib import Path

import numpy as np
import pytest
from tiny import fine_tune_phase, head_phase, settings, weights_of

from trainer import replicas, training
from trainer.augmentation_settings import AugmentationSettings
from trainer.backbones import build_backbone
from trainer.devices import make_strategy
from trainer.errors import ThawError
from trainer.feeds import PixelFeed
from trainer.interruption import StopRequest
from trainer.phase_settings import Boundary, PhaseSettings
from trainer.phase_training import PhaseTraining
from trainer.search import depth_finder
from trainer.search.depth_finder import (
    _Outcome,
    boundaries_to_try,
    choose,
    compare,
    example_losses,
    find_depth,
    with_boundary,
)
from trainer.search.results import DepthSearch, DepthTrial
from trainer.settings import ModelSettings
from trainer.stages import stages_of
from trainer.training import PhaseRecord, TrainingData, fine_tune, set_up

pytestmark = pytest.mark.slow


def auto_phase(**changes: object) -> PhaseSettings:
    return fine_tune_phase(**{"unfreeze": "auto", "trial_steps": 4, **changes})


def search(plan: ModelSettings, data: TrainingData, num_replicas: int = 1) -> DepthSearch:
    setup = set_up(plan, data, make_strategy(num_replicas))
    named = replicas.name_components("model", setup.model.variables)
    before = replicas.read(named)
    found = find_depth(setup, stages_of(plan)[1], None, lambda phase: phase, StopRequest())
    assert found is not None
    for name, value in replicas.read(named).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    return found


def train(
    plan: ModelSettings, data: TrainingData, folder: Path | None = None
) -> tuple[dict[str, np.ndarray], tuple[PhaseRecord, ...]]:
    model, records = fine_tune(plan, data, make_strategy(1), lambda _: None, checkpoint_dir=folder)
    return weights_of(model), records


def test_boundaries_lie_at_block_edges_each_of_them_once() -> None:
    found = boundaries_to_try(build_backbone(settings()))
    assert list(found) == ["none", "batch_norm", "from block4 up", "from block3 up", "from block2 up", "all"]
    assert found["from block4 up"] == Boundary(block="block4")


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_each_trial_starts_from_the_same_point_and_leaves_no_trace(
    training_data: TrainingData, num_replicas: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the last one is in the first place what it is in the last, and so on."""
    plan = settings(phases=(head_phase(), auto_phase(epochs=2)), dropout_rate=0.3)
    found = search(plan, training_data, num_replicas)
    chosen = {"all": "all", "batch_norm": "batch_norm"}
    monkeypatch.setattr(depth_finder, "boundaries_to_try", lambda _: chosen)
    again = search(plan, training_data, num_replicas)
    losses, others = ({trial.where: trial.eval_log_loss for trial in each.trials} for each in (found, again))
    assert others == {where: losses[where] for where in chosen}
    assert len(set(losses.values())) == len(losses)
    parameters = [trial.num_trained_parameters for trial in found.trials]
    assert parameters == sorted(parameters)
    assert {trial.where for trial in found.trials} >= {"none", "batch_norm", "all"}
    assert found.num_steps == 4
    assert found.num_examples == min(52, 4 * 16 * num_replicas)


def test_a_trial_reaches_what_a_phase_with_its_boundary_and_length_reaches(training_data: TrainingData) -> None:
    plan = settings(phases=(head_phase(), auto_phase()))
    _, records = train(plan, training_data)
    assert records[1].search is not None
    depth = records[1].search.depth
    assert depth is not None
    (trial,) = [trial for trial in depth.trials if trial.where == "all"]
    alone = fine_tune_phase(unfreeze="all", epochs=None, steps=4)
    _, (_, record) = train(settings(phases=(head_phase(), alone)), training_data)
    assert trial.eval_accuracy == record.epochs[-1].eval_accuracy
    assert trial.eval_log_loss == pytest.approx(record.epochs[-1].eval_log_loss, rel=1e-5)
    assert trial.num_trained_parameters == record.trainable.num_trained_parameters


def test_the_phase_trains_with_the_boundary_that_was_taken_and_the_contract_holds_it(
    training_data: TrainingData,
) -> None:
    searched, records = train(settings(phases=(head_phase(), auto_phase())), training_data)
    assert records[1].search is not None
    depth = records[1].search.depth
    assert depth is not None
    taken = depth.trials[depth.chosen]
    assert records[1].settings.unfreeze == taken.unfreeze != "auto"
    assert records[1].trainable.num_trained_parameters == taken.num_trained_parameters
    stated = with_boundary(fine_tune_phase(), taken.unfreeze)
    weights, plain = train(settings(phases=(head_phase(), stated)), training_data)
    assert plain[1].contract == records[1].contract
    for path, value in weights.items():
        np.testing.assert_array_equal(searched[path], value, err_msg=path)


def test_where_the_rate_is_open_too_each_boundary_is_tried_with_its_own(training_data: TrainingData) -> None:
    plan = settings(phases=(head_phase(), auto_phase(learning_rate="auto", allow_higher_learning_rate=True)))
    _, records = train(plan, training_data)
    found = records[1].search
    assert found is not None
    assert found.depth is not None
    assert found.rate is not None
    assert len({trial.learning_rate for trial in found.depth.trials}) > 1
    assert records[1].settings.learning_rate == found.depth.trials[found.depth.chosen].learning_rate == found.rate.rate


class Killed(BaseException):
    """Stands in for a death that nothing in the program can catch."""


def plan_that_is_killed() -> ModelSettings:
    return settings(phases=(head_phase(), auto_phase(epochs=2)), checkpoint_every_steps=0, dropout_rate=0.2)


@pytest.fixture(scope="module")
def undisturbed(training_data: TrainingData) -> tuple[dict[str, np.ndarray], tuple[PhaseRecord, ...]]:
    return train(plan_that_is_killed(), training_data)


@pytest.mark.parametrize("num_trials", [0, 3], ids=["after the search", "in the third trial"])
def test_a_training_killed_around_the_search_ends_with_the_same_boundary_and_bits(
    num_trials: int,
    training_data: TrainingData,
    undisturbed: tuple[dict[str, np.ndarray], tuple[PhaseRecord, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_that_is_killed()
    original, num_tried, num_done = depth_finder._train, 0, 0

    def attempt(*arguments: object) -> object:
        nonlocal num_tried
        num_tried += 1
        if num_tried == num_trials:
            raise Killed
        return original(*arguments)  # type: ignore[arg-type]

    def die(_: training._Training, phase: PhaseTraining) -> None:
        nonlocal num_done
        num_done += 1
        if not num_trials and num_done == 5:  # the first step of the second phase
            raise Killed

    monkeypatch.setattr(depth_finder, "_train", attempt)
    monkeypatch.setattr(training._Training, "_save_if_due", die)
    with pytest.raises(Killed):
        train(plan, training_data, tmp_path)
    num_steps, num_tried = num_done, 10
    weights, records = train(plan, training_data, tmp_path)
    for path, value in undisturbed[0].items():
        np.testing.assert_array_equal(weights[path], value, err_msg=path)
    assert records == undisturbed[1]
    assert num_tried == (16 if num_trials else 10), "searched anew only where it had not ended"
    assert num_done - num_steps == 8, "the first phase is not trained anew"


def test_a_boundary_that_diverges_is_not_taken(training_data: TrainingData) -> None:
    phases = (head_phase(), auto_phase(optimizer={"name": "sgd"}, learning_rate=0.001))
    plan = settings(phases=phases)
    setup = set_up(plan, training_data, make_strategy(1))

    def with_rate(phase: PhaseSettings) -> PhaseSettings:
        return phase if phase.unfreeze == "none" else phase.model_copy(update={"learning_rate": 1e30})

    found = find_depth(setup, stages_of(plan)[1], None, with_rate, StopRequest())
    assert found is not None
    assert found.trials[found.chosen].where == "none"
    assert all(trial.eval_log_loss == math.inf for trial in found.trials if trial.where != "none")


def test_where_every_boundary_diverges_the_training_says_so(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth_finder, "_train", lambda *_: None)
    with pytest.raises(ThawError, match="the trial of every freeze boundary diverged"):
        search(settings(phases=(head_phase(), auto_phase())), training_data)


def test_a_boundary_without_a_rate_is_not_tried(training_data: TrainingData) -> None:
    plan = settings(phases=(head_phase(), auto_phase()))
    setup, stage = set_up(plan, training_data, make_strategy(1)), stages_of(plan)[1]
    found = find_depth(
        setup, stage, None, lambda phase: phase if phase.unfreeze in ("none", "all") else None, StopRequest()
    )
    assert found is not None
    assert [trial.where for trial in found.trials] == ["none", "all"]
    assert find_depth(setup, stage, None, lambda _: None, StopRequest()) is None


def test_a_policy_for_batch_norm_holds_only_where_there_is_some(training_data: TrainingData) -> None:
    found = search(settings(phases=(head_phase(), auto_phase(batch_norm="adapt"))), training_data)
    assert {trial.where for trial in found.trials} >= {"none", "batch_norm", "all"}


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_losses_are_those_of_each_eval_example_without_padding(training_data: TrainingData, num_replicas: int) -> None:
    def of_each(num_replicas: int) -> tuple[np.ndarray, np.ndarray]:
        setup = set_up(settings(), training_data, make_strategy(num_replicas))
        data, size = setup.data, setup.global_batch_size
        feed = PixelFeed(setup.model, data.train, data.eval, size, AugmentationSettings(), "a test")
        return example_losses(setup, feed)

    losses, weights = of_each(num_replicas)
    assert losses.shape == weights.shape == (23,)
    alone, _ = of_each(1)
    np.testing.assert_allclose(np.sort(losses), np.sort(alone), rtol=1e-5)


def outcome(where: str, num_parameters: int, losses: np.ndarray) -> _Outcome:
    trial = DepthTrial("all", where, 0.1, num_parameters, float(losses.mean()), 0.5, math.inf, 0.0, 1.0)
    return _Outcome(trial, losses, np.ones(len(losses)))


def test_of_boundaries_that_cannot_be_told_apart_the_one_with_fewest_parameters_is_taken() -> None:
    drawn = np.random.default_rng(0)
    losses = drawn.uniform(0.2, 1.0, 200)
    noise = drawn.normal(0, 0.05, 200)
    noise -= noise.mean()
    best = outcome("all", 1000, losses)
    same = outcome("last", 100, losses + noise + 0.001)
    worse = outcome("none", 10, losses + noise + 0.02)
    trials = compare([best, worse, same])
    assert [trial.where for trial in trials] == ["none", "last", "all"]
    assert trials[choose(trials)].where == "last"
    assert trials[0].excess == pytest.approx(0.02)
    assert trials[0].standard_error == pytest.approx(0.05 / math.sqrt(200), rel=0.2)


def test_a_clear_winner_is_taken_however_large() -> None:
    losses = np.linspace(0.2, 1.0, 50)
    trials = compare([outcome("all", 1000, losses), outcome("none", 10, losses + np.tile([0.3, 0.5], 25))])
    assert trials[choose(trials)].where == "all"


def test_settings_without_a_meaning_at_a_boundary_are_left_out_there() -> None:
    phase = fine_tune_phase(unfreeze="auto", batch_norm="adapt", block_decay=0.5)
    assert with_boundary(phase, "none").batch_norm == "frozen"
    assert with_boundary(phase, "none").block_decay == 1
    assert with_boundary(phase, "batch_norm").block_decay == 0.5
    assert with_boundary(phase, "all").batch_norm == "adapt"


def test_trial_steps_without_a_search_are_refused() -> None:
    with pytest.raises(ValueError, match="trial_steps is 5, but only `unfreeze: auto` tries boundaries"):
        fine_tune_phase(trial_steps=5)
