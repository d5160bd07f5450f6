"""Images to find duplicates among: distinct ones of several kinds, and changed copies of some of them.

Ground truth must be honest, so no two distinct images show the same thing: photographs are cut into tiles that do not
overlap, each digit is another scan by another hand, and each scene is drawn anew. Nothing is downloaded.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

SCENE_SIZE_PX = (320, 240)
_TILE_SIZE_PX = (128, 96)
_BACKDROPS = 4
_MIN_DIFFERENCE = 10  # grey levels, root mean square
_CHEAP_DECODE_MIN_PX = 128

Change = Callable[[Image.Image, np.random.Generator], bytes]


@dataclass(frozen=True)
class Sample:
    """An encoded image.

    Attributes:
        path: names it.
        original: path of the image that it is a copy of; its own where it is none.
        change: the kind of copy; "" where it is none.
        content: JPEG or PNG.
    """

    path: str
    original: str
    change: str
    content: bytes


def distinct_images(num_images: int, seed: int) -> Iterator[tuple[str, Image.Image]]:
    """(path, image) of images that show different things: tiles of photographs, handwritten digits, drawn scenes.

    Up to a twentieth are tiles (there are 40) and a fifth digits; the scenes are drawn on one of four backdrops, or on
    their own background.
    """
    tiles, digits = _tiles()[: num_images // 20], _digits(num_images // 5, seed)
    for kind, images in (("tile", tiles), ("digit", digits)):
        yield from ((f"{kind}/{number:05d}", image) for number, image in enumerate(images))
    for number in range(num_images - len(tiles) - len(digits)):
        yield f"scene/{number:05d}", scene(np.random.default_rng((seed, number)))


def samples(num_images: int, num_copies: int, seed: int) -> Iterator[Sample]:
    """Distinct images, some of them followed by one changed copy.

    Args:
        num_images: distinct images.
        num_copies: changed copies of each kind; kinds times copies must not be more than there are images.
        seed: other seeds draw other scenes, choose other originals and change them otherwise.
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(num_images)[: num_copies * len(CHANGES)]
    change_of = {int(index): list(CHANGES)[turn % len(CHANGES)] for turn, index in enumerate(chosen)}
    for index, (path, image) in enumerate(distinct_images(num_images, seed)):
        original = encoded(image, "JPEG" if index % 4 else "PNG", 90)
        yield Sample(path, path, "", original)
        if change := change_of.get(index):
            changed = original if change == "exact" else CHANGES[change](image, random)
            yield Sample(f"copy/{index:05d}", path, change, changed)


def cheap_decode(content: bytes) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Pixels as ingestion has them, a large JPEG at an eighth; and height and width in full."""
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
        if image.format == "JPEG" and min(image.size) >= _CHEAP_DECODE_MIN_PX:
            image.draft("RGB", (width // 8, height // 8))
        return np.asarray(image.convert("RGB")), (height, width)


def encoded(image: Image.Image, image_format: str, quality: int) -> bytes:
    """The bytes of a file; quality is for JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **({"quality": quality} if image_format == "JPEG" else {"compress_level": 1}))
    return buffer.getvalue()


def scene(random: np.random.Generator) -> Image.Image:
    """Shapes on a background; a third of the scenes show one object on one of four studio backdrops."""
    if random.random() < 1 / 3:
        backdrop = np.random.default_rng(int(random.integers(_BACKDROPS)))
        image, num_shapes = _smooth(backdrop, 2, contrast=40), 1
    else:
        image, num_shapes = _smooth(random, int(random.integers(2, 7)), contrast=160), int(random.integers(2, 12))
    background = np.asarray(image, np.float32)
    draw = ImageDraw.Draw(image)
    # Shapes that fall outside, or have the colour of what is behind them, would leave scenes that are really the same.
    while num_shapes > 0 or np.sqrt(np.mean(np.square(np.asarray(image) - background))) < _MIN_DIFFERENCE:
        _draw_shape(draw, random)
        num_shapes -= 1
    if random.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(random.uniform(0.5, 2))))
    noise = random.normal(0, random.uniform(0, 8), (*image.size[::-1], 1))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def _smooth(random: np.random.Generator, num_cells: int, contrast: float) -> Image.Image:
    middle = random.uniform(contrast / 2, 255 - contrast / 2, 3)
    cells = middle + random.uniform(-contrast / 2, contrast / 2, (num_cells, num_cells, 3))
    return Image.fromarray(cells.astype(np.uint8)).resize(SCENE_SIZE_PX, Image.Resampling.BICUBIC)


def _draw_shape(draw: ImageDraw.ImageDraw, random: np.random.Generator) -> None:
    width, height = SCENE_SIZE_PX
    colour = tuple(int(value) for value in random.integers(0, 256, 3))
    x, y = random.uniform(0, width), random.uniform(0, height)
    reach = random.uniform(20, 110)
    corners = [(x + reach * dx, y + reach * dy) for dx, dy in random.uniform(-1, 1, (int(random.integers(3, 8)), 2))]
    match int(random.integers(3)):
        case 0:
            draw.polygon(corners, fill=colour)
        case 1:
            draw.ellipse((x - reach, y - reach * 0.6, x + reach, y + reach * 0.6), fill=colour)
        case _:
            draw.line(corners, fill=colour, width=int(random.integers(3, 16)))


def _tiles() -> list[Image.Image]:
    from sklearn.datasets import load_sample_images

    width, height = _TILE_SIZE_PX
    return [
        Image.fromarray(photograph[top : top + height, left : left + width]).resize(SCENE_SIZE_PX)
        for photograph in load_sample_images().images
        for top in range(0, photograph.shape[0] - height + 1, height)
        for left in range(0, photograph.shape[1] - width + 1, width)
    ]


def _digits(num_images: int, seed: int) -> list[Image.Image]:
    from examples.digits.make_images import load_scans, photograph

    scans, _ = load_scans()
    chosen = np.random.default_rng(seed).permutation(len(scans))[:num_images]
    return [photograph(scans[index]).convert("RGB") for index in chosen]


def _encoded_anew(image: Image.Image, random: np.random.Generator) -> bytes:
    return encoded(image, "JPEG", int(random.integers(50, 96)))


def _resized(image: Image.Image, random: np.random.Generator) -> bytes:
    factor = random.uniform(0.5, 0.8)
    size = (round(image.width * factor), round(image.height * factor))
    method = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)[int(random.integers(3))]
    return encoded(image.resize(size, method), "JPEG", 90)


def _flipped(image: Image.Image, random: np.random.Generator) -> bytes:
    return encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "JPEG", int(random.integers(70, 96)))


def _cropped(image: Image.Image, random: np.random.Generator) -> bytes:
    left, top, right, bottom = random.uniform(0, 0.03, 4)
    width, height = image.size
    box = (round(left * width), round(top * height), round((1 - right) * width), round((1 - bottom) * height))
    return encoded(image.crop(box), "JPEG", 90)


def _brightened(image: Image.Image, random: np.random.Generator) -> bytes:
    factor = random.uniform(0.8, 1.2)
    return encoded(image.point(lambda value: min(255, round(value * factor))), "JPEG", 90)


CHANGES: dict[str, Change] = {
    "exact": lambda image, random: b"",
    "re-encoded": _encoded_anew,
    "resized": _resized,
    "flipped": _flipped,
    "cropped": _cropped,
    "brightened": _brightened,
}
