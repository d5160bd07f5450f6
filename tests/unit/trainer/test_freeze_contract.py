"""That a drift of what had to stay frozen is found: on any replica, in weights and in statistics."""

from typing import Any

import pytest
from tiny import fine_tune_phase, head_phase, settings

from trainer import freeze_contract
from trainer.classifier import Classifier, build_classifier
from trainer.devices import make_strategy
from trainer.errors import FreezeContractError
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
