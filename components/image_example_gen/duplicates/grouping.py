"""From pairs of photographs to groups that stay together."""

from collections.abc import Iterable

from components.image_example_gen.duplicates.pairs import Pair


def components_of(pairs: Iterable[Pair]) -> dict[str, str]:
    """The connected components of the pairs: path to the component's representative, its smallest path.

    Photographs that are in no pair are not in it. Whatever the order of the pairs, the result is the same.

    Components chain: if A looks like B and B like C, all three are one, even where A and C differ by more than any pair
    may. So a film's frames, or the same scene under slowly changing light, can become one large component, which then
    lies in one split as a whole. That is on the safe side of leakage, but it can upset the balance of the splits; the
    size of the largest component is worth a look.
    """
    parents: dict[str, str] = {}
    for pair in pairs:
        first, second = sorted((_root(pair.first, parents), _root(pair.second, parents)))
        parents[second] = first
    return {path: _root(path, parents) for path in sorted(parents)}


def _root(path: str, parents: dict[str, str]) -> str:
    """The smallest path of the component so far; shortens the way there for later calls."""
    parents.setdefault(path, path)
    while parents[path] != path:
        parents[path] = parents[parents[path]]
        path = parents[path]
    return path
