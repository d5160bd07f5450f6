"""Reading the text of a manifest: rows of named values, from CSV or JSON lines."""

import csv
import difflib
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.image_example_gen.sources.entry import Value
from trainer.errors import ThawError

Cell = str | int | float | None

_INT = re.compile(r"-?(0|[1-9][0-9]{0,18})")  # "007" is a name, not a number
_FLOAT = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"-?0[0-9]")
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        line: where it ends in the file, from 1.
        values: of each column that was asked for; None where there is none.
        problem: why it cannot be used; "" where it can.
    """

    line: int
    values: dict[str, Cell]
    problem: str = ""


def read_table(name: str, content: bytes, columns: Sequence[str]) -> list[Row]:
    """Reads the columns that are asked for.

    Args:
        name: of the file; CSV or JSON lines by its ending.
        content: UTF-8 text, with a byte order mark or without.
        columns: the columns that must be there.

    Raises:
        ThawError: it is no such text, or a column is missing from all of it.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ThawError(f"the manifest {name!r} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    rows = _read_csv(name, text, columns) if name.lower().endswith(".csv") else _read_json_lines(name, text, columns)
    if not rows:
        raise ThawError(f"the manifest {name!r} has no rows; data.manifest.file must have one per photograph")
    return rows


def typed_column(cells: Iterable[Cell]) -> list[Value | None]:
    """The values of a column, all of one type: int if every one is, else float if every one is a number, else text.

    Text that reads as a number counts as one, unless it begins with zeros as identifiers do. Empty cells have no type.
    """
    values = [None if cell is None or cell == "" else cell for cell in cells]
    present = [value for value in values if value is not None]
    if all(_as_int(value) is not None for value in present):
        return [None if value is None else _as_int(value) for value in values]
    if all(_as_float(value) is not None for value in present):
        return [None if value is None else _as_float(value) for value in values]
    return [None if value is None else str(value) for value in values]


def _read_csv(name: str, text: str, columns: Sequence[str]) -> list[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    try:
        header = next(reader, [])
        _check_header(name, header, columns)
        for fields in reader:
            if fields:
                rows.append(_csv_row(reader.line_num, fields, header, columns))
    except csv.Error as error:
        raise ThawError(f"the manifest {name!r} is not CSV from line {reader.line_num} on: {error}") from None
    return rows


def _csv_row(line: int, fields: list[str], header: list[str], columns: Sequence[str]) -> Row:
    problem = "" if len(fields) == len(header) else f"{len(fields)} fields where the header has {len(header)}"
    by_name = dict(zip(header, fields, strict=False))
    return Row(line, {column: by_name.get(column) for column in columns}, problem)


def _check_header(name: str, header: list[str], columns: Sequence[str]) -> None:
    for column in columns:
        if column not in header:
            raise ThawError(f"no column {column!r} in the manifest {name!r}; {_nearest(column, header)}")
        if header.count(column) > 1:
            raise ThawError(f"the manifest {name!r} has the column {column!r} twice; rename one of them")


def _nearest(column: str, names: Sequence[str]) -> str:
    if not names:
        return "it is empty; the first line must name the columns"
    near = difflib.get_close_matches(column.lower(), [name.lower().strip() for name in names], n=1, cutoff=0.5)
    hint = next((f"nearest: {name!r}; " for name in names if near and name.lower().strip() == near[0]), "")
    separator = next((mark for mark in (";", "\t") if len(names) == 1 and mark in names[0]), None)
    if separator:
        hint = f"the columns seem to be separated by {separator!r}, but only commas are read; "
    return f"{hint}there are: {', '.join(repr(name) for name in names[:20])}"


def _read_json_lines(name: str, text: str, columns: Sequence[str]) -> list[Row]:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    rows, keys = [], dict[str, None]()
    for number, line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            rows.append(Row(number, dict.fromkeys(columns), f"not JSON: {error}"))
            continue
        if isinstance(found, dict):
            keys.update(dict.fromkeys(found))
        rows.append(_json_row(number, found, columns))
    for column in columns:
        if keys and column not in keys:
            raise ThawError(f"no key {column!r} in the manifest {name!r}; {_nearest(column, list(keys))}")
    return rows


def _json_row(number: int, found: object, columns: Sequence[str]) -> Row:
    if not isinstance(found, dict):
        return Row(number, dict.fromkeys(columns), "not a JSON object")
    values: dict[str, Cell] = {}
    problem = ""
    for column in columns:
        value = found.get(column)
        if isinstance(value, bool):
            value = "true" if value else "false"
        if value is None or isinstance(value, str | int | float):
            values[column] = value
        else:
            values[column], problem = None, f"{column!r} is a {type(value).__name__}; text or a number is needed"
    return Row(number, values, problem)


def _as_int(value: Cell) -> int | None:
    if isinstance(value, str):
        value = int(value) if _INT.fullmatch(value) else None
    return value if isinstance(value, int) and value in _INT64 else None


def _as_float(value: Cell) -> float | None:
    if isinstance(value, str):
        value = float(value) if _FLOAT.fullmatch(value) and not _LEADING_ZERO.match(value) else None
    try:
        number = None if value is None else float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if number is not None and math.isfinite(number) else None
