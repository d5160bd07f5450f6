"""Where the freeze boundary lies, and that nothing trains which must not."""

import keras
import pytest
from tiny import fine_tune_phase, head_phase, settings

from trainer.classifier import Classifier, build_classifier
from trainer.errors import ConfigurationError
from trainer.freezing import BatchNormSet, boundary_index, freeze, resolve
from trainer.settings import Boundary, PhaseSettings

# small_cnn: the input, then conv, batch_norm, relu and pool of each block; the fourth has no pool.
NUM_LAYERS = 16


@pytest.fixture(scope="module")
def model() -> Classifier:
    return build_classifier(settings(dropout_rate=0.5), num_classes=3)


def num_head_parameters(model: Classifier) -> int:
    num_channels = model.backbone.output_shape[-1]
    return num_channels * 3 + 3


def unfreezing(boundary: object) -> PhaseSettings:
    return fine_tune_phase(unfreeze=boundary)


@pytest.mark.parametrize(
    ("unfreeze", "first_layer"),
    [
        ("none", None),
        ("all", "image"),
        (Boundary(layer="block2_conv"), "block2_conv"),
        (Boundary(last_layers=3), "block4_conv"),
        (Boundary(last_layers=NUM_LAYERS), "image"),
        (Boundary(fraction=0.25), "block3_pool"),
        (Boundary(fraction=0.01), "block4_relu"),
        (Boundary(fraction=1.0), "image"),
    ],
)
def test_a_boundary_resolves_to_its_first_trainable_layer(
    model: Classifier, unfreeze: object, first_layer: str | None
) -> None:
    names = [*(layer.name for layer in model.backbone.layers), None]
    assert len(names) == NUM_LAYERS + 1
    assert names[boundary_index(model.backbone, unfreeze)] == first_layer


def test_a_layer_that_does_not_exist_is_refused_with_the_nearest_names(model: Classifier) -> None:
    with pytest.raises(ConfigurationError, match=r"no layer 'block2_cnov' in small_cnn; nearest: block2_conv"):
        boundary_index(model.backbone, Boundary(layer="block2_cnov"))


def test_more_layers_than_there_are_are_refused_with_their_number(model: Classifier) -> None:
    with pytest.raises(ConfigurationError, match=r"last_layers is 17, but small_cnn has 16 layers"):
        boundary_index(model.backbone, Boundary(last_layers=17))


def test_a_frozen_phase_trains_the_head_alone(model: Classifier) -> None:
    found = freeze(model, head_phase())
    assert found.first_layer is None
    assert found.layers == ()
    assert found.variables == ("classifier/head/kernel", "classifier/head/bias")
    assert found.num_trained_parameters == num_head_parameters(model)


