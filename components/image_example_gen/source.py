"""Which files there are: listing a folder of class folders, and noticing when it has changed."""

import fnmatch
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainer.errors import ThawError


@dataclass(frozen=True)
class ImageFile:
    """One file that the patterns match.

    Attributes:
        path: relative to the images folder, with forward slashes.
        label: name of the folder that holds the file.
        input_split: the input split whose pattern matched it.
        num_bytes: size in bytes.
        mtime_ns: time of last modification, in nanoseconds.
    """

    path: str
    label: str
    input_split: str
    num_bytes: int
    mtime_ns: int


@dataclass(frozen=True)
class Listing:
    """What is in the images folder: the files to read, and the hidden ones that are left alone."""

    files: tuple[ImageFile, ...]
    ignored: tuple[str, ...]


def list_images(images: str, patterns: Mapping[str, str]) -> Listing:
    """Lists the files that the patterns match.

    Files come in the order of a hash of their path: a fixed order in which the classes are mixed, so that whoever reads
    the examples in sequence does not see one class after the other.

    Args:
        images: folder of class folders.
        patterns: glob relative to `images` for each input split; the last folder of a match is its label.

    Raises:
        ThawError: the folder is missing or a pattern matches no file, two patterns match the same file, or the name of
            a class has a line break in it (the vocabulary is a text file with a class per line).
    """
    base = Path(images)
    if not base.is_dir():
        raise ThawError(f"no folder {str(base)!r} to read images from; set data.images to a folder of class folders")
    files: dict[str, ImageFile] = {}
    ignored: list[str] = []
    for input_split, pattern in patterns.items():
        # Whatever is no folder is a file to account for, a dangling link too: reading it will say what is wrong.
        matched = [path for path in base.glob(pattern) if not path.is_dir()]
        if not matched:
            raise ThawError(f"no file in {str(base)!r} matches {pattern!r}; {_hint(base, pattern)}")
        for path in matched:
            relative = path.relative_to(base).as_posix()
            if _is_hidden(relative):
                ignored.append(relative)
            elif relative in files:
                other = files[relative].input_split
                raise ThawError(f"{relative!r} matches the patterns of both splits {other!r} and {input_split!r}")
            elif set(label_of(relative)) & set("\n\r"):
                raise ThawError(
                    f"the name of the class folder {label_of(relative)!r} has a line break in it; rename it"
                )
            else:
                files[relative] = _describe(path, relative, input_split)
    return Listing(tuple(sorted(files.values(), key=_mixed_order)), tuple(sorted(ignored)))


def fingerprint(listing: Listing) -> str:
    """Digests names, sizes and times of modification: it differs after a file was changed, added or removed.

    Contents are not read here; that would double the reading of every run in which nothing has changed.
    """
    rows = sorted(f"{f.input_split}\0{f.path}\0{f.num_bytes}\0{f.mtime_ns}" for f in listing.files)
    return hashlib.sha256("\n".join(rows).encode(errors="surrogateescape")).hexdigest()


def label_of(path: str) -> str:
    """The folder that holds the file: `cats/1.jpg` is of class `cats`."""
    return PurePosixPath(path).parent.name


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def _describe(path: Path, relative: str, input_split: str) -> ImageFile:
    status = path.stat() if path.exists() else path.lstat()
    return ImageFile(relative, label_of(relative), input_split, status.st_size, status.st_mtime_ns)


def _mixed_order(file: ImageFile) -> tuple[bytes, str]:
    return hashlib.sha256(file.path.encode(errors="surrogateescape")).digest(), file.path


def _hint(base: Path, pattern: str) -> str:
    entries = sorted(path.name for path in base.iterdir())
    if not entries:
        return "the folder is empty"
    here: Iterable[str] = fnmatch.filter(entries, pattern.split("/")[0])
    shown = ", ".join(repr(name) for name in entries[:5])
    if any((base / name).is_dir() for name in here):
        return f"the folder holds {shown}, but they hold no such files"
    return f"the folder holds {shown}; images must lie in a folder per class, such as CLASS/photo.jpg"
