"""From an ingestion to its report: `report.html` and `contact_sheet.png`, with pictures from the staged examples."""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.image_example_gen import distributing
from components.image_example_gen.facts import Facts
from components.image_example_gen.quarantine import Account, Duplicate
from components.image_example_gen.report.contact_sheet import Section, Tile, contact_sheet_png
from components.image_example_gen.report.content import (
    DataReport,
    LookalikePair,
    Picture,
    RefusedPhotograph,
    SampleGroup,
)
from components.image_example_gen.report.page import page
from components.image_example_gen.staging import StagedChunk
from trainer.features import IMAGE
from trainer.photographs import UnreadableImage, small_picture

REPORT_FILE = "report.html"
CONTACT_SHEET_FILE = "contact_sheet.png"
_PICTURE_SIZE_PX = 128
_NUM_SAMPLES_PER_CLASS = 8
_NUM_CLASSES_SHOWN = 30
_NUM_PAIRS_SHOWN = 40
_NUM_REFUSED_SHOWN = 24
_NUM_SIZES = 20_000


def write_report(
    account: Account, chunks: Sequence[StagedChunk], splits: Mapping[str, str], staging_folder: str, folder: str
) -> None:
    """Writes the page and the contact sheet into an existing folder.

    Args:
        account: of the whole ingestion.
        chunks: as they were staged.
        splits: of every path.
        staging_folder: holds the staged examples.
        folder: where to.
    """
    photographs = [facts for chunk in chunks for facts in chunk.accepted]
    samples = _samples(photographs)
    all_pairs = [pair for pair in account.duplicates if pair.is_across_splits or pair.has_two_labels]
    pairs = all_pairs[:_NUM_PAIRS_SHOWN]
    shown = {facts.path for group in samples.values() for facts in group}
    shown |= {path for pair in pairs for path in (pair.first, pair.second)}
    pictures = dict(_pictures(shown, chunks, staging_folder))
    content = DataReport(
        title="Photographs",
        summary=list(_summary(account)),
        labels=sorted({facts.label for facts in photographs}),
        num_by_split=account.num_by_split(),
        num_refused=account.num_by_reason_and_label(),
        refused=[RefusedPhotograph(item.path, item.label, item.reason.value, item.detail) for item in account.refused],
        pairs=[_pair(pair, pictures) for pair in pairs],
        num_pairs=len(all_pairs),
        sizes_px=[(facts.width_px, facts.height_px) for facts in photographs[:_NUM_SIZES]],
        num_by_format=account.formats,
        samples=[
            SampleGroup(label, [_sample(facts, splits, pictures) for facts in group])
            for label, group in samples.items()
        ],
        refused_samples=[Picture(item.path, None, item.reason.value) for item in account.refused[:_NUM_REFUSED_SHOWN]],
    )
    (Path(folder) / REPORT_FILE).write_text(page(content), "utf-8", "replace")
    (Path(folder) / CONTACT_SHEET_FILE).write_bytes(contact_sheet_png(_sections(content)))


def _samples(photographs: Iterable[Facts]) -> dict[str, list[Facts]]:
    """Some photographs of each class, the same whenever the same are there."""
    groups: defaultdict[str, list[Facts]] = defaultdict(list)
    for facts in sorted(photographs, key=lambda item: (item.content_sha256, item.path)):
        if len(groups[facts.label]) < _NUM_SAMPLES_PER_CLASS:
            groups[facts.label].append(facts)
    return {label: groups[label] for label in sorted(groups)[:_NUM_CLASSES_SHOWN]}


def _pictures(paths: set[str], chunks: Sequence[StagedChunk], staging_folder: str) -> Iterator[tuple[str, bytes]]:
    """Yields a small PNG for each path, but for those that Pillow cannot show."""
    for chunk in chunks:
        positions = [position for position, facts in enumerate(chunk.accepted) if facts.path in paths]
        if not positions:
            continue
        for position, example in distributing.some_examples(staging_folder, chunk.index, positions):
            features = tf.train.Example.FromString(example).features.feature
            # Pillow is stricter than TensorFlow, with the checksums of a PNG's texts for one.
            with suppress(UnreadableImage):
                yield chunk.accepted[position].path, _small_png(features[IMAGE].bytes_list.value[0])


def _small_png(content: bytes) -> bytes:
    encoded = io.BytesIO()
    small_picture(content, _PICTURE_SIZE_PX).save(encoded, "PNG")
    return encoded.getvalue()


def _pair(pair: Duplicate, pictures: Mapping[str, bytes]) -> LookalikePair:
    def picture(path: str, split: str, label: str) -> Picture:
        return Picture(f"{path} · {label} · {split}", pictures.get(path))

    return LookalikePair(
        picture(pair.first, pair.first_split, pair.first_label),
        picture(pair.second, pair.second_split, pair.second_label),
        {"equal": "identical", "near": "near-duplicate", "mirrored": "mirrored"}[pair.kind],
    )


def _sample(facts: Facts, splits: Mapping[str, str], pictures: Mapping[str, bytes]) -> Picture:
    return Picture(f"{facts.path} · {splits[facts.path]}", pictures.get(facts.path))


def _summary(account: Account) -> Iterator[str]:
    yield f"{account.num_accepted:,} of {account.num_files:,} photographs were taken in."
    if account.spans:
        yield f"Spans: {', '.join(account.spans)}."
    if account.num_normalised:
        yield (
            f"{account.num_normalised:,} came in a form that TensorFlow would decode otherwise; they are kept as PNG "
            "of the same pixels."
        )
    yield from account.warnings


def _sections(content: DataReport) -> list[Section]:
    groups = [*content.samples]
    if content.refused_samples:
        groups.append(SampleGroup("refused", content.refused_samples))
    return [Section(group.title, [_tile(picture) for picture in group.pictures]) for group in groups]


def _tile(picture: Picture) -> Tile:
    from PIL import Image

    if picture.png is None:
        return Tile(picture.caption, None, "refused", picture.note)
    with Image.open(io.BytesIO(picture.png)) as image:
        return Tile(picture.caption, np.asarray(image.convert("RGB")), "plain")
