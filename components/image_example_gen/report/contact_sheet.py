"""A contact sheet: photographs in a grid under titles, as one picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.image_example_gen.report.content import Tone
from components.pages.rendering import printable

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

TILE_SIZE_PX = 144
NUM_COLUMNS = 8
_GAP_PX, _MARGIN_PX, _CAPTION_PX, _TITLE_PX = 12, 28, 20, 40
_CAPTION_SIZE, _TITLE_SIZE = 12, 18
_NUM_NOTE_LINES = 6
_PAPER, _INK, _FAINT, _FRAME = (255, 255, 255), (28, 30, 33), (105, 110, 118), (222, 224, 228)
_REFUSED_INK, _REFUSED_PAPER = (163, 29, 29), (253, 240, 238)


@dataclass(frozen=True)
class Tile:
    """One photograph of the sheet.

    Attributes:
        caption: a line under it, shortened in the middle where it is too long.
        pixels: uint8 [height, width, 3] of any size; None where it cannot be shown.
        tone: "refused" for what did not become an example.
        note: said in place of the photograph where it cannot be shown.
    """

    caption: str
    pixels: NDArray[np.uint8] | None
    tone: Tone = "plain"
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Tiles under a title."""

    title: str
    items: Sequence[Tile]


def contact_sheet_png(sections: Sequence[Section]) -> bytes:
    """The sheet as a PNG file."""
    buffer = io.BytesIO()
    contact_sheet(sections).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def contact_sheet(sections: Sequence[Section]) -> "Image.Image":
    """Draws the sections one under the other, each a grid of 8 columns; one without tiles says so."""
    from PIL import Image, ImageDraw

    width = 2 * _MARGIN_PX + NUM_COLUMNS * (TILE_SIZE_PX + _GAP_PX) - _GAP_PX
    height = 2 * _MARGIN_PX + sum(_height_px(section) for section in sections)
    sheet = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    top = _MARGIN_PX
    for section in sections:
        _draw_section(sheet, draw, section, top)
        top += _height_px(section)
    return sheet


def _height_px(section: Section) -> int:
    num_rows = -(-len(section.items) // NUM_COLUMNS)
    rows = num_rows * (TILE_SIZE_PX + _CAPTION_PX + _GAP_PX) if num_rows else _CAPTION_PX + _GAP_PX
    return _TITLE_PX + rows + _GAP_PX


def _draw_section(sheet: "Image.Image", draw: "ImageDraw.ImageDraw", section: Section, top: int) -> None:
    width = sheet.width - 2 * _MARGIN_PX
    title = shortened(section.title, _font(_TITLE_SIZE), width)
    draw.text((_MARGIN_PX, top), title, fill=_INK, font=_font(_TITLE_SIZE))
    draw.line([(_MARGIN_PX, top + 28), (_MARGIN_PX + width, top + 28)], fill=_FRAME)
    if not section.items:
        draw.text((_MARGIN_PX, top + _TITLE_PX), "none", fill=_FAINT, font=_font(_CAPTION_SIZE))
    for index, tile in enumerate(section.items):
        row, column = divmod(index, NUM_COLUMNS)
        x = _MARGIN_PX + column * (TILE_SIZE_PX + _GAP_PX)
        y = top + _TITLE_PX + row * (TILE_SIZE_PX + _CAPTION_PX + _GAP_PX)
        _draw_tile(sheet, draw, tile, x, y)


def _draw_tile(sheet: "Image.Image", draw: "ImageDraw.ImageDraw", tile: Tile, x: int, y: int) -> None:
    is_refused = tile.tone == "refused"
    frame = (x, y, x + TILE_SIZE_PX - 1, y + TILE_SIZE_PX - 1)
    draw.rectangle(frame, outline=_REFUSED_INK if is_refused else _FRAME, fill=_REFUSED_PAPER if is_refused else None)
    if tile.pixels is None:
        lines = wrapped(tile.note or "cannot be shown", _font(_CAPTION_SIZE), TILE_SIZE_PX - 16)[:_NUM_NOTE_LINES]
        text = "\n".join(lines)
        middle = (x + TILE_SIZE_PX // 2, y + TILE_SIZE_PX // 2)
        ink = _REFUSED_INK if is_refused else _FAINT
        draw.multiline_text(middle, text, fill=ink, font=_font(_CAPTION_SIZE), anchor="mm", align="center")
    else:
        picture = fitted(tile.pixels, TILE_SIZE_PX - 4)
        sheet.paste(picture, (x + (TILE_SIZE_PX - picture.width) // 2, y + (TILE_SIZE_PX - picture.height) // 2))
    caption = shortened(tile.caption, _font(_CAPTION_SIZE), TILE_SIZE_PX)
    draw.text(
        (x, y + TILE_SIZE_PX + 3), caption, fill=_REFUSED_INK if is_refused else _FAINT, font=_font(_CAPTION_SIZE)
    )


def fitted(pixels: NDArray[np.uint8], size_px: int) -> "Image.Image":
    """The photograph scaled so that its longer side is `size_px`; small ones are enlarged without smoothing."""
    from PIL import Image

    image = Image.fromarray(pixels)
    scale = size_px / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def shortened(text: str, font: "ImageFont.FreeTypeFont", width_px: float) -> str:
    """The text on one line, with its middle left out where it is too wide: the end of a path tells most."""
    line = printable(text)
    if font.getlength(line) <= width_px:
        return line
    for num_kept in range(len(line) - 1, 0, -1):
        head = num_kept // 3
        candidate = f"{line[:head]}…{line[len(line) - (num_kept - head) :]}"
        if font.getlength(candidate) <= width_px:
            return candidate
    return "…"


def wrapped(text: str, font: "ImageFont.FreeTypeFont", width_px: float) -> list[str]:
    """The text in lines that are not too wide; a word that is, is shortened."""
    lines: list[str] = []
    for word in printable(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width_px:
            lines[-1] = longer
        else:
            lines.append(shortened(word, font, width_px))
    return lines


@lru_cache(maxsize=4)
def _font(size: int) -> "ImageFont.FreeTypeFont":
    # matplotlib brings DejaVu Sans, which has most of the world's letters; Pillow's own font has Latin ones only.
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
