"""Spans: one arrival of data after the other, each in a folder or archive that its number or date names.

A rolling window of the last n reads what is there where fewer than n spans are; the listing says which were read.
"""

import datetime
import itertools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from components.image_example_gen.settings import SPAN_PLACEHOLDERS, SpanWindow
from components.image_example_gen.sources import buckets
from components.image_example_gen.sources.entry import Entry, Listing, Photograph, Source
from components.image_example_gen.sources.listing import listing_of
from components.image_example_gen.sources.stores import is_archive, joined
from trainer.errors import ThawError

_NUM_NEAREST = 3
_FORMS = {"SPAN": "[0-9]+", "YYYY": "[0-9]{4}", "MM": "[0-9]{2}", "DD": "[0-9]{2}"}


@dataclass(frozen=True, order=True)
class Span:
    """An arrival of data.

    Attributes:
        number: the span's number; for a date, the days since the year 1.
        text: "7", or "2026-11-22".
        name: of its folder or archive, relative to what has no placeholder: "span-007".
    """

    number: int
    text: str
    name: str


@dataclass(frozen=True)
class SpanTemplate:
    """A place with placeholders, such as "photos/{YYYY}-{MM}-{DD}" or "s3://bucket/span-{SPAN}.zip"."""

    images: str

    @property
    def base(self) -> str:
        """What comes before the first name with a placeholder."""
        parts = self.images.split("/")
        return "/".join(parts[: self._first()]) or "/"

    def place(self, span: Span) -> str:
        """Where the photographs of a span lie."""
        return joined(self.base, span.name)

    def holds(self, path: str) -> bool:
        """Whether a path is, or lies in, the place of a span."""
        parts = path.split("/")
        first, depth = self._first(), len(self.images.split("/"))
        matched = re.fullmatch("/".join(self._expressions()), "/".join(parts[first:depth]))
        return "/".join(parts[:first]) == "/".join(self.images.split("/")[:first]) and matched is not None

    def spans(self) -> list[Span]:
        """The spans that are there, oldest first.

        Raises:
            ThawError: there are none, two have the same number, or a name is no date.
        """
        found = sorted(self._span(name) for name in self._names())
        for one, other in itertools.pairwise(found):
            if one.number == other.number:
                raise ThawError(
                    f"{one.name!r} and {other.name!r} in {self.base!r} are the same span; rename one of them"
                )
        if not found:
            raise ThawError(f"no span in {self.base!r} matches {self._rest()!r}; set data.images to where spans arrive")
        return found

    def _first(self) -> int:
        return next(i for i, part in enumerate(self.images.split("/")) if _placeholders(part))

    def _rest(self) -> str:
        return "/".join(self.images.split("/")[self._first() :])

    def _expressions(self) -> list[str]:
        """A regular expression for each name from the first with a placeholder on; they belong together."""
        seen: set[str] = set()
        return [_expression(part, seen) for part in self._rest().split("/")]

    def _names(self) -> list[str]:
        expressions = self._expressions()
        names = [""]
        for depth in range(len(expressions)):
            so_far = re.compile("/".join(expressions[: depth + 1]), re.DOTALL)
            is_last = depth + 1 == len(expressions)
            below = [(name, *item) for name in names for item in _inside(joined(self.base, name).rstrip("/") or "/")]
            candidates = [(f"{name}/{item}".lstrip("/"), is_folder) for name, item, is_folder in below]
            names = [path for path, is_folder in candidates if is_folder is not (is_last and is_archive(self.images))]
            names = [path for path in names if so_far.fullmatch(path)]
        return names

    def _span(self, name: str) -> Span:
        matched = re.fullmatch("/".join(self._expressions()), name, re.DOTALL)
        assert matched is not None
        said = matched.groupdict()
        if "SPAN" in said:
            return Span(int(said["SPAN"]), str(int(said["SPAN"])), name)
        text = f"{said['YYYY']}-{said['MM']}-{said['DD']}"
        try:
            return Span(datetime.date.fromisoformat(text).toordinal(), text, name)
        except ValueError:
            raise ThawError(f"{name!r} in {self.base!r} stands for {text}, which is no date; rename it") from None


