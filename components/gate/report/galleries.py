"""The photographs on which the candidate and another model differ: chosen, made small, kept beside the verdict."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import get_args

import numpy as np

from components.gate.predictions import ModelName, Predictions
from components.gate.report.answers import NO_ANSWER, Answers, answers_of
from components.gate.report.content import Answer, Change, ChangedPhotograph, Gallery

FOLDER = "gallery"
FILE_NAME = "gallery.json"
MOST_BYTES = 2**20
"""Of all pictures together, as they are encoded; a third more within a page."""

_MOST_PHOTOGRAPHS: Mapping[ModelName, int] = {"baseline": 24, "production": 12}
_PICTURE_SIZE_PX = 160
_JPEG_QUALITY = 82

ReadImages = Callable[[Sequence[int]], Iterator[tuple[int, bytes]]]
"""From positions in the test split to (position, bytes of the photograph), in the order of the split."""


def write_galleries(predictions: Predictions, read_images: ReadImages, folder: str | Path) -> None:
    """Writes `gallery/`: a small picture for each photograph that is shown, and what the models say of it.

    Args:
        predictions: of the test split.
        read_images: reads the photographs that are wanted, once.
        folder: of the verdict.
    """
    target = Path(folder) / FOLDER
    target.mkdir(exist_ok=True)
    groups = list(_groups(predictions))
    positions = list(dict.fromkeys(chain.from_iterable(_in_turns([chosen for _, chosen in groups]))))
    files = _write_pictures(positions, dict(read_images(sorted(positions))), target)
    content = [
        {**asdict(gallery), "photographs": [_entry(item, files.get(position)) for item, position in pairs]}
        for gallery, chosen in groups
        for pairs in [zip(gallery.photographs, chosen, strict=True)]
    ]
    # json escapes what is not ASCII, and with it bytes of file names that are not UTF-8.
    (target / FILE_NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="ascii")


def read_galleries(folder: str | Path) -> tuple[Gallery, ...]:
    """Reads what lies beside a verdict; empty where there is nothing."""
    source = Path(folder) / FOLDER
    if not (source / FILE_NAME).is_file():
        return ()
    content = json.loads((source / FILE_NAME).read_text("ascii"))
    return tuple(
        Gallery(
            group["other"],
            group["change"],
            group["num_all"],
            [
                ChangedPhotograph(
                    item["path"],
                    item["label"],
                    Answer(**item["before"]),
                    Answer(**item["after"]),
                    (source / item["file"]).read_bytes() if item["file"] else None,
                )
                for item in group["photographs"]
            ],
        )
        for group in content
    )


def _groups(predictions: Predictions) -> Iterator[tuple[Gallery, list[int]]]:
    """Galleries without pictures, and the positions of their photographs."""
    answers = answers_of(predictions)
    for other in _MOST_PHOTOGRAPHS:
        if other not in predictions.models:
            continue
        ours, theirs = answers.is_right("candidate"), answers.is_right(other)
        shift = answers.of_truth["candidate"] - answers.of_truth[other]
        for change in get_args(Change):
            found = np.flatnonzero(theirs & ~ours if change == "lost" else ours & ~theirs)
            ordered = found[np.argsort(-np.abs(shift[found]), kind="stable")].tolist()
            chosen = ordered[: _MOST_PHOTOGRAPHS[other]]

            photographs = [
                ChangedPhotograph(
                    predictions.examples.paths[position],
                    predictions.examples.labels[position],
                    _answer(answers, other, position),
                    _answer(answers, "candidate", position),
                )
                for position in chosen
            ]
            yield Gallery(other, change, len(ordered), photographs), chosen


def _answer(answers: Answers, model: ModelName, position: int) -> Answer:
    named = int(answers.named[model][position])
    if named == NO_ANSWER:
        return Answer("no answer", 0.0)
    return Answer(answers.labels[named], float(answers.confidence[model][position]))


def _in_turns(groups: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The first of each group, then the second of each: room that runs out is missing at the end of all of them."""
    for place in range(max(map(len, groups), default=0)):
        yield [group[place] for group in groups if place < len(group)]


def _write_pictures(positions: Sequence[int], images: Mapping[int, bytes], folder: Path) -> dict[int, str]:
    """Names of the files that there is room for."""
    from trainer.photographs import UnreadableImage

    files: dict[int, str] = {}
    num_bytes = 0
    for position in positions:
        # Pillow is stricter than TensorFlow, with the checksums of a PNG's texts for one.
        with suppress(UnreadableImage, KeyError):
            picture = small_file(images[position])
            if num_bytes + len(picture) > MOST_BYTES:
                continue
            num_bytes += len(picture)
            files[position] = str(position)
            (folder / files[position]).write_bytes(picture)
    return files


def small_file(content: bytes) -> bytes:
    """The photograph, at most 160 pixels long, as PNG or JPEG, whichever is smaller; no EXIF, no comments."""
    from trainer.photographs import small_picture

    image = small_picture(content, _PICTURE_SIZE_PX)
    image.info.clear()  # Pillow would take comments and colour profiles over
    files = []
    for form, options in (("PNG", {"optimize": True}), ("JPEG", {"quality": _JPEG_QUALITY, "optimize": True})):
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        files.append(buffer.getvalue())
    return min(files, key=len)


def _entry(photograph: ChangedPhotograph, file: str | None) -> dict[str, object]:
    entry = asdict(replace(photograph, picture=None))
    del entry["picture"]
    return {**entry, "file": file}
