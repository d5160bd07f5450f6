"""What the first bytes of an image file say, without decoding a pixel and without taking memory for one.

Not Pillow's own reading, except for TIFF: opening a WebP with Pillow takes memory for the whole picture, and opening a
PNG unpacks its compressed texts. What is read here is also what `trainer.images` reads in its graph.
"""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from trainer.orientation import UPRIGHT, read_orientation

# A JPEG with more scans takes a decoder hours; photographs have about ten.
MAX_SCANS = 500
# So much may stand between the segments of a JPEG before its first scan.
MAX_STEPS = 4096

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_BMP_HEADER_SIZES = (40, 52, 56, 64, 108, 124)


@dataclass(frozen=True)
class Header:
    """What is known of an image before it is decoded.

    Attributes:
        format: "jpeg", "png", "webp", "gif", "bmp" or "tiff".
        width_px: of the stored pixels, before the orientation is applied.
        height_px: likewise.
        orientation: 1 to 8, as in EXIF; 1 is upright.
        num_frames: pictures of an animation, or pages of a TIFF; 1 for JPEGs with further pictures (MPO).
        is_decodable_as_is: `trainer.images.decode` takes the file as it is; else it is to be normalised.
    """

    format: str
    width_px: int
    height_px: int
    orientation: int
    num_frames: int
    is_decodable_as_is: bool


class UnreadableImage(Exception):
    """Raised for a file that is no image, or none that can be read.

    Attributes:
        kind: "not an image", "unsupported format", "truncated" or "cannot be decoded".
        detail: what was found, in words.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


def read_jpeg(content: bytes) -> Header:
    """Walks over the segments of a JPEG up to its first scan; raises UnreadableImage."""
    frame: tuple[int, ...] = ()
    orientation = 0
    for marker, start, end in _segments(content):
        if marker == 0xE1 and not orientation and content.startswith(b"Exif\0\0", start, end):
            orientation = read_orientation(content[start + 6 : end])
        elif marker in _FRAMES and end - start >= 6:
            frame = (marker, *struct.unpack_from(">BHHB", content, start))
        elif marker == 0xDA and frame:
            kind, num_bits, height, width, num_components = frame
            if kind in _PROGRESSIVE or content[start] != num_components:
                _check_scans(content, start)
            is_plain = num_bits == 8 and num_components in (1, 3)
            return Header("jpeg", width, height, orientation or UPRIGHT, 1, is_plain)
    raise UnreadableImage("truncated", "the JPEG ends before its first scan")


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the payload of each segment."""
    position = 2
    for _ in range(MAX_STEPS):
        if position + 4 > len(content):
            return
        marker = content[position + 1]
        if content[position] != 0xFF or marker in (0x00, 0xFF):  # filling, or what does not belong here
            position += 1
        elif marker in _WITHOUT_LENGTH:
            position += 2
        else:
            length = content[position + 2] << 8 | content[position + 3]
            end = position + 2 + length
            if length < 2 or end > len(content):
                return
            yield marker, position + 4, end
            position = end


def _check_scans(content: bytes, start: int) -> None:
    num_scans = 1 + content.count(b"\xff\xda", start)
    if num_scans > MAX_SCANS:
        raise UnreadableImage("cannot be decoded", f"the JPEG has {num_scans} scans; {MAX_SCANS} are allowed")


