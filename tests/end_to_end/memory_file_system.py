"""Files in the memory of this process, for Beam: those that TensorFlow keeps under ram://."""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata, FileSystem

_rename = tf.io.gfile.rename


def rename(source: str, target: str, overwrite: bool = False) -> None:
    """In place of `tf.io.gfile.rename`: under ram:// it leaves a folder's content behind, in a bucket not."""
    if not (source.startswith("ram://") and tf.io.gfile.isdir(source)):
        _rename(source, target, overwrite)
        return
    for folder, _, names in tf.io.gfile.walk(source):
        place = target + folder.rstrip("/").removeprefix(source.rstrip("/"))
        tf.io.gfile.makedirs(place)
        for name in names:
            _rename(f"{folder.rstrip('/')}/{name}", f"{place}/{name}", overwrite)
    tf.io.gfile.rmtree(source)


class MemoryFileSystem(FileSystem):
    """What Beam's sinks ask of a bucket."""

    @classmethod
    def scheme(cls) -> str:
        return "ram"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        tf.io.gfile.makedirs(path)

    def has_dirs(self) -> bool:
        return True

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for folder, _, names in tf.io.gfile.walk(dir_or_prefix.rstrip("/")):
            for name in names:
                path = self.join(folder, name)
                yield FileMetadata(path, self.size(path))

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        return self._open(path, "wb", compression_type)

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        return self._open(path, "rb", compression_type)

    def _open(self, path: str, mode: str, compression_type: str) -> Any:
        assert self._get_compression_type(path, compression_type) == CompressionTypes.UNCOMPRESSED, path
        return tf.io.gfile.GFile(path, mode)

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            tf.io.gfile.copy(source, target, overwrite=True)

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            rename(source, target, overwrite=True)

    def exists(self, path: str) -> bool:
        return bool(tf.io.gfile.exists(path))

    def size(self, path: str) -> int:
        return int(tf.io.gfile.stat(path).length)

    def last_updated(self, path: str) -> float:
        raise BeamIOError(f"nobody asks when {path} was written")

    def checksum(self, path: str) -> str:
        raise BeamIOError(f"nobody asks for the checksum of {path}")

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            remove = tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove
            remove(path)
