"""The orientation that EXIF data give, read as Pillow reads it.

`trainer.exif` does the same in a TensorFlow graph; the two are held together by tests. Orientations that stand in XMP
alone, or in a "Raw profile type exif" text of a PNG, are not looked for, as browsers do not.
"""

import struct

UPRIGHT = 1
ORIENTATION_TAG = 0x0112

# Pillow takes the two with their second half turned round, too.
LITTLE_ENDIAN = (b"II*\0", b"II\0*")
BIG_ENDIAN = (b"MM\0*", b"MM*\0")

# Bytes per value of each TIFF type, by its number.
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_WHOLE_NUMBERS = {3: "H", 4: "L", 8: "h", 9: "l", 13: "L"}


def read_orientation(exif: bytes) -> int:
    """Reads the orientation from the body of EXIF data.

    Args:
        exif: a TIFF structure, without the "Exif" identifier.

    Returns:
        1 to 8; 1 where the data are malformed or say nothing of it.
    """
    order = "<" if exif[:4] in LITTLE_ENDIAN else ">" if exif[:4] in BIG_ENDIAN else ""
    if not order or len(exif) < 8:
        return UPRIGHT
    entry = _find_entry(exif, order)
    if entry is None:
        return UPRIGHT
    kind, value = entry
    if kind not in _WHOLE_NUMBERS:
        return UPRIGHT
    size = TYPE_SIZES[kind]
    (orientation,) = struct.unpack(order + _WHOLE_NUMBERS[kind], value[:size])
    return int(orientation) if 1 <= orientation <= 8 else UPRIGHT


def _find_entry(exif: bytes, order: str) -> tuple[int, bytes] | None:
    """Type and values of the last entry for the orientation; an entry that points out of the data ends the search."""
    (start,) = struct.unpack_from(order + "L", exif, 4)
    if start + 2 > len(exif):
        return None
    (num_entries,) = struct.unpack_from(order + "H", exif, start)
    found = None
    for position in range(start + 2, min(start + 2 + 12 * num_entries, len(exif) - 11), 12):
        tag, kind, count, place = struct.unpack_from(order + "HHLL", exif, position)
        size = TYPE_SIZES.get(kind, 0) * count
        if size > 4 and place + size > len(exif):
            break
        if tag == ORIENTATION_TAG and size:
            values = place if size > 4 else position + 8
            found = kind, exif[values : values + size]
    return found
