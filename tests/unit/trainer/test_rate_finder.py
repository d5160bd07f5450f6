"""The search for a learning rate, in training and before it."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase, settings, weights_of

from trainer import replicas, training
from trainer.datasets import Split
from trainer.devices import make_strategy
from trainer.errors import ThawError
from trainer.interruption import Interrupted, StopAsked, StopRequest
from trainer.phase_settings import PhaseSettings
from trainer.search import rate_finder
from trainer.search.rate_curves import Sweep
from trainer.search.rate_finder import below_frozen_rates, find_rate, num_steps_of, summarize
from trainer.search.results import RateSearch
from trainer.search.survey import survey
from trainer.settings import ModelSettings
from trainer.stages import stages_of
from trainer.training import PhaseRecord, TrainingData, fine_tune, set_up
from trainer.training_setup import Setup

pytestmark = pytest.mark.slow


def search_in(setup: Setup, index: int = 0) -> RateSearch:
    return find_rate(setup, stages_of(setup.settings)[index], None, StopRequest())


def state_of(setup: Setup) -> dict[str, np.ndarray]:
    """Everything on each replica: weights, statistics, random states."""
    return replicas.read(replicas.name_components("model", setup.model.variables))


def train(
    plan: ModelSettings, data: TrainingData, folder: Path | None = None, log_dir: Path | None = None
) -> tuple[dict[str, np.ndarray], tuple[PhaseRecord, ...]]:
    model, records = fine_tune(plan, data, make_strategy(1), lambda _: None, log_dir, folder)
    return weights_of(model), records


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.mark.parametrize("num_replicas", [1, 2])
def test_a_search_changes_no_bit_of_the_model_nor_of_any_random_state(
    training_data: TrainingData, num_replicas: int
) -> None:
    phases = (head_phase(), fine_tune_phase(batch_norm="adapt"))
    setup = set_up(settings(phases=phases, dropout_rate=0.3), training_data, make_strategy(num_replicas))
    before, python_state, numpy_state = state_of(setup), random.getstate(), np.random.get_state()[1].copy()
    found = search_in(setup, index=1)
    assert any("seed_generator_state" in variable.path for variable in setup.model.variables)
    assert_equal(state_of(setup), before)
    assert random.getstate() == python_state
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)
    assert found.sweeps[0].losses[0] != found.sweeps[0].losses[-1], "it did train"


def test_the_same_seed_gives_the_same_curve_and_each_sweep_another_order(training_data: TrainingData) -> None:
    first, second = (search_in(set_up(settings(), training_data, make_strategy(1))) for _ in range(2))
    assert first == second
    assert len({sweep.losses[0] for sweep in first.sweeps}) == rate_finder.NUM_SWEEPS


def test_the_rate_found_for_a_head_is_one_that_trains_it(training_data: TrainingData) -> None:
    """Among a hundredth of it and a hundred times it, it is the best."""
    found = search_in(set_up(settings(), training_data, make_strategy(1)))
    assert found.rule == "valley"
    assert found.rate is not None
    losses = [
        train(settings(phases=(head_phase(learning_rate=found.rate * factor, epochs=3),)), training_data)[1][0]
        for factor in (0.01, 1.0, 100.0)
    ]
    ends = [record.epochs[-1].eval_log_loss for record in losses]
    assert ends[1] == min(ends), (found.rate, ends)


def test_auto_trains_to_the_bits_that_the_rate_it_found_trains_to(training_data: TrainingData, tmp_path: Path) -> None:
    phases = (head_phase(learning_rate="auto"), fine_tune_phase(learning_rate="auto"))
    searched, records = train(settings(phases=phases, dropout_rate=0.2), training_data, log_dir=tmp_path)
    rates = [record.settings.peak_rate for record in records]
    stated = tuple(phase.model_copy(update={"learning_rate": rate}) for phase, rate in zip(phases, rates, strict=True))
    weights, plain = train(settings(phases=stated, dropout_rate=0.2), training_data, log_dir=tmp_path / "plain")
    assert_equal(searched, weights)
    assert [record.epochs for record in records] == [record.epochs for record in plain]
    assert all(record.search is not None and record.search.rate is not None for record in records)
    assert list((tmp_path / "head" / "learning_rate_search_1").iterdir()), "TensorBoard has the curve"


class Killed(BaseException):
    """Stands in for a death that nothing in the program can catch."""


def plan_that_is_killed() -> ModelSettings:
    phases = (head_phase(learning_rate="auto"), fine_tune_phase(learning_rate="auto", epochs=2))
    return settings(phases=phases, checkpoint_every_steps=0, dropout_rate=0.2)


@pytest.fixture(scope="module")
def undisturbed(training_data: TrainingData) -> tuple[dict[str, np.ndarray], tuple[PhaseRecord, ...]]:
    return train(plan_that_is_killed(), training_data)


@pytest.mark.parametrize("where", ["in the second search", "after the second search"])
def test_a_training_killed_around_its_search_ends_with_the_same_rates_and_bits(
    where: str,
    training_data: TrainingData,
    undisturbed: tuple[dict[str, np.ndarray], tuple[PhaseRecord, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = plan_that_is_killed()
    original, num_searches, num_phases = rate_finder._Sweeping._sweep, 0, 0

    def sweep(self: rate_finder._Sweeping, stop: StopRequest) -> Sweep:
        nonlocal num_searches
        num_searches += 1
        if where == "in the second search" and num_searches == rate_finder.NUM_SWEEPS + 2:
            raise Killed
        return original(self, stop)

    def die(*_: object) -> None:
        nonlocal num_phases
        num_phases += 1
        if where == "after the second search" and num_phases == 5:  # the first step of the second phase
            raise Killed

    monkeypatch.setattr(rate_finder._Sweeping, "_sweep", sweep)
    monkeypatch.setattr(training._Training, "_save_if_due", die)
    with pytest.raises(Killed):
        train(plan, training_data, tmp_path)
    num_before = num_searches
    weights, records = train(plan, training_data, tmp_path)
    assert_equal(weights, undisturbed[0])
    assert records == undisturbed[1]
    again = num_searches - num_before
    assert again == (rate_finder.NUM_SWEEPS if where == "in the second search" else 0), "the head is not searched again"


def test_sigterm_in_a_search_ends_it_and_says_so(
    training_data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_at_once(self: rate_finder._Sweeping, _: StopRequest) -> Sweep:
        raise StopAsked

    monkeypatch.setattr(rate_finder._Sweeping, "_sweep", stop_at_once)
    with pytest.raises(Interrupted, match="while what is open in phase 'head' was searched"):
        train(settings(phases=(head_phase(learning_rate="auto"),)), training_data, tmp_path)


def test_a_rate_that_is_not_below_the_frozen_one_is_lowered_and_said(
    training_data: TrainingData, tmp_path: Path
) -> None:
    phases = (head_phase(learning_rate=1e-5), fine_tune_phase(learning_rate="auto"))
    with pytest.warns(UserWarning, match="not below the 1e-05 of the frozen phase 'head', and was lowered to 5e-06"):
        _, records = train(settings(phases=phases), training_data)
    assert records[1].settings.learning_rate == 5e-6
    assert records[1].search is not None
    assert "lowered to 5e-06" in records[1].search.note


def test_a_higher_rate_stays_where_it_is_allowed_or_nothing_is_unfrozen() -> None:
    before = [head_phase(learning_rate=0.01)]
    assert below_frozen_rates(0.1, fine_tune_phase(), before)[0] == 0.005
    assert below_frozen_rates(0.1, fine_tune_phase(allow_higher_learning_rate=True), before) == (0.1, "")
    assert below_frozen_rates(0.1, head_phase(name="second"), before) == (0.1, "")
    assert below_frozen_rates(0.009, fine_tune_phase(), before) == (0.009, "")


def test_a_stated_rate_above_a_found_one_is_warned_of_and_used(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "trainer.search.phase_search.find_rate", lambda *_: RateSearch((), rule="valley", rate=1e-4, lowest=1e-4)
    )
    phases = (head_phase(learning_rate="auto"), fine_tune_phase())
    with pytest.warns(UserWarning, match=r"stated learning_rate of 0.005, which is not below the 0.0001"):
        _, records = train(settings(phases=phases), training_data)
    assert records[1].settings.learning_rate == 0.005


def test_a_model_that_gives_no_numbers_has_no_rate_and_the_training_says_so(
    training_data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(*arguments: object) -> Setup:
        setup = set_up(*arguments)  # type: ignore[arg-type]
        setup.model.head.kernel.assign(np.full(setup.model.head.kernel.shape, np.nan))
        return setup

    monkeypatch.setattr(training, "set_up", spoil)
    words = "no rate can be suggested: the loss was not a number from step 1 on, at a rate of 1e-06; state its"
    with pytest.raises(ThawError, match=words):
        train(settings(phases=(head_phase(learning_rate="auto"),)), training_data)


def test_a_split_smaller_than_a_batch_of_one_class_only_is_searched(training_data: TrainingData) -> None:
    """Each batch has one class, and is filled up with padding; the loss falls at any rate that is not too high."""
    few = replace(training_data, train=_of_one_class(training_data.train))
    found = search_in(set_up(settings(), few, make_strategy(2)))
    assert len(found.sweeps[0].losses) <= num_steps_of(1) == 40
    assert found.rate is not None


def _of_one_class(split: Split) -> Split:
    """The first five examples of class 0."""
    spec = {"label_id": tf.io.FixedLenFeature([], tf.int64)}
    records = [record.numpy() for record in tf.data.TFRecordDataset(split.files)]
    chosen = [record for record in records if int(tf.io.parse_single_example(record, spec)["label_id"]) == 0][:5]
    path = str(Path(split.files[0]).parent.parent / "one_class")
    with tf.io.TFRecordWriter(path) as writer:
        for record in chosen:
            writer.write(record)
    return Split((path,), len(chosen), split.image_size_px)


def test_small_splits_get_fewer_steps() -> None:
    assert [num_steps_of(number) for number in (1, 4, 7, 10, 1000)] == [40, 40, 70, 100, 100]


def sweep(lowest_decade: float) -> Sweep:
    rates = np.geomspace(1e-6, 10, 100)
    losses = [1.0 if rate < 1e-4 else abs(float(np.log10(rate)) - lowest_decade) / 4 for rate in rates]
    return Sweep(tuple(map(float, rates)), tuple(losses))


def test_the_median_of_the_sweeps_is_taken_and_their_spread_is_told() -> None:
    found = summarize([sweep(-2), sweep(-1), sweep(0)])
    middle = summarize([sweep(-1)])
    assert (found.rate, found.rule) == (middle.rate, "valley")
    assert found.lowest is not None
    assert found.highest is not None
    assert found.rate is not None
    assert found.lowest < found.rate < found.highest


def test_most_sweeps_must_suggest_something() -> None:
    flat = Sweep(tuple(map(float, np.geomspace(1e-6, 10, 100))), (1.0,) * 100)
    assert summarize([sweep(-1), sweep(-1), flat]).rate is not None
    found = summarize([sweep(-1), flat, flat])
    assert found.rate is None
    assert "the loss stayed at 1" in found.reason


def test_a_survey_searches_every_phase_and_trains_those_between_as_planned(training_data: TrainingData) -> None:
    phases = (head_phase(epochs=2), fine_tune_phase(learning_rate="auto"))
    first, second = survey(settings(phases=phases), training_data, make_strategy(1))
    assert (first.configured, second.configured) == (0.02, "auto")
    _, records = train(settings(phases=phases), training_data)
    assert records[1].search is not None
    assert second.search == records[1].search.rate, "what training finds"
    assert second.suggested == records[1].settings.learning_rate


def test_plans_with_auto_go_through_json(training_data: TrainingData) -> None:
    plan = settings(phases=(head_phase(learning_rate="auto"), fine_tune_phase(learning_rate="auto")))
    assert ModelSettings.model_validate_json(json.dumps(plan.model_dump(mode="json"))) == plan
    assert PhaseSettings(name="a", epochs=1, learning_rate="auto").is_searched
