"""The frame of TFRecord files: where each record lies, and whether it is whole.

A record is its length (uint64), a checksum of the length, the data, and a checksum of the data; all little-endian.
https://www.tensorflow.org/tutorials/load_data/tfrecord
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from components.image_example_gen.sources.access import RandomAccess, open_stream

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8

NOT_A_HEADER = bytes(_HEADER.size)
"""No record begins with these bytes: the checksum of a length of 0 is not 0."""


class DamagedRecord(Exception):
    """The file is no TFRecord file from some byte on; the message says which."""


@dataclass(frozen=True)
class RecordPlace:
    """Where a record begins, and how long its data is, in bytes."""

    offset: int
    length: int


def record_places(access: RandomAccess) -> Iterator[RecordPlace]:
    """Finds the records by their lengths, without reading their data.

    Raises:
        DamagedRecord: what follows the records so far is not a record, or it is cut off.
        OSError: the file cannot be read.
    """
    end = access.num_bytes()
    offset = 0
    with open_stream(access) as stream:
        while offset < end:
            stream.seek(offset)
            header = stream.read(_HEADER.size)
            if len(header) < _HEADER.size:
                raise DamagedRecord(f"cut off at byte {offset}")
            length, checksum = _HEADER.unpack(header)
            if checksum != _masked_checksum(header[:8]):
                raise DamagedRecord(f"damaged at byte {offset}; what follows is not read")
            place = RecordPlace(offset, length)
            offset += _HEADER.size + length + _FOOTER.size
            if offset > end:
                raise DamagedRecord(f"cut off in the record at byte {place.offset}")
            yield place


def read_record(access: RandomAccess, place: RecordPlace) -> bytes:
    """The data of a record.

    Raises:
        DamagedRecord: it is cut off, or not what it was when it was written.
        OSError: the file cannot be read.
    """
    content = access.read_at(place.offset + _HEADER.size, place.length + _FOOTER.size)
    if len(content) < place.length + _FOOTER.size:
        raise DamagedRecord(f"cut off in the record at byte {place.offset}")
    data, (checksum,) = content[: place.length], _FOOTER.unpack(content[place.length :])
    if checksum != _masked_checksum(data):
        raise DamagedRecord(f"the checksum of the record at byte {place.offset} is wrong")
    return data


def _masked_checksum(data: bytes) -> int:
    import google_crc32c

    checksum: int = google_crc32c.value(data)
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & 0xFFFFFFFF
