"""Whether two photographs with similar hashes look the same: the second look, at their thumbnails."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from components.image_example_gen.duplicates.signature import THUMBNAIL_SIZE_PX, Signature

# Grey levels, root mean square. Less than this is no picture to compare, but a colour, a gradient or fine noise.
MIN_DETAIL = 2.0


def details_of(signatures: Sequence[Signature]) -> NDArray[np.float32]:
    """What the thumbnails show beyond brightness, colour and gradients: float32 [signatures, 16, 16, 3].

    From each channel the best-fitting quadratic surface is taken away. Skies, walls and studio backgrounds have the
    same gradient in photographs that have nothing else in common.
    """
    shape = (len(signatures), THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX, 3)
    pixels = np.frombuffer(b"".join(signature.thumbnail for signature in signatures), np.uint8)
    lines = pixels.reshape(len(signatures), THUMBNAIL_SIZE_PX**2, 3).astype(np.float32)
    return (lines - _SURFACES @ (_SURFACES.T @ lines)).reshape(shape)


def are_plain(details: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which photographs show too little to be told from others: bool [photographs], of what `details_of` gives."""
    return np.sqrt(np.mean(np.square(details), axis=(1, 2, 3))) < MIN_DETAIL


def correlations(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Correlation of each detail with its partner, float32 [pairs] in [-1, 1]; brightness and contrast do not matter.

    Args:
        first: as `details_of` gives them, [pairs, 16, 16, 3].
        second: their partners.
    """
    products = np.einsum("nijk,nijk->n", first, second)
    energies = np.einsum("nijk,nijk->n", first, first) * np.einsum("nijk,nijk->n", second, second)
    correlation: NDArray[np.float32] = products / np.sqrt(np.maximum(energies, 1e-6))
    return correlation


def _quadratic_surfaces() -> NDArray[np.float32]:
    """Orthonormal basis of the quadratic surfaces over a thumbnail, float32 [256, 6]."""
    axis = np.linspace(-1, 1, THUMBNAIL_SIZE_PX)
    y, x = (grid.reshape(-1) for grid in np.meshgrid(axis, axis, indexing="ij"))
    surfaces = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    return np.linalg.qr(surfaces)[0].astype(np.float32)


_SURFACES = _quadratic_surfaces()