def test_batch_norm_stays_frozen_above_the_boundary(model: Classifier) -> None:
    found = freeze(model, unfreezing(Boundary(layer="block3_conv")))
    assert found.first_layer == "block3_conv"
    assert found.layers == ("block3_conv", "block4_conv")
    trained = {variable.path for variable in model.trainable_variables}
    assert trained == {"block3_conv/kernel", "block4_conv/kernel", "classifier/head/kernel", "classifier/head/bias"}
    norms = [layer for layer in model.backbone.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 4
    assert not any(layer.trainable for layer in norms)


def test_unfreezing_all_trains_every_convolution_and_no_batch_norm(model: Classifier) -> None:
    assert freeze(model, unfreezing("all")).layers == tuple(f"block{number}_conv" for number in range(1, 5))


def test_freezing_anew_undoes_an_earlier_phase(model: Classifier) -> None:
    freeze(model, unfreezing("all"))
    assert freeze(model, head_phase()).layers == ()
    assert len(model.trainable_variables) == 2


def test_a_boundary_above_which_nothing_trains_is_refused(model: Classifier) -> None:
    with pytest.raises(ConfigurationError, match=r"phase 'fine_tune': nothing above the freeze boundary.*block4_conv"):
        freeze(model, unfreezing(Boundary(last_layers=2, cut_blocks=True)))


def test_counts_of_parameters_are_those_of_keras(model: Classifier) -> None:
    found = freeze(model, unfreezing(Boundary(last_layers=3)))
    assert found.num_parameters == model.backbone.count_params() + num_head_parameters(model)
    convolution = model.backbone.get_layer("block4_conv")
    assert found.num_trained_parameters == convolution.count_params() + num_head_parameters(model)


def test_a_fraction_is_not_rounded_up_by_floating_point() -> None:
    layers = [keras.Input((1,), name="layer0")]
    for number in range(1, 100):
        layers.append(keras.layers.ReLU(name=f"layer{number}")(layers[-1]))
    backbone = keras.Model(layers[0], layers[-1])
    assert boundary_index(backbone, Boundary(fraction=0.07)) == 93


@pytest.mark.parametrize(
    ("unfreeze", "first_layer"),
    [
        ("none", None),
        ("all", "image"),
        (Boundary(layer="block3_relu"), "block3_conv"),
        (Boundary(layer="block3_relu", cut_blocks=True), "block3_relu"),
        (Boundary(layer="block1_conv"), "image"),
        (Boundary(block="block2"), "block2_conv"),
        (Boundary(last_layers=2), "block4_conv"),
        (Boundary(last_layers=4), "block3_conv"),
        (Boundary(last_blocks=2), "block3_conv"),
        (Boundary(last_blocks=4), "image"),
        (Boundary(fraction=0.25), "block3_conv"),
        (Boundary(fraction=0.25, cut_blocks=True), "block3_pool"),
        # Of 15,544 parameters, block4 has 9,344 (60.1 %), block3 4,736 (30.5 %), block2 1,216 and block1 248.
        (Boundary(parameter_fraction=0.01), "block4_conv"),
        (Boundary(parameter_fraction=0.61), "block4_conv"),
        (Boundary(parameter_fraction=0.91), "block3_conv"),
        (Boundary(parameter_fraction=1.0), "image"),
    ],
)
def test_a_boundary_within_a_block_moves_down_to_its_start(
    model: Classifier, unfreeze: object, first_layer: str | None
) -> None:
    names = [*(layer.name for layer in model.backbone.layers), None]
    found = resolve(model.backbone, unfreeze)
    assert names[found.first] == first_layer
    assert found.layers == set(range(found.first, NUM_LAYERS))


def test_a_pattern_names_layers_one_by_one(model: Classifier) -> None:
    found = freeze(model, unfreezing(Boundary(pattern="block[13]_conv")))
    assert found.layers == ("block1_conv", "block3_conv")
    assert found.blocks == ("block1", "block3")
    assert found.first_layer == "block1_conv"


@pytest.mark.parametrize(
    ("boundary", "words"),
    [
        (Boundary(pattern="block4"), r"'block4' matches the whole name of no layer in small_cnn; nearest: block4_"),
        (Boundary(block="block5"), r"unfreeze.block: no block 'block5' in small_cnn; nearest: block4, block3, block2"),
        (Boundary(last_blocks=5), r"unfreeze.last_blocks is 5, but small_cnn has 4 blocks; use `unfreeze: all`"),
    ],
)
def test_what_matches_nothing_is_refused_with_what_there_is(model: Classifier, boundary: Boundary, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        resolve(model.backbone, boundary)


def test_a_trainable_set_says_what_batch_norm_does(model: Classifier) -> None:
    above = Boundary(block="block3")
    for policy, affine_trains, statistics in (
        ("frozen", False, "stored"),
        ("affine_only", True, "stored"),
        ("adapt", True, "batch"),
        ("recalibrate", False, "reestimated"),
    ):
        found = freeze(model, fine_tune_phase(unfreeze=above, batch_norm=policy)).batch_norm
        assert found == BatchNormSet(policy, 2, affine_trains, statistics)
    assert freeze(model, unfreezing("batch_norm")).batch_norm == BatchNormSet("affine_only", 4, True, "stored")
    assert freeze(model, head_phase()).batch_norm == BatchNormSet("frozen", 0, False, "stored")


def test_unfreezing_batch_norm_trains_gamma_and_beta_everywhere_and_nothing_else(model: Classifier) -> None:
    found = freeze(model, unfreezing("batch_norm"))
    norms = {f"block{number}_batch_norm/{name}" for number in range(1, 5) for name in ("gamma", "beta")}
    assert set(found.variables) == norms | {"classifier/head/kernel", "classifier/head/bias"}
    assert found.first_layer == "block1_batch_norm"


def test_a_policy_for_batch_norm_that_is_not_there_is_refused() -> None:
    inputs = keras.Input((8, 8, 3))
    backbone = keras.Model(inputs, keras.layers.Conv2D(4, 3, name="conv")(inputs), name="plain")
    plain = Classifier(backbone, "unit", num_classes=3, dropout_rate=0.0)
    plain.build((None, 8, 8, 3))
    with pytest.raises(ConfigurationError, match=r"batch_norm is adapt, but no layer of plain above"):
        freeze(plain, fine_tune_phase(unfreeze="all", batch_norm="adapt"))
    with pytest.raises(ConfigurationError, match=r"`unfreeze: batch_norm`, but plain has no BatchNormalization"):
        freeze(plain, unfreezing("batch_norm"))


def test_paths_and_order_of_variables_are_the_same_in_every_phase(model: Classifier) -> None:
    paths = [variable.path for variable in build_classifier(settings(), num_classes=3).weights]
    for phase in (head_phase(), unfreezing(Boundary(block="block3")), unfreezing("batch_norm"), unfreezing("all")):
        freeze(model, phase)
        assert [variable.path for variable in model.weights] == paths
        assert len(set(paths)) == len(paths)
