"""Files that several workers may write, here or in a bucket: each is there as a whole, or not at all."""

import os
import uuid

import tensorflow as tf

PARTIAL = ".partial"
"""How the names end under which files are written that are not whole yet."""


def partial_of(path: str) -> str:
    """A name for what is not whole yet: beside the folder, where no reader's pattern matches, and never the same twice.

    A runner may give the same work to two workers; the last one to finish puts its file in the place.
    """
    folder, name = os.path.split(path)
    return f"{folder}.{name}.{uuid.uuid4().hex[:8]}{PARTIAL}"


def put_in_place(partial: str, path: str) -> None:
    """Gives a finished file its name, in the place of another one if need be."""
    tf.io.gfile.makedirs(os.path.dirname(path))
    tf.io.gfile.rename(partial, path, overwrite=True)


def write_whole(path: str, content: bytes) -> None:
    """Writes a small file."""
    partial = partial_of(path)
    with tf.io.gfile.GFile(partial, "wb") as file:
        file.write(content)
    put_in_place(partial, path)


def read_whole(path: str) -> bytes:
    """Reads a small file."""
    with tf.io.gfile.GFile(path, "rb") as file:
        content: bytes = file.read()
    return content
