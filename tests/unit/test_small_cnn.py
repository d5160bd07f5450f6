from typing import Any

import keras
import numpy as np
import pytest

from trainer.small_cnn import MIN_IMAGE_SIZE_PX, small_cnn


def _model_from_seed(seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    return small_cnn(32)


@pytest.mark.parametrize(("image_size_px", "feature_size"), [(8, 1), (32, 4), (100, 12)])
def test_output_is_a_feature_map_an_eighth_of_the_image(image_size_px: int, feature_size: int) -> None:
    model = small_cnn(image_size_px)
    images = np.zeros((2, image_size_px, image_size_px, 3), np.float32)
    features = model(images)
    assert features.shape == (2, feature_size, feature_size, 32)
    assert features.dtype == "float32"


def test_layers_are_named_by_block_and_kind() -> None:
    names = [layer.name for layer in small_cnn(32).layers]
    assert names == [
        "image",
        *("block1_conv", "block1_batch_norm", "block1_relu", "block1_pool"),
        *("block2_conv", "block2_batch_norm", "block2_relu", "block2_pool"),
        *("block3_conv", "block3_batch_norm", "block3_relu", "block3_pool"),
        *("block4_conv", "block4_batch_norm", "block4_relu"),
    ]


def test_model_takes_the_given_name() -> None:
    assert small_cnn(32, name="eyes").name == "eyes"


def test_same_seed_gives_the_same_initial_weights_and_another_seed_others() -> None:
    first, again, other = (_model_from_seed(seed).get_weights() for seed in (7, 7, 8))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_batch_norm_has_statistics_that_a_freeze_contract_can_watch() -> None:
    variables = [variable.path for variable in small_cnn(32).non_trainable_variables]
    assert len(variables) == 8
    assert all("_batch_norm/moving_" in path for path in variables)


def test_too_small_an_image_is_refused_with_the_least_size() -> None:
    with pytest.raises(ValueError, match=r"image_size_px=7 is too small .* use 8 or more"):
        small_cnn(MIN_IMAGE_SIZE_PX - 1)
