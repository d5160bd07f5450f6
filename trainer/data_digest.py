"""A digest of training data, which checkpoints and cached activations are named by."""

import hashlib
from functools import lru_cache

import tensorflow as tf

_BLOCK_BYTES = 2**20


def digest_of_files(paths: tuple[str, ...]) -> str:
    """Hex digest of the content of files one after the other, wherever TensorFlow can read them.

    In a process they are read once, as long as none has another size or time of change.
    """
    stats = [tf.io.gfile.stat(path) for path in paths]
    return _digest_of_files(paths, tuple((int(stat.length), int(stat.mtime_nsec)) for stat in stats))


@lru_cache(maxsize=16)
def _digest_of_files(paths: tuple[str, ...], _stamps: tuple[tuple[int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with tf.io.gfile.GFile(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    return digest.hexdigest()
