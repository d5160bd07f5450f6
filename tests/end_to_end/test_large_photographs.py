"""Photographs of 12 megapixels: how much memory they take must not depend on how many there are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.isolation import run_isolated
from benchmarks.photographs import load_sources, photograph
from tests.conftest import encode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SIZE_PX = (4000, 3000)
SIZES = (24, 72)
MEMORY_GOAL_MIB = 3000


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of two classes, by their number of photographs; the smaller holds some of the larger one's."""
    noise = np.random.default_rng(0).normal(0, 8, (300, 400, 3))
    tiled = np.tile(noise, (SIZE_PX[1] // 300, SIZE_PX[0] // 400, 1)).astype(np.int16)
    sources, folders = load_sources(), {number: tmp_path_factory.mktemp(f"photographs-{number}") for number in SIZES}
    for number in range(max(SIZES)):
        large = np.asarray(photograph(sources, number).resize(SIZE_PX, Image.Resampling.BILINEAR))
        content = encode(np.clip(large + tiled, 0, 255).astype(np.uint8), file_format="JPEG")
        for size, folder in folders.items():
            if number < size:
                path = folder / f"class_{number % 2}" / f"{number}.jpg"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
    return folders


def test_memory_is_bounded_and_flat(photographs: dict[int, Path]) -> None:
    few, many = (run_isolated("tests.end_to_end.ingest_large", photographs[size]).result for size in SIZES)
    assert few["peak_mib"] > few["after_imports_mib"]
    assert many["peak_mib"] < MEMORY_GOAL_MIB, many
    assert many["peak_mib"] <= 1.2 * few["peak_mib"], (few, many)
