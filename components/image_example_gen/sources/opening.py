"""From the settings to the source that they describe."""

import functools
import os

from components.image_example_gen.settings import IngestionSettings, span_placeholders
from components.image_example_gen.sources.access import LocalFile, RandomAccess
from components.image_example_gen.sources.buckets import BucketFile, BucketStore, is_in_bucket
from components.image_example_gen.sources.entry import Source
from components.image_example_gen.sources.folders import FolderSource
from components.image_example_gen.sources.listing import fingerprint
from components.image_example_gen.sources.manifests import ManifestSource
from components.image_example_gen.sources.patterns import PathPattern
from components.image_example_gen.sources.records import RecordSource
from components.image_example_gen.sources.spans import SpanSource, SpanTemplate
from components.image_example_gen.sources.stores import FolderStore, Store, is_archive
from components.image_example_gen.sources.tar_archives import TarStore
from components.image_example_gen.sources.zip_archives import ZipStore
from trainer.errors import ThawError

__all__ = ["fingerprint", "open_source", "open_store", "patterns_of"]


def open_source(settings: IngestionSettings) -> Source:
    """The source of photographs that settings describe. Nothing is read before it is asked to list.

    Args:
        settings: `images` must be absolute, or a URL.

    Raises:
        ThawError: `images` is a URL of a kind that is not read.
    """
    if span_placeholders(settings.images):
        open_place = functools.partial(_source_in, settings)
        return SpanSource(SpanTemplate(settings.images.rstrip("/")), settings.span, open_place)
    return _source_in(settings, settings.images)


def open_store(place: str) -> Store:
    """The files in a folder, an archive or a bucket.

    Raises:
        ThawError: it is a URL of a kind that is not read.
    """
    if "://" in place and not is_in_bucket(place):
        raise ThawError(f"cannot read {place!r}: it must be a local path, or begin with s3:// or gs://")
    place = place.rstrip("/") or place
    if is_archive(place) and not os.path.isdir(place):
        access: RandomAccess = BucketFile(place) if is_in_bucket(place) else LocalFile(place)
        return (ZipStore if place.lower().endswith(".zip") else TarStore)(place, access)
    return BucketStore(place) if is_in_bucket(place) else FolderStore(place)


def patterns_of(settings: IngestionSettings) -> dict[str | None, PathPattern]:
    """The pattern of each split; the one pattern of photographs that are not split has the name None."""
    if settings.split_patterns is None:
        return {None: PathPattern(settings.pattern)}
    return {split: PathPattern(pattern) for split, pattern in settings.split_patterns.model_dump().items()}


def _source_in(settings: IngestionSettings, place: str) -> Source:
    store = open_store(place)
    if settings.manifest is not None:
        return ManifestSource(store, settings.manifest, settings.labels)
    if settings.records is not None:
        return RecordSource(store, settings.records, settings.labels)
    return FolderSource(store, patterns_of(settings), settings.labels)
