"""Where pixels come from: mirroring, crops, rotation, shear and translation.

Images are float32 [batch, height, width, 3] of 0..255; seeds int32 [batch, 2].
"""

import math

import tensorflow as tf

from trainer.augmentation import draws

MAX_CROP_ASPECT_RATIO = 4 / 3
# What RandAugment fills with where a moved image leaves nothing: its implementation's middle grey.
FILL_VALUE = 128.0


def flip_horizontally(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Mirrors half of the images, exactly."""
    return choose(draws.happens(seeds, "horizontal flip", 0.5), tf.reverse(images, [2]), images)


def flip_vertically(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Turns half of the images upside down, exactly."""
    return choose(draws.happens(seeds, "vertical flip", 0.5), tf.reverse(images, [1]), images)


def crop(images: tf.Tensor, seeds: tf.Tensor, min_fraction: float) -> tf.Tensor:
    """A crop of each image, enlarged to the full size with bilinear interpolation.

    Area, aspect ratio and place are uniform, the ratio on a logarithmic scale (Szegedy et al. 2015). A ratio that a
    crop of that area cannot have is not drawn, so that no crop is cut short at the border or is smaller than promised.

    Args:
        images: see the module.
        seeds: likewise.
        min_fraction: least share of the image's area.
    """
    height, width = crop_shares(seeds, min_fraction)
    top = draws.uniform(seeds, "crop top", 0.0, 1.0 - height)
    left = draws.uniform(seeds, "crop left", 0.0, 1.0 - width)
    height_px, width_px = size_px(images)
    # Pixel i has its centre at i + 1/2.
    from_top = top * height_px + 0.5 * height - 0.5
    from_left = left * width_px + 0.5 * width - 0.5
    zero = tf.zeros_like(top)
    return warp(images, tf.stack([width, zero, from_left, zero, height, from_top], axis=1), "NEAREST")


def crop_shares(seeds: tf.Tensor, min_fraction: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width of the crops, as shares of the image's: float32 [batch] each, at most 1."""
    area = draws.uniform(seeds, "crop area", min_fraction, 1.0)
    return _sides(area, draws.uniform(seeds, "crop aspect ratio", -1.0, 1.0), MAX_CROP_ASPECT_RATIO)


def _sides(area: tf.Tensor, position: tf.Tensor, max_aspect_ratio: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Sides of rectangles of an area, all in shares of the image's.

    Args:
        area: float32 [batch].
        position: from -1 for the tallest to 1 for the widest, float32 [batch].
        max_aspect_ratio: width to height, or height to width.
    """
    # With ratio r the width is √(area·r) and the height √(area/r); both are at most 1 where area ≤ r ≤ 1/area.
    log_ratio = position * tf.minimum(math.log(max_aspect_ratio), -tf.math.log(area))
    width = tf.sqrt(area) * tf.exp(0.5 * log_ratio)
    height = tf.sqrt(area) * tf.exp(-0.5 * log_ratio)
    return tf.minimum(height, 1.0), tf.minimum(width, 1.0)


def rectangles(
    seeds: tf.Tensor, purpose: str, areas: tuple[float, float], max_aspect_ratio: float, height_px: int, width_px: int
) -> tf.Tensor:
    """A rectangle in each image, of whole pixels and within it.

    Args:
        seeds: see the module.
        purpose: what they are for.
        areas: least and greatest share of the image's area, before rounding to pixels.
        max_aspect_ratio: width to height, or height to width.
        height_px: of the images.
        width_px: likewise.

    Returns:
        bool [batch, height, width, 3], true within.
    """
    area = draws.uniform(seeds, f"{purpose} area", *areas)
    shares = _sides(area, draws.uniform(seeds, f"{purpose} aspect ratio", -1.0, 1.0), max_aspect_ratio)
    top, bottom = _span(seeds, f"{purpose} top", shares[0], height_px)
    left, right = _span(seeds, f"{purpose} left", shares[1], width_px)
    return box(top, bottom, left, right, height_px, width_px)


def _span(seeds: tf.Tensor, purpose: str, share: tf.Tensor, num_px: int) -> tuple[tf.Tensor, tf.Tensor]:
    length = tf.clip_by_value(tf.round(share * num_px), 1.0, float(num_px))
    start = tf.floor(draws.uniform(seeds, purpose) * (num_px - length + 1.0))
    return start, start + length


def box(
    top: tf.Tensor, bottom: tf.Tensor, left: tf.Tensor, right: tf.Tensor, height_px: int, width_px: int
) -> tf.Tensor:
    """Rows from top to below bottom and columns from left to below right, float32 [batch] each.

    Returns:
        bool [batch, height, width, 3].
    """
    rows = tf.range(height_px, dtype=tf.float32)[None, :]
    columns = tf.repeat(tf.range(width_px, dtype=tf.float32), 3)[None, :]  # one for each channel
    in_rows = (rows >= top[:, None]) & (rows < bottom[:, None])
    in_columns = (columns >= left[:, None]) & (columns < right[:, None])
    return tf.reshape(in_rows[:, :, None] & in_columns[:, None, :], [-1, height_px, width_px, 3])


def rotate(images: tf.Tensor, radians: tf.Tensor) -> tf.Tensor:
    """Turns each image about its centre, counter-clockwise; radians float32 [batch]."""
    cosine, sine = tf.cos(radians), tf.sin(radians)
    return warp_about_centre(images, cosine, -sine, sine, cosine)


def shear_x(images: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Shifts each row by that share of its distance from the middle row; float32 [batch]."""
    one, zero = tf.ones_like(share), tf.zeros_like(share)
    return warp_about_centre(images, one, share, zero, one)


def shear_y(images: tf.Tensor, share: tf.Tensor) -> tf.Tensor:
    """Shifts each column by that share of its distance from the middle column; float32 [batch]."""
    one, zero = tf.ones_like(share), tf.zeros_like(share)
    return warp_about_centre(images, one, zero, share, one)


def translate(images: tf.Tensor, share_x: tf.Tensor, share_y: tf.Tensor) -> tf.Tensor:
    """Moves each image left and up by shares of its width and height; float32 [batch] each."""
    height_px, width_px = size_px(images)
    one, zero = tf.ones_like(share_x), tf.zeros_like(share_x)
    return warp(images, tf.stack([one, zero, share_x * width_px, zero, one, share_y * height_px], axis=1))


def warp_about_centre(
    images: tf.Tensor, x_of_x: tf.Tensor, x_of_y: tf.Tensor, y_of_x: tf.Tensor, y_of_y: tf.Tensor
) -> tf.Tensor:
    """As `warp`, by a 2×2 matrix, with the centre where it is; float32 [batch] each."""
    height_px, width_px = size_px(images)
    centre_x, centre_y = (width_px - 1) / 2, (height_px - 1) / 2
    offset_x = centre_x - x_of_x * centre_x - x_of_y * centre_y
    offset_y = centre_y - y_of_x * centre_x - y_of_y * centre_y
    return warp(images, tf.stack([x_of_x, x_of_y, offset_x, y_of_x, y_of_y, offset_y], axis=1))


def warp(images: tf.Tensor, matrices: tf.Tensor, fill_mode: str = "CONSTANT") -> tf.Tensor:
    """Bilinear samples at other places.

    Args:
        images: see the module.
        matrices: float32 [batch, 6]: a, b, c, d, e, f, where pixel (x, y) of the result comes from
            (ax + by + c, dx + ey + f).
        fill_mode: "CONSTANT" for grey beyond the border, "NEAREST" for the border's pixels.
    """
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.pad(matrices, [[0, 0], [0, 2]]),
        output_shape=tf.constant(size_px(images), tf.int32),
        fill_value=tf.constant(FILL_VALUE),
        interpolation="BILINEAR",
        fill_mode=fill_mode,
    )


def choose(condition: tf.Tensor, images: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Images where the condition holds, others where not.

    Args:
        condition: bool [batch], or of the form of the images.
        images: see the module.
        others: likewise.
    """
    # `tf.where` itself can broadcast, and takes six times as long on a processor even where it need not (2.21).
    return tf.compat.v1.where(condition, images, others)


def per_image(values: tf.Tensor) -> tf.Tensor:
    """[batch] as [batch, 1, 1, 1], to go with images."""
    return tf.reshape(values, [-1, 1, 1, 1])


def size_px(images: tf.Tensor) -> tuple[int, int]:
    """Height and width, which the graph must know."""
    return int(images.shape[1]), int(images.shape[2])
