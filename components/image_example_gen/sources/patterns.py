"""Globs with placeholders: which files are meant, and what their paths say."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from components.image_example_gen.settings import PLACEHOLDERS


@dataclass(frozen=True)
class PathPattern:
    """A glob relative to the store.

    `*` and `?` stand for characters of one name, `**` for any number of folders, also none, and `[abc]` for one of the
    characters. {label}, {split} and {group} stand for at least one character of a name, as few as can be; the second
    time, for the same ones.
    """

    text: str

    @cached_property
    def max_depth(self) -> int | None:
        """How many names a matching path has at most; None where there is no limit."""
        parts = self.text.split("/")
        return None if "**" in parts else len(parts)

    @cached_property
    def _regular_expression(self) -> re.Pattern[str]:
        parts = self.text.split("/")
        seen: set[str] = set()
        pieces = [_part(part, index == len(parts) - 1, seen) for index, part in enumerate(parts)]
        return re.compile("".join(pieces), re.DOTALL)

    def match(self, path: str) -> dict[str, str] | None:
        """What the placeholders stand for in a path; None where it does not match."""
        found = self._regular_expression.fullmatch(path)
        return None if found is None else found.groupdict()


def _part(part: str, is_last: bool, seen: set[str]) -> str:
    if part == "**":
        return "(?:[^/]+/)*[^/]+" if is_last else "(?:[^/]+/)*"
    return "".join(_tokens(part, seen)) + ("" if is_last else "/")


def _tokens(part: str, seen: set[str]) -> Iterator[str]:
    for token in re.findall(r"\{\w+\}|\[!?\]?[^\]]*\]|.", part, re.DOTALL):
        if token.strip("{}") in PLACEHOLDERS and len(token) > 1:
            yield _placeholder(token.strip("{}"), seen)
        elif len(token) > 2 and token.startswith("["):
            inside = token[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            yield f"(?!/)[{'^' + inside[1:] if inside.startswith('!') else inside}]"
        else:
            yield {"*": "[^/]*", "?": "[^/]"}.get(token, re.escape(token))


def _placeholder(name: str, seen: set[str]) -> str:
    if name in seen:
        return f"(?P={name})"
    seen.add(name)
    return f"(?P<{name}>[^/]+?)"
