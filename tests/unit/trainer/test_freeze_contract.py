"""That a drift of what had to stay frozen is found: on any replica, in weights and in statistics, and when exported."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase, settings

from trainer import freeze_contract
from trainer.classifier import Classifier, build_classifier
from trainer.devices import make_strategy
from trainer.errors import FreezeContractError
from trainer.export import export
from trainer.freezing import freeze


@pytest.fixture
def model(logical_cpus: int) -> Classifier:
    with make_strategy(logical_cpus).scope():
        model = build_classifier(settings(), num_classes=3)
    freeze(model, head_phase())
    return model


def component(model: Classifier, path: str, replica: int) -> Any:
    (variable,) = (found for found in model.weights if found.path == path)
    return variable.value.values[replica]


def move(model: Classifier, path: str, replicas: tuple[int, ...] = (0, 1)) -> None:
    for replica in replicas:
        value = component(model, path, replica)
        value.assign(value + 1e-7)


def test_every_variable_is_digested_on_every_replica(model: Classifier) -> None:
    digests = freeze_contract.digest_variables(model)
    assert set(digests) == {(variable.path, replica) for variable in model.weights for replica in (0, 1)}
    assert len(digests) == 2 * (4 * 5 + 2)


@pytest.mark.parametrize("replicas", [(0, 1), (0,), (1,)])
@pytest.mark.parametrize("path", ["block2_conv/kernel", "block3_batch_norm/moving_variance", "block1_batch_norm/gamma"])
def test_a_drift_of_a_frozen_variable_is_an_error_that_names_it(
    model: Classifier, path: str, replicas: tuple[int, ...]
) -> None:
    before = freeze_contract.digest_variables(model)
    move(model, path, replicas)
    with pytest.raises(FreezeContractError, match=rf"phase 'head' changed 1 variables.*{path}"):
        freeze_contract.check(model, "head", before)


def test_statistics_of_batch_norm_above_the_boundary_are_held_too(model: Classifier) -> None:
    freeze(model, fine_tune_phase(unfreeze="all"))
    before = freeze_contract.digest_variables(model)
    move(model, "block4_batch_norm/moving_mean")
    with pytest.raises(FreezeContractError, match="block4_batch_norm/moving_mean"):
        freeze_contract.check(model, "fine_tune", before)


def test_replicas_of_a_trained_variable_that_differ_are_an_error(model: Classifier) -> None:
    before = freeze_contract.digest_variables(model)
    move(model, "classifier/head/kernel", replicas=(1,))
    with pytest.raises(FreezeContractError, match=r"replicas differ in 1 variables: classifier/head/kernel"):
        freeze_contract.check(model, "head", before)


def test_what_trained_is_reported_and_is_no_error(model: Classifier) -> None:
    before = freeze_contract.digest_variables(model)
    move(model, "classifier/head/bias")
    report = freeze_contract.check(model, "head", before)
    assert report.changed == ("classifier/head/bias",)
    assert report.num_replicas == 2
    assert report.num_frozen_variables == 4 * 5


def test_the_digest_of_what_is_frozen_differs_between_other_weights(model: Classifier) -> None:
    first = freeze_contract.check(model, "head", freeze_contract.digest_variables(model))
    again = freeze_contract.check(model, "head", freeze_contract.digest_variables(model))
    move(model, "block1_conv/kernel")
    other = freeze_contract.check(model, "head", freeze_contract.digest_variables(model))
    assert first.frozen_sha256 == again.frozen_sha256 != other.frozen_sha256


def test_batch_norm_that_adapts_may_move_its_statistics_above_the_boundary_only(model: Classifier) -> None:
    freeze(model, fine_tune_phase(batch_norm="adapt"))
    before = freeze_contract.digest_variables(model)
    move(model, "block4_batch_norm/moving_mean")
    report = freeze_contract.check(model, "fine_tune", before)
    assert (report.num_moved_statistics, report.changed) == (2, ("block4_batch_norm/moving_mean",))
    move(model, "block3_batch_norm/moving_mean")
    with pytest.raises(FreezeContractError, match=r"changed 1 variables.*block3_batch_norm/moving_mean"):
        freeze_contract.check(model, "fine_tune", before)


def test_statistics_that_adapt_apart_on_two_replicas_are_an_error(model: Classifier) -> None:
    freeze(model, fine_tune_phase(batch_norm="adapt"))
    before = freeze_contract.digest_variables(model)
    move(model, "block4_batch_norm/moving_variance", replicas=(1,))
    with pytest.raises(FreezeContractError, match=r"replicas differ in 1 variables: block4_batch_norm/moving_variance"):
        freeze_contract.check(model, "fine_tune", before)


class Served(tf.Module):
    """A model as it is exported: below other things, with a call in inference mode."""

    def __init__(self, model: Classifier) -> None:
        super().__init__(name="served")
        self.model = model
        self.other = tf.Variable([1.0, 2.0])

    @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.uint8)])
    def serve(self, pixels: tf.Tensor) -> tf.Tensor:
        return self.model(pixels, training=False)


def test_an_export_holds_each_variable_of_the_model_once_with_its_value(model: Classifier, tmp_path: Path) -> None:
    for phase in (head_phase(), fine_tune_phase(batch_norm="adapt"), fine_tune_phase(unfreeze="batch_norm")):
        freeze(model, phase)
        folder = tmp_path / f"{phase.batch_norm}-{phase.is_frozen}"
        tf.saved_model.save(Served(model), str(folder))
        freeze_contract.check_export(model, folder)
        assert len(freeze_contract._exported_digests(folder, {v.path for v in model.weights})) == 4 * 5 + 2


@pytest.mark.parametrize("path", ["block1_conv/kernel", "block4_batch_norm/moving_variance", "classifier/head/bias"])
def test_an_export_of_other_weights_is_an_error_that_names_them(model: Classifier, path: str, tmp_path: Path) -> None:
    tf.saved_model.save(Served(model), str(tmp_path))
    move(model, path)
    with pytest.raises(FreezeContractError, match=rf"differs .* in 1 of 22 variables: {path} \(another value\)"):
        freeze_contract.check_export(model, tmp_path)


def test_an_export_that_lacks_a_variable_is_an_error(model: Classifier, tmp_path: Path) -> None:
    tf.saved_model.save(Served(model.backbone), str(tmp_path))
    with pytest.raises(FreezeContractError, match=r"in 2 of 22 variables: classifier/head/bias \(missing\)"):
        freeze_contract.check_export(model, tmp_path)


@pytest.mark.slow
def test_an_export_behind_its_preprocessing_graph_is_held_to_the_same(
    model: Classifier, transform_graph: Path, tmp_path: Path
) -> None:
    export(model, str(transform_graph), 8, str(tmp_path))
    freeze_contract.check_export(model, tmp_path)
    move(model, "block2_batch_norm/moving_mean")
    with pytest.raises(FreezeContractError, match=r"1 of 22 variables: block2_batch_norm/moving_mean"):
        freeze_contract.check_export(model, tmp_path)
