"""Photographs to measure with, no two alike: crops of scikit-learn's two sample photographs under shifting light."""

import os
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH_PX, HEIGHT_PX = 500, 375
NUM_CLASSES = 3
JPEG_QUALITY = 90
_SEED = 20261
# How much of a picture is its own light: enough that no two crops of the same place look the same.
_LIGHT_SHARE = 0.6


def photographs_folder(num_photographs: int, cache: Path | None = None, scale: int = 1) -> Path:
    """Makes the photographs unless an earlier call has.

    Args:
        num_photographs: how many, spread evenly over three class folders.
        cache: where they are kept; the user's cache folder if None.
        scale: they are 500×375 pixels times this; 8 gives 12 megapixels.

    Returns:
        A folder of class folders of JPEG files. The first n of two sizes are the same photographs.
    """
    folder = (cache or _cache()) / f"photographs-{_SEED}-{WIDTH_PX * scale}x{HEIGHT_PX * scale}-{num_photographs}"
    if folder.is_dir():
        return folder
    partial = folder.with_name(f"{folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    sources = load_sources()
    for number in range(num_photographs):
        path = partial / f"class_{number % NUM_CLASSES}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = photograph(sources, number)
        if scale > 1:
            image = image.resize((WIDTH_PX * scale, HEIGHT_PX * scale), Image.Resampling.BICUBIC)
        image.save(path, quality=JPEG_QUALITY)
    partial.rename(folder)
    return folder


def photograph(sources: NDArray[np.uint8], number: int) -> Image.Image:
    """A crop of 500×375, perhaps mirrored, in a light of its own; a function of its number alone.

    Args:
        sources: uint8 [sources, height, width, 3], larger than a crop.
        number: which photograph.
    """
    random = np.random.default_rng((_SEED, number))
    source = sources[random.integers(len(sources))]
    top = random.integers(source.shape[0] - HEIGHT_PX + 1)
    left = random.integers(source.shape[1] - WIDTH_PX + 1)
    crop = source[top : top + HEIGHT_PX, left : left + WIDTH_PX]
    if random.random() < 0.5:
        crop = crop[:, ::-1]
    light = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(crop.shape[1::-1])
    mixed = crop * (1 - _LIGHT_SHARE) + np.asarray(light) * _LIGHT_SHARE
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))


def warm_up(folder: Path) -> int:
    """Reads every file once, so that each variant finds them all in the operating system's cache.

    Returns:
        Their size in bytes.
    """
    return sum(len(path.read_bytes()) for path in folder.glob("*/*.jpg"))


def load_sources() -> NDArray[np.uint8]:
    """scikit-learn's sample photographs: uint8 [2, 427, 640, 3]."""
    """What `photograph` takes its crops from: uint8 [sources, height, width, 3]."""
    from sklearn.datasets import load_sample_images

    return np.stack(load_sample_images().images)


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "thaw", "benchmarks")
