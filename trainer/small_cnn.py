"""A small convolutional backbone, quick enough to train on a laptop's processor."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

NUM_CHANNELS_OF_BLOCKS = (8, 16, 32, 32)
NUM_DOWNSAMPLING_BLOCKS = 3
# Keras's 0.99 needs some 400 steps to forget its start; a small data set has fewer.
BATCH_NORM_MOMENTUM = 0.9
MIN_IMAGE_SIZE_PX = 2**NUM_DOWNSAMPLING_BLOCKS


def small_cnn(image_size_px: int, name: str = "small_cnn") -> "keras.Model":
    """Builds the backbone, with new weights drawn from Keras's global seed (`keras.utils.set_random_seed`).

    Four blocks of 3×3 convolution, batch normalization and ReLU; all but the last end in 2×2 max pooling. The layers
    are named `block1_conv`, `block1_batch_norm`, `block1_relu`, `block1_pool`, `block2_conv` and so on.

    Args:
        image_size_px: height and width of the input; at least 8.
        name: name of the returned model.

    Returns:
        A Functional model from float32 [batch, image_size_px, image_size_px, 3], scaled to 0..1 by the caller, to
        float32 features [batch, image_size_px // 8, image_size_px // 8, 32].

    Raises:
        ValueError: `image_size_px` is too small to be pooled three times.
    """
    import keras

    if image_size_px < MIN_IMAGE_SIZE_PX:
        raise ValueError(
            f"image_size_px={image_size_px} is too small for {name!r}: it halves the image "
            f"{NUM_DOWNSAMPLING_BLOCKS} times; use {MIN_IMAGE_SIZE_PX} or more"
        )
    inputs = keras.Input((image_size_px, image_size_px, 3), name="image")
    features = inputs
    for index, num_channels in enumerate(NUM_CHANNELS_OF_BLOCKS, start=1):
        features = _block(features, num_channels, f"block{index}", pooled=index <= NUM_DOWNSAMPLING_BLOCKS)
    return keras.Model(inputs, features, name=name)


def _block(features: "keras.KerasTensor", num_channels: int, prefix: str, *, pooled: bool) -> "keras.KerasTensor":
    from keras import layers

    # No bias: the batch normalization that follows would take it away again.
    conv = layers.Conv2D(num_channels, 3, padding="same", use_bias=False, name=f"{prefix}_conv")
    features = conv(features)
    features = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"{prefix}_batch_norm")(features)
    features = layers.ReLU(name=f"{prefix}_relu")(features)
    return layers.MaxPooling2D(name=f"{prefix}_pool")(features) if pooled else features