def chosen_spans(template: SpanTemplate, wanted: str | int | SpanWindow | None) -> list[Span]:
    """The spans that are to be read, oldest first.

    Raises:
        ThawError: the one that is wanted is not there; the message lists the nearest.
    """
    found = template.spans()
    if wanted is None or wanted == "latest":
        return found[-1:]
    if isinstance(wanted, SpanWindow):
        return found[-wanted.last :]
    number = datetime.date.fromisoformat(wanted).toordinal() if "-" in str(wanted) else int(wanted)  # type: ignore[arg-type]
    chosen = [span for span in found if span.number == number]
    if not chosen:
        nearest = sorted(sorted(found, key=lambda span: abs(span.number - number))[:_NUM_NEAREST])
        names = ", ".join(span.text for span in nearest)
        raise ThawError(
            f"there is no span {wanted} in {template.base!r}; nearest: {names}; set data.span to one of them"
        )
    return chosen


@dataclass(frozen=True)
class SpanSource:
    """The photographs of one or several spans. Their paths begin with the name of their span.

    Attributes:
        template: where spans lie.
        wanted: which are read, as `data.span` says it.
        open_place: the source of the photographs in one place; can be pickled.
    """

    template: SpanTemplate
    wanted: str | int | SpanWindow | None
    open_place: Callable[[str], Source]
    _opened: dict[str, Source] = field(default_factory=dict, compare=False, repr=False)

    def list_entries(self) -> Listing:
        spans = chosen_spans(self.template, self.wanted)
        listings = [(span.name, self._source(span.name).list_entries()) for span in spans]
        return listing_of(
            [_inside_span(name, entry) for name, listing in listings for entry in listing.entries],
            [
                replace(rejected, path=f"{name}/{rejected.path}")
                for name, listing in listings
                for rejected in listing.rejected
            ],
            [f"{name}/{path}" for name, listing in listings for path in listing.ignored],
            spans=tuple(span.text for span in spans),
        )

    def read(self, entry: Entry, max_bytes: int) -> Photograph:
        name = str(entry.place[0])
        inside = replace(entry, path=entry.path.removeprefix(f"{name}/"), place=entry.place[1:])
        photograph = self._source(name).read(inside, max_bytes)
        filled = replace(photograph.entry, path=entry.path, place=entry.place)
        return Photograph(filled, photograph.content)

    def _source(self, name: str) -> Source:
        # setdefault: of two threads that open the same span at once, both go on with the same source.
        return self._opened.get(name) or self._opened.setdefault(
            name, self.open_place(joined(self.template.base, name))
        )


def _inside_span(name: str, entry: Entry) -> Entry:
    return replace(entry, path=f"{name}/{entry.path}", place=(name, *entry.place))


def _placeholders(part: str) -> list[str]:
    return [name for name in re.findall(r"\{(\w+)\}", part) if name in SPAN_PLACEHOLDERS]


def _expression(part: str, seen: set[str]) -> str:
    pieces = []
    for token in re.findall(r"\{\w+\}|.", part, re.DOTALL):
        name = token.strip("{}")
        if len(token) == 1 or name not in SPAN_PLACEHOLDERS:
            pieces.append(re.escape(token))
        else:
            pieces.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_FORMS[name]})")
            seen.add(name)
    return "".join(pieces)


def _inside(place: str) -> list[tuple[str, bool]]:
    """What lies directly in a place: (name, whether it is a folder)."""
    if buckets.is_in_bucket(place):
        return buckets.list_names(place)
    try:
        with os.scandir(place) as items:
            return [(item.name, item.is_dir()) for item in items]
    except OSError as error:
        raise ThawError(f"cannot list {place!r}, where spans should lie: {error.strerror}") from None