def read_png(content: bytes) -> Header:
    """Walks over the chunks of a PNG; raises UnreadableImage."""
    if len(content) < 33:
        raise UnreadableImage("truncated", f"the PNG ends after {len(content)} bytes")
    if content[12:16] != b"IHDR":
        raise UnreadableImage("cannot be decoded", f"the PNG begins with a chunk {content[12:16]!r}, not IHDR")
    width, height = struct.unpack_from(">LL", content, 16)
    orientation, num_frames = UPRIGHT, 1
    if b"eXIf" in content or b"acTL" in content:
        for name, start, end in _chunks(content):
            if name == b"eXIf":
                orientation = read_orientation(content[start:end])
            elif name == b"acTL" and end - start == 8:
                (num_frames,) = struct.unpack_from(">L", content, start)
    # Not where it is the name of a chunk only: the graph does not walk over the chunks.
    return Header("png", width, height, orientation, max(1, num_frames), b"eXIf" not in content)


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the data of each chunk that is whole."""
    position = 8
    while position + 12 <= len(content):
        (length,) = struct.unpack_from(">L", content, position)
        end = position + 8 + length
        if end + 4 > len(content):
            return
        yield content[position + 4 : position + 8], position + 8, end
        position = end + 4


def read_webp(content: bytes) -> Header:
    """Reads the first chunk of a WebP, and the others where it says that they matter; raises UnreadableImage."""
    kind = content[12:16]
    if len(content) < 30:
        raise UnreadableImage("truncated", f"the WebP ends after {len(content)} bytes")
    if kind == b"VP8 ":
        width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", content, 26))
        return Header("webp", width, height, UPRIGHT, 1, True)
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<L", content, 21)
        return Header("webp", 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), UPRIGHT, 1, True)
    if kind == b"VP8X":
        return _read_extended_webp(content)
    raise UnreadableImage("cannot be decoded", f"the WebP begins with a chunk {kind!r}")


def _read_extended_webp(content: bytes) -> Header:
    width, height = (1 + int.from_bytes(content[at : at + 3], "little") for at in (24, 27))
    orientation, num_frames = UPRIGHT, 0
    flags = content[20]
    if flags & 0b1010:
        position = 12
        while position + 8 <= len(content):
            name, (length,) = content[position : position + 4], struct.unpack_from("<L", content, position + 4)
            if name == b"EXIF":
                data = content[position + 8 : position + 8 + length]
                orientation = read_orientation(data.removeprefix(b"Exif\0\0"))
            num_frames += name == b"ANMF"
            position += 8 + length + length % 2
    return Header("webp", width, height, orientation, max(1, num_frames), not flags & 0b1010)


def read_gif(content: bytes) -> Header:
    """Walks over the blocks of a GIF and counts its pictures; raises UnreadableImage."""
    if len(content) < 13:
        raise UnreadableImage("truncated", f"the GIF ends after {len(content)} bytes")
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    position = 13 + _palette_size(flags)
    num_frames = 0
    while position + 10 <= len(content) and content[position] != 0x3B:
        kind = content[position]
        if kind == 0x2C:
            left, top, frame_width, frame_height, flags = struct.unpack_from("<HHHHB", content, position + 1)
            if not num_frames:  # Pillow enlarges the picture to what its first frame needs
                width, height = max(width, left + frame_width), max(height, top + frame_height)
            num_frames += 1
            position = _after_blocks(content, position + 11 + _palette_size(flags))
        elif kind == 0x21:
            position = _after_blocks(content, position + 2)
        else:
            position += 1
    return Header("gif", width, height, UPRIGHT, max(1, num_frames), False)


def _palette_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_blocks(content: bytes, position: int) -> int:
    while position < len(content) and content[position]:
        position += 1 + content[position]
    return position + 1


def read_bmp(content: bytes) -> Header:
    """Reads the header of a Windows bitmap; raises UnreadableImage."""
    if len(content) < 26:
        raise UnreadableImage("truncated", f"the BMP ends after {len(content)} bytes")
    offset, size = struct.unpack_from("<LL", content, 10)
    if size == 12:
        width, height = struct.unpack_from("<HH", content, 18)
        return Header("bmp", width, height, UPRIGHT, 1, False)
    if size not in _BMP_HEADER_SIZES or len(content) < 14 + size:
        raise UnreadableImage("cannot be decoded", f"the BMP has a header of {size} bytes")
    width, height, _, num_bits, compression = struct.unpack_from("<LlHHL", content, 18)
    is_plain = (
        num_bits in (24, 32) and compression == 0 and 0 < abs(height) < 1 << 24 and 14 + size <= offset < len(content)
    )
    return Header("bmp", width, abs(height), UPRIGHT, 1, is_plain)


def read_tiff(content: bytes) -> Header:
    """Reads the tags of a TIFF's first page with Pillow, and counts the pages; raises UnreadableImage."""
    from PIL import TiffImagePlugin

    try:
        tags = TiffImagePlugin.TiffImageFile(io.BytesIO(content)).tag_v2
        width, height, orientation = int(tags[256]), int(tags[257]), tags.get(274, UPRIGHT)
        tile = int(tags.get(322, 0)) * int(tags.get(323, 0))
    except Exception as error:  # Pillow's parsers raise anything on malformed files
        raise UnreadableImage("cannot be decoded", f"malformed TIFF: {error}") from None
    if tile > max(4 * width * height, 1 << 20):
        raise UnreadableImage("cannot be decoded", f"the TIFF has tiles of {tile} pixels")
    upright = orientation if orientation in range(1, 9) else UPRIGHT
    return Header("tiff", width, height, upright, _num_pages(content), False)


def _num_pages(content: bytes) -> int:
    order = "<" if content[:2] == b"II" else ">"
    is_big = 43 in content[2:4]
    (position,) = struct.unpack_from(order + ("Q" if is_big else "L"), content, 8 if is_big else 4)
    head, tail, entry = ("Q", "Q", 20) if is_big else ("H", "L", 12)
    seen: set[int] = set()
    try:
        while position and position not in seen:
            seen.add(position)
            (num_entries,) = struct.unpack_from(order + head, content, position)
            after = position + struct.calcsize(order + head) + entry * num_entries
            (position,) = struct.unpack_from(order + tail, content, after)
    except (struct.error, OverflowError):
        pass
    return max(1, len(seen))
