"""What is kept of a photograph to find others that look like it: two hashes of 64 bits and a thumbnail.

The hash is a perceptual hash by cosine transform (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash
Functions", 2010, section 3.2), changed in four ways:

- The transform is taken of the picture as a function on the unit square, constant within each pixel, so nothing is
  resized first: a JPEG decoded at an eighth of its size and the same photograph in full give the same coefficients.
- The 64 lowest frequencies are taken, not a square of them: they change least when a photograph is encoded anew.
- A bit says whether its coefficient is above a small positive threshold, not above the median. Where there is nothing
  to see the bits are 0, not noise.
- The mirrored picture costs nothing: its coefficients differ in the sign of the odd horizontal frequencies.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

NUM_BITS = 64
THUMBNAIL_SIZE_PX = 16

# Grey levels. JPEG at quality 50 moves a coefficient of a flat picture by less.
_THRESHOLD = 0.4
# Pictures are first averaged in blocks so that the shorter side keeps at least as many pixels as this.
_ENOUGH_PX = 256
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as JPEG has it


@dataclass(frozen=True)
class Signature:
    """What is kept of a photograph to find others that look like it.

    Attributes:
        hash: 64 bits, as an integer that is not negative; alike for photographs that look alike.
        mirrored_hash: the hash of the photograph mirrored left to right.
        thumbnail: uint8 red, green, blue, row-major, 16×16 pixels: 768 bytes.
    """

    hash: int
    mirrored_hash: int
    thumbnail: bytes = field(repr=False)


def signature_of(pixels: NDArray[np.uint8], full_size_px: tuple[int, int] | None = None) -> Signature:
    """Signature of a photograph, of its pixels alone: the same on every machine up to rounding.

    Args:
        pixels: uint8 [height, width, 3]; a JPEG may be decoded at an eighth of its size.
        full_size_px: height and width of the photograph where `pixels` is scaled down. libjpeg rounds the scaled size
            up, so the last row and column stand for less than the others; with this they are taken as such.

    Raises:
        ValueError: `pixels` has another shape or type, or no pixels.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        raise ValueError(f"pixels must be uint8 [height, width, 3] with pixels, got {pixels.dtype} {pixels.shape}")
    full_height, full_width = full_size_px or pixels.shape[:2]
    step_px = [
        max(1, round(full / scaled)) for full, scaled in zip((full_height, full_width), pixels.shape, strict=False)
    ]
    factor = max(1, min(pixels.shape[:2]) // _ENOUGH_PX)
    reduced = _averaged(pixels, factor)
    height, width = reduced.shape[:2]
    rows = _projections(height, _extent(full_height, height, step_px[0] * factor))
    columns = _projections(width, _extent(full_width, width, step_px[1] * factor))
    halfway = (rows @ reduced.reshape(height, width * 3)).reshape(-1, width, 3)
    thumbnail = np.matmul(columns[:THUMBNAIL_SIZE_PX], halfway[:THUMBNAIL_SIZE_PX])
    coefficients = (halfway[THUMBNAIL_SIZE_PX:] @ _LUMA) @ columns[THUMBNAIL_SIZE_PX:].T
    chosen = coefficients[_VERTICAL, _HORIZONTAL]
    return Signature(
        hash=_packed(chosen > _THRESHOLD),
        mirrored_hash=_packed(chosen * _MIRROR > _THRESHOLD),
        thumbnail=np.rint(thumbnail).astype(np.uint8).tobytes(),
    )


def _averaged(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.float32]:
    """Means of blocks of factor × factor pixels, float32; blocks at the end may be smaller."""
    if factor == 1:
        return pixels.astype(np.float32)
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).reduce(factor), np.float32)


def _extent(full: int, num_cells: int, step: int) -> float:
    """How many cells the photograph fills: the last may stand for a part only; num_cells where nothing is known."""
    filled = full / step
    return filled if num_cells - 1 < filled <= num_cells else float(num_cells)


@lru_cache(maxsize=4096)
def _projections(num_cells: int, extent: float) -> NDArray[np.float32]:
    """Rows that take a line of pixels to the means of 16 equal parts, then to its cosine coefficients.

    Returns:
        float32 [16 + frequencies, num_cells].
    """
    edges = np.minimum(np.arange(num_cells + 1), extent) / extent
    parts = np.arange(THUMBNAIL_SIZE_PX + 1) / THUMBNAIL_SIZE_PX
    overlap = np.minimum(edges[1:], parts[1:, None]) - np.maximum(edges[:-1], parts[:-1, None])
    means = np.maximum(overlap, 0) * THUMBNAIL_SIZE_PX
    frequencies = np.arange(1, _NUM_FREQUENCIES)[:, None]
    # The integral of sqrt(2) cos(pi k x) over each pixel.
    cosines = np.diff(np.sqrt(2) * np.sin(np.pi * frequencies * edges) / (np.pi * frequencies))
    return np.concatenate([means, np.diff(edges)[None], cosines]).astype(np.float32)


def _lowest_frequencies() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Vertical and horizontal frequencies of the bits: the lowest 64 but for the mean, lowest first."""
    pairs = [(row, column) for row in range(NUM_BITS) for column in range(NUM_BITS) if row or column]
    pairs.sort(key=lambda pair: (pair[0] ** 2 + pair[1] ** 2, pair))
    rows, columns = zip(*pairs[:NUM_BITS], strict=True)
    return np.array(rows), np.array(columns)


_VERTICAL, _HORIZONTAL = _lowest_frequencies()
_NUM_FREQUENCIES = int(max(_VERTICAL.max(), _HORIZONTAL.max())) + 1
_MIRROR = np.where(_HORIZONTAL % 2, np.float32(-1), np.float32(1))
# Neighbours in frequency go to different bytes, so that every byte of the hash is as stable as the others.
_BIT_ORDER = np.arange(NUM_BITS).reshape(8, 8).T.reshape(-1)


def _packed(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits[_BIT_ORDER]).tobytes(), "big")
