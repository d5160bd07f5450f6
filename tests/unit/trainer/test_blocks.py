"""Blocks are found in the graph: residual blocks whole, a chain layer by layer."""

from collections.abc import Callable
from functools import cache

import keras
import pytest

from trainer.blocks import Block, blocks_of
from trainer.small_cnn import small_cnn


@pytest.fixture(scope="module")
def backbone() -> Callable[[str], keras.Model]:
    return cache(
        lambda name: getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(96, 96, 3))
    )


def names_of(blocks: tuple[Block, ...]) -> list[str]:
    return [block.name for block in blocks]


def test_small_cnn_has_the_blocks_that_its_names_say() -> None:
    model = small_cnn(8)
    assert names_of(blocks_of(model)) == ["block1", "block2", "block3", "block4"]
    for block in blocks_of(model)[1:]:
        found = {layer.name.split("_")[0] for layer in model.layers[block.first : block.last + 1]}
        assert found == {block.name}


def test_freezing_changes_no_block() -> None:
    model = small_cnn(8)
    before = blocks_of(model)
    model.trainable = False
    assert blocks_of(model) == before


def test_a_block_of_resnet50_is_a_residual_block(backbone: Callable[[str], keras.Model]) -> None:
    stages = ((2, 3), (3, 4), (4, 6), (5, 3))
    expected = [f"conv{stage}_block{number + 1}" for stage, count in stages for number in range(count)]
    assert names_of(blocks_of(backbone("ResNet50"))) == ["conv1", *expected]


def test_residual_blocks_of_mobilenetv2_are_whole_and_chains_are_divided(
    backbone: Callable[[str], keras.Model],
) -> None:
    names = names_of(blocks_of(backbone("MobileNetV2")))
    residual = {f"block_{number}" for number in (2, 4, 5, 7, 8, 9, 11, 12, 14, 15)}
    assert residual < set(names)
    assert names[:4] == ["Conv1", "expanded_conv_depthwise", "expanded_conv_project", "block_1_expand"]
    assert names[-2:] == ["block_16_project", "Conv_1"]


def test_blocks_of_efficientnet_keep_squeeze_and_excitation_whole(backbone: Callable[[str], keras.Model]) -> None:
    model = backbone("EfficientNetB0")
    blocks = {
        block.name: [layer.name for layer in model.layers[block.first : block.last + 1]] for block in blocks_of(model)
    }
    assert [blocks["block6d"][0], blocks["block6d"][-1]] == ["block6d_expand_conv", "block6d_add"]
    assert [blocks["block1a_se"][0], blocks["block1a_se"][-1]] == ["block1a_se_squeeze", "block1a_se_excite"]
    assert "stem" in blocks
    assert "stem_conv" in blocks["stem"]


def test_additions_that_are_no_layers_hold_a_block_together(backbone: Callable[[str], keras.Model]) -> None:
    """ConvNeXt adds with an operator, and its stem and downsampling are models within the model."""
    names = names_of(blocks_of(backbone("ConvNeXtTiny")))
    assert names[0] == "convnext_tiny_stem"
    assert [name for name in names if "stage_3_block" in name][:2] == [
        "convnext_tiny_stage_3_block_0",
        "convnext_tiny_stage_3_block_1",
    ]


@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetB0", "VGG16", "ConvNeXtTiny"])
def test_every_layer_is_in_one_block_and_only_one_tensor_enters_a_block(
    name: str, backbone: Callable[[str], keras.Model]
) -> None:
    model = backbone(name)
    blocks = blocks_of(model)
    covered = [index for block in blocks for index in range(block.first, block.last + 1)]
    assert covered == list(range(len(model.layers)))
    assert len({block.name for block in blocks}) == len(blocks)
    produced_by = {id(tensor): layer for layer in model.operations for tensor in keras.tree.flatten(layer.output)}
    place = {id(operation): position for position, operation in enumerate(model.operations)}
    for block in blocks[1:]:
        start = place[id(model.layers[block.first])]
        entering = {
            id(tensor)
            for operation in model.operations[start:]
            for tensor in keras.tree.flatten(operation.input)
            if place[id(produced_by[id(tensor)])] < start
        }
        assert len(entering) == 1, block


def test_a_residual_connection_that_spans_pooling_is_one_block() -> None:
    inputs = keras.Input((8, 8, 4), name="image")
    first = keras.layers.Conv2D(4, 1, name="stem_conv")(inputs)
    inner = keras.layers.Conv2D(4, 1, name="inner")(keras.layers.ReLU(name="relu")(first))
    outputs = keras.layers.ReLU(name="out")(keras.layers.Add(name="add")([first, inner]))
    model = keras.Model(inputs, outputs)
    assert blocks_of(model) == (Block("stem_conv", 0, 1), Block("inner", 2, 5))


def test_a_model_without_kernels_is_one_block() -> None:
    inputs = keras.Input((4,), name="image")
    model = keras.Model(inputs, keras.layers.ReLU(name="relu")(inputs))
    assert blocks_of(model) == (Block("image", 0, 1),)


def test_a_layer_that_is_used_twice_is_refused() -> None:
    inputs, shared = keras.Input((4,)), keras.layers.Dense(4, name="shared")
    with pytest.raises(ValueError, match="twice calls its layer 'shared' more than once"):
        blocks_of(keras.Model(inputs, shared(shared(inputs)), name="twice"))
