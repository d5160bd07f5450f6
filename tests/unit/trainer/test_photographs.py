"""What a file says of itself, and what is wrong with it, without TensorFlow."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from benchmarks import zoo
from trainer.photographs import UnreadableImage, normalise, read_header, reference_pixels, small_picture

FORMS = zoo.make_zoo()


@pytest.mark.parametrize("name", FORMS)
def test_the_header_and_the_pixels_are_those_of_pillow(name: str) -> None:
    content = FORMS[name]
    header = read_header(content)
    with Image.open(io.BytesIO(content)) as image:
        orientation = image.getexif().get(0x0112, 1)
        stored = image.size if image.format != "TIFF" or orientation < 5 else image.size[::-1]
        assert (header.width_px, header.height_px) == stored == (zoo.WIDTH_PX, zoo.HEIGHT_PX)
        assert header.format == {"MPO": "jpeg"}.get(image.format, image.format.lower())
        assert header.orientation == orientation
        assert header.num_frames == (1 if image.format == "MPO" else getattr(image, "n_frames", 1))
        if image.mode in ("RGB", "L", "1", "CMYK") and "transparency" not in image.info:
            upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
            np.testing.assert_array_equal(reference_pixels(content, zoo.BACKGROUND), upright)


@pytest.mark.parametrize("name", ["png_alpha", "webp_alpha", "tiff_alpha"])
def test_transparency_shows_the_background(name: str) -> None:
    layers = np.asarray(zoo.transparent(Image.fromarray(zoo.photograph())))
    expected = zoo.laid_onto(layers[..., :3], layers[..., 3])
    off = reference_pixels(FORMS[name], zoo.BACKGROUND).astype(int) - expected
    visible = layers[..., 3] > 0
    assert not off[visible].any()  # what is wholly transparent may have lost its colour
    assert (reference_pixels(FORMS[name], zoo.BACKGROUND)[~visible] == zoo.BACKGROUND).all()


@pytest.mark.parametrize("name", ["png_grey16", "tiff_grey16", "tiff_float"])
def test_wide_grey_samples_are_scaled_not_cut(name: str) -> None:
    grey = np.asarray(Image.fromarray(zoo.photograph()).convert("L"))
    expected = grey if name == "tiff_float" else zoo.narrow(zoo.wide(grey))
    np.testing.assert_array_equal(reference_pixels(FORMS[name], zoo.BACKGROUND)[..., 0], expected)


@pytest.mark.parametrize("values", [np.array([[0, 2.0]], np.float32), np.array([[-1, 5]], np.int32)])
def test_samples_of_no_agreed_range_are_refused(values: np.ndarray) -> None:
    content = zoo.encode(Image.fromarray(values), "TIFF")
    with pytest.raises(UnreadableImage, match=r"cannot be decoded: .* no agreed range"):
        normalise(content, read_header(content), zoo.BACKGROUND)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an image: 0 bytes"),
        (b"hello world", "not an image: starts with b'hello wo'"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "unsupported format: HEIC; JPEG, PNG"),
        (b"%PDF-1.7", "unsupported format: PDF"),
        (b"\xff\xd8\xff\xe0", "truncated: the JPEG ends before its first scan"),
        (b"\x89PNG\r\n\x1a\n", "truncated: the PNG ends after 8 bytes"),
        (b"II*\0\x08\0\0\0", "cannot be decoded: malformed TIFF"),
    ],
)
def test_what_cannot_be_read_is_told_in_words(content: bytes, message: str) -> None:
    with pytest.raises(UnreadableImage, match=message.replace("(", r"\(")):
        read_header(content)


@pytest.mark.parametrize("name", ["jpeg", "png", "webp_lossy", "webp_lossless", "gif", "bmp24", "tiff"])
def test_half_a_file_is_truncated(name: str) -> None:
    content = FORMS[name][: len(FORMS[name]) // 2]
    with pytest.raises(UnreadableImage) as caught:
        normalise(content, read_header(content), zoo.BACKGROUND)
    assert caught.value.kind == "truncated"


def test_a_jpeg_of_hundreds_of_scans_is_refused_before_it_is_decoded() -> None:
    progressive = FORMS["jpeg_progressive"]
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    with pytest.raises(UnreadableImage, match=r"cannot be decoded: the JPEG has \d+ scans; 500 are allowed"):
        read_header(progressive[:-2] + 600 * scan + b"\xff\xd9")


@pytest.mark.parametrize("name", FORMS)
def test_a_small_picture_is_upright_and_looks_like_the_photograph(name: str) -> None:
    small = small_picture(FORMS[name], 40).convert("RGB")
    expected = Image.fromarray(reference_pixels(FORMS[name], (255, 255, 255)))
    expected.thumbnail((40, 40))
    assert small.size == expected.size
    assert np.abs(np.asarray(small).astype(int) - np.asarray(expected)).mean() < 6


def test_bombs_take_no_memory(most_memory_mib: Callable[[Callable[[], object]], float]) -> None:
    """60,000×60,000 pixels in each header, and a text of 200 MB in a PNG."""
    side = 60_000
    text = zoo.png_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(200_000_000)))
    png_header = zoo.png_chunk(b"IHDR", struct.pack(">LLBBBBB", side, side, 8, 2, 0, 0, 0))
    bombs = {
        "png": b"\x89PNG\r\n\x1a\n" + png_header + text + FORMS["png"][33:],
        "bmp": FORMS["bmp24"][:18] + struct.pack("<LL", side, side) + FORMS["bmp24"][26:],
        "gif": FORMS["gif"][:6] + struct.pack("<HH", side, side) + FORMS["gif"][10:],
        "webp": _with_canvas(FORMS["animated_webp"], side),
        "tiff": _tiff_of(side),
    }
    del text
    limit = Image.MAX_IMAGE_PIXELS
    for name, content in bombs.items():
        headers = []
        assert most_memory_mib(lambda: headers.append(read_header(content))) < 20  # noqa: B023  (called at once)
        (header,) = headers
        assert (header.format, header.width_px, header.height_px) == (name, side, side)
    assert limit == Image.MAX_IMAGE_PIXELS


def _with_canvas(webp: bytes, side: int) -> bytes:
    return webp[:24] + 2 * (side - 1).to_bytes(3, "little") + webp[30:]


def _tiff_of(side: int) -> bytes:
    tags = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, side), (279, 100)]
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4)


def test_the_first_frame_that_exceeds_a_gifs_screen_counts_for_its_size() -> None:
    gif = bytearray(FORMS["gif"])
    gif[6:10] = struct.pack("<HH", 5, 5)
    header = read_header(bytes(gif))
    assert (header.width_px, header.height_px) == (zoo.WIDTH_PX, zoo.HEIGHT_PX)


def test_a_normal_form_has_no_alpha_and_is_grey_where_the_photograph_is() -> None:
    for name, mode in {"grey_bmp": "L", "tiff_grey16": "L", "cmyk_jpeg": "RGB", "tiff_alpha": "RGB"}.items():
        normal = normalise(FORMS[name], read_header(FORMS[name]), zoo.BACKGROUND)
        with Image.open(io.BytesIO(normal)) as image:
            assert (image.format, image.mode) == ("PNG", mode)


def test_damaged_files_raise_nothing_but_unreadable_image() -> None:
    random = np.random.default_rng(1)
    warnings.simplefilter("ignore")
    num_refused = 0
    for content in FORMS.values():
        for _ in range(4):
            damaged = bytearray(content)
            for place in random.integers(0, 200, 6):
                damaged[place] = int(random.integers(256))
            try:
                header = read_header(bytes(damaged))
                if header.width_px * header.height_px < 1_000_000:
                    normalise(bytes(damaged), header, zoo.BACKGROUND)
            except UnreadableImage:
                num_refused += 1
    assert num_refused > 100


DAMAGED_FILES_IN_THREADS = """
import struct, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from trainer.photographs import UnreadableImage, normalise, read_header

