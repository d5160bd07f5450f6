"""Writes scikit-learn's handwritten digits as image files in class folders, with a few flawed files among them.

    python -m examples.digits.make_images FOLDER

The digits are real: 1,797 scans of 8×8 pixels by 13 people, in scikit-learn's own package (E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998). Nothing is downloaded.
The digits that the backbone was pretrained on are left out: they are never photographs of this example.
"""

import argparse
import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NAMES_OF_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PRETRAINING_DIGITS = (0, 1, 2, 3, 4)
TARGET_DIGITS = (5, 6, 7, 8, 9)
PHOTOGRAPH_SIZE_PX = 64
JPEG_QUALITY = 95
_LARGEST_INK = 16
_PARTIAL_FILE = ".make_images.partial"


@dataclass(frozen=True)
class Summary:
    """What a call of `write_images` found and did.

    Attributes:
        num_photographs: image files in the class folders that can be decoded.
        num_flawed: files among them that cannot.
        num_written: files that were missing or wrong and were written by this call.
    """

    num_photographs: int
    num_flawed: int
    num_written: int


def write_images(folder: Path) -> Summary:
    """Completes the example's photographs under `folder`; a file that is right already is not touched.

    Every file appears whole or not at all, so a killed call is mended by the next. Files of other names are left alone.
    """
    photographs = dict(photograph_files(TARGET_DIGITS))
    flawed = flawed_files(photographs)
    for name in {Path(path).parent.name for path in photographs}:
        (folder / name).mkdir(parents=True, exist_ok=True)
    num_written = sum(_write_if_different(folder, path, data) for path, data in (photographs | flawed).items())
    return Summary(len(photographs), len(flawed), num_written)


def photograph_files(digits: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    """Yields (relative path, encoded image) of every scan of these digits, half of them PNG and half JPEG."""
    scans, labels = load_scans()
    for digit in digits:
        for number, scan in enumerate(scans[labels == digit]):
            image_format = ("PNG", "JPEG")[number % 2]
            extension = {"PNG": "png", "JPEG": "jpg"}[image_format]
            path = f"{NAMES_OF_DIGITS[digit]}/{number:03d}.{extension}"
            yield path, encode(photograph(scan), image_format)


def load_scans() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns scikit-learn's scans, float64 [1797, 8, 8] with ink from 0 to 16, and their digits, int64 [1797]."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return data.images, data.target


def photograph(scan: NDArray[np.float64]) -> Image.Image:
    """Makes dark ink on white paper, 64×64 grey, of a scan [8, 8] with ink from 0 to 16."""
    paper = np.round(255 * (1 - scan / _LARGEST_INK)).astype(np.uint8)
    return Image.fromarray(paper).resize((PHOTOGRAPH_SIZE_PX, PHOTOGRAPH_SIZE_PX), Image.Resampling.BICUBIC)


def encode(image: Image.Image, image_format: str) -> bytes:
    """Returns the bytes of a "PNG" or "JPEG" file."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **({"quality": JPEG_QUALITY} if image_format == "JPEG" else {}))
    return buffer.getvalue()


def flawed_files(photographs: dict[str, bytes]) -> dict[str, bytes]:
    """Returns files that no decoder may accept, such as every large folder of photographs has."""
    jpeg, png = photographs["five/001.jpg"], photographs["eight/000.png"]
    return {
        "five/truncated.jpg": jpeg[: len(jpeg) // 2],
        "six/empty.jpg": b"",
        "seven/notes.png": b"Scanned on the second floor. The sevens with a bar are sevens too.\n",
        "eight/truncated.png": png[: len(png) // 2],
    }


def _write_if_different(folder: Path, path: str, data: bytes) -> bool:
    target = folder / path
    if target.is_file() and target.read_bytes() == data:
        return False
    # Beside the class folders, not in one: a file left by a killed call must not look like a photograph.
    partial = folder / _PARTIAL_FILE
    partial.write_bytes(data)
    os.replace(partial, target)
    return True


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Writes the photographs of the digits example.")
    parser.add_argument("folder", type=Path, help="where the class folders are to be")
    folder = parser.parse_args().folder
    summary = write_images(folder)
    print(
        f"{folder}: {summary.num_photographs} photographs and {summary.num_flawed} flawed files, "
        f"{summary.num_written} of them written now"
    )


if __name__ == "__main__":
    main()
