"""Which photographs there are, what is accepted of them, and how they are shared out."""

import datetime
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from trainer.features import RESERVED
from trainer.settings import Settings


def _without_reserved(names: tuple[str, ...]) -> tuple[str, ...]:
    taken = sorted(RESERVED.intersection(names))
    if taken:
        raise ValueError(
            f"has {' and '.join(map(repr, taken))}, which every example has from thaw itself; rename it in the data to "
            "keep it beside that"
        )
    return names


FurtherFeatures = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_without_reserved)]
Colour = Annotated[int, Field(ge=0, le=255)]

PLACEHOLDERS = ("label", "split", "group")
"""What a pattern may have in braces."""
SPAN_PLACEHOLDERS = ("SPAN", "YYYY", "MM", "DD")
"""What `data.images` may have in braces."""


class SplitWeights(Settings):
    """How the examples are shared out, as whole-number weights: 70, 15, 15 gives train seven tenths.

    Attributes:
        train: weight of the split that the phases learn from.
        eval: weight of the split that ends a phase early and picks its best epoch.
        test: weight of the split that the gate judges on.
    """

    train: Annotated[int, Field(ge=1)] = 70
    eval: Annotated[int, Field(ge=1)] = 15
    test: Annotated[int, Field(ge=1)] = 15


class SplitPatterns(Settings):
    """Where each split lies, for photographs that come with splits of their own.

    Attributes:
        train: glob of the files to learn from, relative to `data.images`, such as "train/*/*".
        eval: glob of the files that end a phase early, such as "val/*/*".
        test: glob of the files that the gate judges on, such as "test/*/*".
    """

    train: str
    eval: str
    test: str

    @field_validator("train", "eval", "test")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        if "{split}" in pattern:
            raise ValueError("must not have {split}: the pattern is of one split; data.pattern may have it")
        return class_folder_pattern(pattern)

    @model_validator(mode="after")
    def _are_distinct(self) -> Self:
        patterns = [self.train, self.eval, self.test]
        if len(set(patterns)) < len(patterns):
            raise ValueError("two splits have the same pattern, so they would share their photographs")
        return self


class ManifestSettings(Settings):
    """A table with a row per photograph: CSV, or JSON lines.

    Attributes:
        file: path of the table, `.csv` or `.jsonl`, inside `data.images` (an archive or a bucket, too); or absolute.
        path: column that holds the path of the photograph, relative to `data.images`.
        label: column that holds its class.
        split: column that holds its split; a row without one is assigned by `data.splits`.
        group: column whose equal values stay in one split: a patient, a product, a burst.
        weight: column that holds the weight of the example, a number that is not negative.
        features: further columns that are kept with the example, to slice by.
    """

    file: Annotated[str, Field(pattern=r"(?i)\.(csv|jsonl)$")]
    path: str = "path"
    label: str = "label"
    split: str | None = None
    group: str | None = None
    weight: str | None = None
    features: FurtherFeatures = ()


class RecordSettings(Settings):
    """TFRecord files of `tf.Example`, and which feature means what.

    Attributes:
        pattern: glob of the record files inside `data.images`, compressed with gzip if they end in `.gz`; it may have
            the placeholders of `data.pattern`.
        image: feature with the encoded image, or with the raw pixels where `shape` is given.
        label: feature with the class, text or a whole number; not needed where the pattern has `{label}`.
        label_names: names of the classes 0, 1, 2 … where `label` is a number.
        shape: height, width and channels (1, 3 or 4) of raw pixels: bytes of uint8 in row-major order, or as many
            numbers from 0 to 255.
        split: feature with the split.
        group: feature whose equal values stay in one split.
        weight: feature with the weight of the example.
        features: further features that are kept with the example, to slice by.
    """

    pattern: str = "*.tfrecord*"
    image: str = "image"
    label: str | None = "label"
    label_names: Annotated[tuple[str, ...], Field(strict=False, min_length=2)] | None = None
    shape: Annotated[tuple[int, int, int], Field(strict=False)] | None = None
    split: str | None = None
    group: str | None = None
    weight: str | None = None
    features: FurtherFeatures = ()

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        return _pattern_inside(pattern)

    @field_validator("shape")
    @classmethod
    def _is_an_image(cls, shape: tuple[int, int, int] | None) -> tuple[int, int, int] | None:
        if shape is not None and (min(shape) < 1 or shape[2] not in (1, 3, 4)):
            raise ValueError("must be height, width and channels, all above 0, with 1, 3 or 4 channels")
        return shape

    @model_validator(mode="after")
    def _says_the_class(self) -> Self:
        if self.label is None and "{label}" not in self.pattern:
            raise ValueError("label is null, so the pattern must have {label}; otherwise nothing says the class")
        return self


class SpanWindow(Settings):
    """The newest arrivals of data.

    Attributes:
        last: how many spans, counted back from the newest that is there.
    """

    last: Annotated[int, Field(ge=1)]


