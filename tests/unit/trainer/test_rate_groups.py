"""Which variables train at which rate."""

import pytest
from tiny import fine_tune_phase, head_phase, settings

from trainer.classifier import Classifier, build_classifier
from trainer.errors import ConfigurationError
from trainer.freezing import freeze
from trainer.rate_groups import groups_of
from trainer.settings import Boundary, PhaseSettings


@pytest.fixture(scope="module")
def model() -> Classifier:
    return build_classifier(settings(), num_classes=3)


def groups(model: Classifier, phase: PhaseSettings) -> dict[str, tuple[float, list[str]]]:
    freeze(model, phase)
    found = groups_of(model, phase)
    paths = [variable.path for group in found for variable in group.variables]
    assert sorted(paths) == sorted(variable.path for variable in model.trainable_variables)
    return {group.name: (group.multiplier, [variable.path for variable in group.variables]) for group in found}


HEAD = ["classifier/head/kernel", "classifier/head/bias"]


def test_without_decay_all_is_one_group(model: Classifier) -> None:
    assert groups(model, fine_tune_phase()) == {"block4-head": (1.0, ["block4_conv/kernel", *HEAD])}
    assert groups(model, head_phase()) == {"head": (1.0, HEAD)}


def test_each_block_trains_at_a_share_of_the_rate_of_the_one_above(model: Classifier) -> None:
    phase = fine_tune_phase(unfreeze=Boundary(last_blocks=3), block_decay=0.5)
    assert groups(model, phase) == {
        "block2": (0.125, ["block2_conv/kernel"]),
        "block3": (0.25, ["block3_conv/kernel"]),
        "block4": (0.5, ["block4_conv/kernel"]),
        "head": (1.0, HEAD),
    }


def test_the_first_pattern_that_matches_a_whole_name_counts_on_top_of_decay(model: Classifier) -> None:
    multipliers = {"block3_conv": 4.0, "block[34]_.*": 3.0, "head": 10.0, "conv": 7.0}
    phase = fine_tune_phase(unfreeze="all", block_decay=0.5, rate_multipliers=multipliers)
    with pytest.raises(ConfigurationError, match=r"phase 'fine_tune': rate_multipliers: 'conv' matches the whole name"):
        groups(model, phase)
    del multipliers["conv"]
    phase = fine_tune_phase(unfreeze="all", block_decay=0.5, rate_multipliers=multipliers)
    found = {name: multiplier for name, (multiplier, _) in groups(model, phase).items()}
    assert found == {"block1": 0.0625, "block2": 0.125, "block3": 1.0, "block4": 1.5, "head": 10.0}


def test_equal_multipliers_share_a_group_however_they_come_about(model: Classifier) -> None:
    phase = fine_tune_phase(unfreeze=Boundary(last_blocks=2), block_decay=0.1, rate_multipliers={"block3_conv": 10.0})
    found = groups(model, phase)
    assert found == {"block3-block4": (0.1, ["block3_conv/kernel", "block4_conv/kernel"]), "head": (1.0, HEAD)}


def test_groups_within_one_block_have_names_of_their_own(model: Classifier) -> None:
    phase = fine_tune_phase(batch_norm="affine_only", rate_multipliers={".*_batch_norm": 0.25, "head": 2.0})
    assert groups(model, phase) == {
        "block4_x1": (1.0, ["block4_conv/kernel"]),
        "block4_x0.25": (0.25, ["block4_batch_norm/gamma", "block4_batch_norm/beta"]),
        "head": (2.0, HEAD),
    }


def test_a_multiplier_of_a_frozen_layer_is_said_to_have_no_effect(model: Classifier) -> None:
    with pytest.warns(UserWarning, match=r"'block1_conv' matches layers that do not train in this phase"):
        groups(model, fine_tune_phase(rate_multipliers={"block1_conv": 0.5}))
