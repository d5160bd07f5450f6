"""Which split an image belongs to: a function of its content alone.

Equal files go to the same split wherever they lie, so a duplicate cannot leak from train to test, and adding or
removing files moves no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SplitShare:
    """A split and its share of the hash buckets."""

    name: str
    num_buckets: int


def split_of(content_sha256: bytes, shares: Sequence[SplitShare]) -> str:
    """Assigns a split.

    Args:
        content_sha256: digest of the file's bytes, 32 bytes.
        shares: the splits, in order; their bucket counts add up to the number of buckets.

    Returns:
        Name of the split.
    """
    num_buckets = sum(share.num_buckets for share in shares)
    bucket = int.from_bytes(content_sha256[:8], "big") % num_buckets
    for share in shares:
        if bucket < share.num_buckets:
            return share.name
        bucket -= share.num_buckets
    raise AssertionError("buckets do not add up")