class IngestionSettings(Settings):
    """The photographs, and how they become examples.

    Attributes:
        images: folder, archive (.zip, .tar, .tar.gz, …), s3:// or gs:// place of the photographs; relative to the
            configuration file. A path with {SPAN}, or with {YYYY}, {MM} and {DD}, names a folder or archive per span.
        span: which spans are read where `images` names them: "latest", a number or a date such as "2026-11-22", or the
            last n.
        pattern: glob of the photographs in it; the folder a file lies in names its class. {label}, {split} and {group}
            stand for a part of the path that says so, as in "{split}/{label}/**/*".
        manifest: a table of the photographs, in place of a pattern.
        records: TFRecord files of examples, in place of a pattern.
        splits: weights by which the examples are shared out, on a hash of each file's content or of its group.
        split_patterns: a glob for each split instead, where the photographs come already split.
        stratify: share out every class by itself, so that each split has its exact part of it. Then an added photograph
            may move others of its class; without it, none.
        near_duplicates: "together" keeps photographs that look the same in one split, unless their splits are given;
            "report" only lists them; "ignore" does not look for them.
        labels: the only classes there may be; a photograph of another is refused. null takes them as they come.
        background_rgb: what shows through transparent pixels: red, green and blue from 0 to 255.
        allow_animated: take the first frame of an animated image; otherwise such a file is refused.
        max_refused_fraction: the run fails if a greater share of the photographs cannot be used.
        max_image_pixels: photographs with more pixels (width times height) are refused, not decoded.
        max_image_bytes: larger files are refused, not read.
        max_image_seconds: photographs that take longer to check are refused.
    """

    images: str
    span: Literal["latest"] | int | str | SpanWindow | None = None
    pattern: str = "*/*"
    manifest: ManifestSettings | None = None
    records: RecordSettings | None = None
    splits: SplitWeights = SplitWeights()
    split_patterns: SplitPatterns | None = None
    stratify: bool = False
    near_duplicates: Literal["together", "report", "ignore"] = "together"
    labels: Annotated[tuple[str, ...], Field(strict=False, min_length=2)] | None = None
    background_rgb: Annotated[tuple[Colour, Colour, Colour], Field(strict=False)] = (255, 255, 255)
    allow_animated: bool = False
    max_refused_fraction: Annotated[float, Field(ge=0, le=1)] = 0.01
    max_image_pixels: Annotated[int, Field(ge=1)] = 100_000_000
    max_image_bytes: Annotated[int, Field(ge=1)] = 100_000_000
    max_image_seconds: Annotated[float, Field(gt=0)] = 60.0

    def to_json(self) -> str:
        """What `model_validate_json` reads back; defaults are left out, because some exclude one another if given."""
        return self.model_dump_json(include=set(IngestionSettings.model_fields), exclude_defaults=True)

    @field_validator("pattern")
    @classmethod
    def _is_a_pattern(cls, pattern: str) -> str:
        return class_folder_pattern(pattern)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        ways = {"pattern", "split_patterns", "manifest", "records"}
        given = sorted(key for key in ways & self.model_fields_set if getattr(self, key) is not None)
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are different ways to say where the photographs are; give one")
        if self.split_patterns is not None and {"splits", "stratify"} & self.model_fields_set:
            raise ValueError("split_patterns gives every photograph its split, so splits and stratify have no effect")
        return self

    def keys_without_effect(self) -> tuple[str, ...]:
        """Keys whose defaults mean nothing beside the others, so that they may not be given with them."""
        if self.split_patterns is not None:
            return ("pattern", "splits", "stratify")
        return ("pattern",) if self.manifest is not None or self.records is not None else ()

    @model_validator(mode="after")
    def _spans_make_sense(self) -> Self:
        _check_span(self.images, self.span)
        if self.manifest is not None and span_placeholders(self.images) and _is_absolute(self.manifest.file):
            raise ValueError("manifest.file must lie inside each span, so relative to images; it is absolute")
        return self


def class_folder_pattern(pattern: str) -> str:
    """The pattern itself, if it can name photographs and their classes.

    Raises:
        ValueError: it leaves the folder, has an unknown placeholder, or says nothing of classes.
    """
    if "/" not in pattern and "{label}" not in pattern:
        raise ValueError("must be class folder / file, such as '*/*' or '{label}/**/*'")
    return _pattern_inside(pattern)


def _pattern_inside(pattern: str) -> str:
    parts = pattern.split("/")
    if pattern.startswith("/") or ".." in parts:
        raise ValueError("must stay inside data.images: no leading '/', no '..'")
    if "" in parts:
        raise ValueError("must be class folder / file, such as '*/*'; it has an empty name in it")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("has '**' beside other characters; alone between slashes it stands for any number of folders")
    unknown = [name for name in re.findall(r"\{(\w+)\}", pattern) if name not in PLACEHOLDERS]
    if unknown:
        allowed = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise ValueError(f"has the unknown placeholder {{{unknown[0]}}}; allowed: {allowed}")
    return pattern


def _is_absolute(file: str) -> bool:
    return file.startswith("/") or "://" in file


def span_placeholders(images: str) -> tuple[str, ...]:
    """The placeholders of spans in `data.images`, each once: SPAN, or YYYY, MM and DD; none where it has no spans.

    Raises:
        ValueError: they do not name a span.
    """
    found = {name for name in re.findall(r"\{(\w+)\}", images)} & set(SPAN_PLACEHOLDERS)
    if found and found not in ({"SPAN"}, {"YYYY", "MM", "DD"}):
        given = " and ".join(f"{{{name}}}" for name in SPAN_PLACEHOLDERS if name in found)
        raise ValueError(f"images has {given}; a span is named by {{SPAN}} alone, or by {{YYYY}}, {{MM}} and {{DD}}")
    return tuple(name for name in SPAN_PLACEHOLDERS if name in found)


def _check_span(images: str, span: object) -> None:
    names = span_placeholders(images)
    if span is not None and not names:
        raise ValueError("span has no effect: images has no {SPAN}, and no {YYYY}, {MM} and {DD}")
    if span is None or span == "latest" or isinstance(span, SpanWindow):
        return
    if names == ("SPAN",) and not re.fullmatch(r"[0-9]+", str(span)):
        raise ValueError(f"span is {span!r}; with {{SPAN}} it must be latest, a whole number, or {{last: n}}")
    if len(names) > 1 and not _is_date(str(span)):
        raise ValueError(f"span is {span!r}; it must be latest, a date such as 2026-11-22, or {{last: n}}")


def _is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
