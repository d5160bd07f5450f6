"""A task from real photographs: from which part of which photograph is a small grey piece?

The photographs lie in scikit-learn (china.jpg, flower.jpg) and in matplotlib (grace_hopper.jpg). Each class is a part
of one: a building, trees, sky, petals, leaves, a face, a flag, cloth. Pieces for training, for choosing epochs and for
the test come from three strips of the part that share no pixel, so the test is of another place than the training.
Pieces are 24 to 40 pixels wide, differ in brightness and contrast, are turned by quarters and mirrored, and some noise
is laid over them.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

IMAGE_SIZE_PX = 32
NUM_PER_CLASS = {"train": 80, "eval": 25, "test": 60}

Box = tuple[int, int, int, int]
Examples = tuple[NDArray[np.uint8], NDArray[np.int64]]

# Left, top, right and bottom in pixels.
REGIONS: Mapping[str, tuple[str, Box]] = {
    "building": ("china.jpg", (90, 80, 335, 330)),
    "trees": ("china.jpg", (335, 320, 630, 425)),
    "sky": ("china.jpg", (340, 5, 630, 130)),
    "petals": ("flower.jpg", (190, 105, 430, 340)),
    "leaves": ("flower.jpg", (440, 20, 635, 330)),
    "face": ("grace_hopper.jpg", (165, 135, 360, 320)),
    "flag": ("grace_hopper.jpg", (5, 10, 130, 330)),
    "cloth": ("grace_hopper.jpg", (40, 400, 500, 590)),
}
# Where the strip of each split begins and ends, as shares of the part's longer side.
_STRIPS = {"train": (0.0, 0.5), "eval": (0.5, 0.72), "test": (0.72, 1.0)}


def examples_of(split: str, seed: int = 0) -> Examples:
    """The pieces of one split, class after class.

    Args:
        split: "train", "eval" or "test".
        seed: of where pieces are cut and how they are varied.

    Returns:
        uint8 [pieces, 32, 32, 3] and class numbers, int64 [pieces], in the order of `REGIONS`.
    """
    generator = np.random.default_rng([seed, list(_STRIPS).index(split)])
    pieces, label_ids = [], []
    for label_id, (file_name, box) in enumerate(REGIONS.values()):
        strip = strip_of(box, split)
        photograph = _photograph(file_name)
        for _ in range(NUM_PER_CLASS[split]):
            pieces.append(_piece(photograph, strip, generator))
            label_ids.append(label_id)
    return np.stack(pieces), np.array(label_ids, np.int64)


def strip_of(box: Box, split: str) -> Box:
    """The part of a box that a split's pieces are cut from, along its longer side."""
    left, top, right, bottom = box
    start, end = _STRIPS[split]
    if right - left >= bottom - top:
        return left + round(start * (right - left)), top, left + round(end * (right - left)), bottom
    return left, top + round(start * (bottom - top)), right, top + round(end * (bottom - top))


def _photograph(file_name: str) -> NDArray[np.float32]:
    """Grey, float32 [height, width] in 0..255."""
    from PIL import Image

    with Image.open(_folder_of(file_name) / file_name) as image:
        return np.asarray(image.convert("L"), np.float32)


def _folder_of(file_name: str) -> Path:
    import matplotlib
    import sklearn.datasets

    if file_name == "grace_hopper.jpg":
        return Path(matplotlib.get_data_path()) / "sample_data"
    return Path(sklearn.datasets.__file__).parent / "images"


def _piece(photograph: NDArray[np.float32], strip: Box, generator: np.random.Generator) -> NDArray[np.uint8]:
    from PIL import Image

    left, top, right, bottom = strip
    side = int(generator.integers(24, 41))
    x, y = generator.integers(left, right - side + 1), generator.integers(top, bottom - side + 1)
    image = Image.fromarray(photograph[y : y + side, x : x + side])
    values = np.asarray(image.resize((IMAGE_SIZE_PX, IMAGE_SIZE_PX), Image.Resampling.BILINEAR))
    values = np.rot90(values, int(generator.integers(4)))
    if generator.random() < 0.5:
        values = values[:, ::-1]
    contrast, shift = generator.uniform(0.7, 1.3), generator.uniform(-30, 30)
    varied = (values - values.mean()) * contrast + values.mean() + shift + generator.normal(0, 4, values.shape)
    grey = np.clip(np.rint(varied), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
