"""Where the freeze boundary lies, and that nothing trains which must not."""

import keras
import pytest
from tiny import fine_tune_phase, head_phase, settings

from trainer.classifier import Classifier, build_classifier
from trainer.errors import ConfigurationError
from trainer.freezing import boundary_index, freeze
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
        freeze(model, unfreezing(Boundary(last_layers=2)))


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
