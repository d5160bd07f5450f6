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
        join(pair.first, pair.second, parents)
    return {path: root_of(path, parents) for path in sorted(parents)}


def join(first: str, second: str, parents: dict[str, str]) -> None:
    """Makes one component of those of two names; `parents`, empty at first, holds all components."""
    smaller, larger = sorted((root_of(first, parents), root_of(second, parents)))
    parents[larger] = smaller


def root_of(name: str, parents: dict[str, str]) -> str:
    """The smallest name of the component so far; shortens the way there for later calls."""
    parents.setdefault(name, name)
    while parents[name] != name:
        parents[name] = parents[parents[name]]
        name = parents[name]
    return name
