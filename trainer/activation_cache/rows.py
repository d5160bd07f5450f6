"""Rows of fixed shape as bytes: several tensors of one image, its label and its weight, side by side."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

Array = np.ndarray[Any, Any]
Codec = Literal["none", "deflate"]

# The least share of its bytes that compression must take away: reading it back in every epoch has a price.
_LEAST_SAVING = 0.25
_LABEL, _WEIGHT = "label_id", "weight"


@dataclass(frozen=True)
class RowFormat:
    """What a row holds.

    Attributes:
        tensors: shape and dtype of each tensor of an image, as it is stored.
    """

    tensors: tuple[tf.TensorSpec, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """A row in memory: packed, little-endian."""
        fields: list[Any] = [
            (_name(index), _stored_dtype(spec.dtype), tuple(spec.shape)) for index, spec in enumerate(self.tensors)
        ]
        return np.dtype([*fields, (_LABEL, "<i8"), (_WEIGHT, "<f4")])

    @property
    def num_bytes(self) -> int:
        """Of one row, not compressed."""
        return int(self.dtype.itemsize)

    @property
    def dtypes_read(self) -> tuple[tf.DType, ...]:
        """Of what `unpack` returns."""
        return (*(tf.as_dtype(_stored_dtype(spec.dtype)) for spec in self.tensors), tf.int64, tf.float32)

    def pack(self, tensors: Sequence[Array], label_ids: Array, weights: Array) -> Array:
        """Rows [num_rows] from arrays [num_rows, …]."""
        rows = np.empty(len(label_ids), self.dtype)
        for index, (tensor, spec) in enumerate(zip(tensors, self.tensors, strict=True)):
            rows[_name(index)] = tensor.view(_stored_dtype(spec.dtype))
        rows[_LABEL], rows[_WEIGHT] = label_ids, weights
        return rows

    def unpack(self, rows: Array) -> list[Array]:
        """The tensors, the label ids and the weights of rows; to be given to `restore` in a graph."""
        return [np.ascontiguousarray(rows[name]) for name in self.dtype.names or ()]

    def restore(self, tensors: Sequence[tf.Tensor]) -> tuple[tf.Tensor, ...]:
        """The tensors [num_rows, …] in their own dtypes again, from what `unpack` made of them."""
        return tuple(_as_dtype(tensor, spec.dtype) for tensor, spec in zip(tensors, self.tensors, strict=True))


def codec_for(rows: Array) -> Codec:
    """Whether compression pays for rows like these."""
    if not rows.nbytes:
        return "none"
    num_compressed = sum(len(encode(row.tobytes(), "deflate")) for row in rows)
    return "deflate" if num_compressed <= (1 - _LEAST_SAVING) * rows.nbytes else "none"


def encode(row: bytes, codec: Codec) -> bytes:
    """A row as it lies on the disk."""
    return zlib.compress(row, level=1) if codec == "deflate" else row


def decode(stored: bytes, codec: Codec) -> bytes:
    """What `encode` was given.

    Raises:
        zlib.error: it is not that.
    """
    return zlib.decompress(stored) if codec == "deflate" else stored


def _name(index: int) -> str:
    return f"tensor_{index}"


def _stored_dtype(dtype: tf.DType) -> np.dtype[Any]:
    """numpy's structured rows know no bfloat16: its bits are kept."""
    return np.dtype("<u2") if dtype == tf.bfloat16 else np.dtype(dtype.as_numpy_dtype).newbyteorder("<")


def _as_dtype(tensor: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.bitcast(tensor, dtype) if dtype == tf.bfloat16 else tensor