def examine(path):
    content = path.read_bytes()
    try:
        normalise(content, read_header(content), (0, 0, 0))
    except UnreadableImage:
        return 1
    return 0

with ThreadPoolExecutor(8) as threads:
    paths = sorted(Path(sys.argv[1]).iterdir())
    print(sum(threads.map(examine, paths + 19 * [path for path in paths if path.name != "huge.tif"])))
import warnings
warnings.warn("corrupt EXIF, says another")
"""


def test_pillows_warnings_on_damaged_files_do_not_reach_the_screen_but_others_do(tmp_path: Path) -> None:
    camera = struct.pack("<HHLL", 0x010F, 2, 5000, 5000)  # the camera's name lies behind the end
    exif = b"Exif\0\0II*\0" + struct.pack("<LH", 8, 1) + camera + bytes(4)
    files = {
        "cut.tif": FORMS["tiff"][:200],
        "empty.tif": b"II*\0\x08\0\0\0",
        "exif.png": zoo.encode(Image.fromarray(zoo.photograph()), "PNG", exif=exif),
        "huge.tif": _tiff_of(9_700),
        "frames.png": FORMS["turned_png_1"][:33] + zoo.png_chunk(b"acTL", bytes(8)) + FORMS["turned_png_1"][33:],
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-W", "always", "-c", DAMAGED_FILES_IN_THREADS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert int(done.stdout) == 20 + 20 + 1  # cut, empty, huge
    (line,) = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert line.endswith("UserWarning: corrupt EXIF, says another")
