"""A glance at a place of photographs, before a run: what is plainly wrong with it, without listing all of it."""

import os
import tarfile
from collections.abc import Iterator
from itertools import islice

from components.image_example_gen.settings import IngestionSettings, span_placeholders
from components.image_example_gen.sources import buckets
from components.image_example_gen.sources.access import LocalFile, open_stream
from components.image_example_gen.sources.listing import is_hidden
from components.image_example_gen.sources.manifests import ManifestSource
from components.image_example_gen.sources.opening import open_store, patterns_of
from components.image_example_gen.sources.patterns import PathPattern
from components.image_example_gen.sources.spans import SpanTemplate, chosen_spans
from components.image_example_gen.sources.stores import FolderStore, Store, is_archive, joined
from trainer.errors import ThawError


def problem_at_a_glance(settings: IngestionSettings) -> str:
    """What is plainly wrong with the photographs that settings describe; "" where nothing is.

    In a bucket it only asks whether anything is there; of an archive, it reads no more than the beginning or the
    directory.

    Args:
        settings: `images` must be absolute, or a URL.

    Returns:
        What is wrong, then "; " and a remedy where there is one to tell.
    """
    try:
        for place in _places(settings):
            _look_at(settings, place)
    except ThawError as error:
        return str(error)
    return ""


def some_local_files(settings: IngestionSettings, num_files: int) -> list[str]:
    """Absolute paths of a few photographs, of the newest span; none where they lie in no folder of this machine."""
    try:
        place = _places(settings)[-1]
        store = open_store(place)
        if settings.records is not None or not isinstance(store, FolderStore):
            return []
        if settings.manifest is not None:
            entries = ManifestSource(store, settings.manifest).list_entries().entries
            paths = iter([entry.path for entry in entries])
        else:
            paths = _matching(store, patterns_of(settings)["train" if settings.split_patterns else None])
        found = (joined(place, path) for path in paths)
        return sorted(islice((path for path in found if os.path.isfile(path)), num_files))
    except ThawError:
        return []


def _places(settings: IngestionSettings) -> list[str]:
    if not span_placeholders(settings.images):
        return [settings.images]
    template = SpanTemplate(settings.images.rstrip("/"))
    return [template.place(span) for span in chosen_spans(template, settings.span)]


def _look_at(settings: IngestionSettings, place: str) -> None:
    if buckets.is_in_bucket(place):
        _look_at_bucket(settings, place)
    elif not os.path.exists(place):
        raise ThawError(f"{place!r} does not exist")
    elif os.path.isdir(place):
        _look_at_folder(settings, FolderStore(place))
    elif is_archive(place):
        _look_at_archive(place)
    else:
        raise ThawError(f"{place!r} is not a folder, nor an archive (.zip, .tar, .tar.gz, …)")
    file = settings.manifest.file if settings.manifest else ""
    if file.startswith("/") and not os.path.isfile(file):
        raise ThawError(f"there is no manifest {file!r}; set data.manifest.file to one")


def _look_at_bucket(settings: IngestionSettings, place: str) -> None:
    manifest = settings.manifest.file if settings.manifest else ""
    is_inside = manifest and not manifest.startswith("/") and not is_archive(place)
    for url in (place, joined(place, manifest) if is_inside and "://" not in manifest else ""):
        if url and not buckets.exists(url):
            raise ThawError(f"there is nothing at {url!r}; set data.images to what holds the photographs")


def _look_at_folder(settings: IngestionSettings, store: FolderStore) -> None:
    manifest = settings.manifest.file if settings.manifest else ""
    if settings.manifest is not None:
        if not manifest.startswith("/") and "://" not in manifest and not store.find([manifest]):
            raise ThawError(f"there is no manifest {manifest!r} in {store.name!r}; set data.manifest.file to one")
        return
    records = settings.records
    key = "data.pattern" if records is None else "data.records.pattern"
    patterns = patterns_of(settings) if records is None else {None: PathPattern(records.pattern)}
    for split, pattern in patterns.items():
        if next(_matching(store, pattern), None) is None:
            name = f"data.split_patterns.{split}" if split else key
            raise ThawError(f"no file in {store.name!r} matches {name} {pattern.text!r}")


def _look_at_archive(place: str) -> None:
    if place.lower().endswith(".zip"):
        next(open_store(place).list_files(), None)
        return
    try:
        with open_stream(LocalFile(place)) as stream, tarfile.open(fileobj=stream, mode="r:*"):
            pass
    except (OSError, EOFError, tarfile.TarError) as error:
        raise ThawError(f"cannot read the archive {place!r}: {error}; make or fetch it again") from None


def _matching(store: Store, pattern: PathPattern) -> Iterator[str]:
    files = store.list_files(pattern.max_depth)
    return (file.path for file in files if not is_hidden(file.path) and pattern.match(file.path) is not None)
