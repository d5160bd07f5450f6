"""Templates to pages that need nothing else: pictures inside, no script, nothing from elsewhere, all text escaped."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

_SHARED = Path(__file__).parent / "templates"
_JPEG_MAGIC = b"\xff\xd8"


def render(folder: Path, template: str, values: Mapping[str, Any]) -> str:
    """A page, as HTML that can be encoded in UTF-8.

    Args:
        folder: of the templates; they may extend and import the shared ones (`base.html.j2`).
        template: name of the page's template.
        values: what it shows.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _SHARED]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters.update(data_url=data_url, thousands=lambda number: f"{number:,}")
    return environment.get_template(template).render(values)


def data_url(picture: bytes) -> Markup:
    """A PNG or JPEG as an address that holds it; ready for HTML, so that nobody looks for odd characters in it."""
    kind = "jpeg" if picture.startswith(_JPEG_MAGIC) else "png"
    return Markup(f"data:image/{kind};base64,{base64.b64encode(picture).decode()}")


def printable(text: str) -> str:
    """The text with what cannot be shown (line ends, control characters, bytes that are no text) as a sign."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
