"""Fails where trainer, components or pipeline would be imported from anywhere but our own folder.

Run while the image is built: the three packages are top-level, so that one dotted path is valid on
a laptop, in Beam workers and in the image; another distribution that brings the same name would
silently take its place.
"""

import importlib.metadata
import importlib.util
import pathlib
import sys

OUR_DISTRIBUTION = "thaw-pipeline"
OUR_NAMES = ("trainer", "components", "pipeline")


def foreign_owners(owners_by_name: dict[str, list[str]]) -> list[str]:
    """Complaints about other distributions that own one of our names.

    Args:
        owners_by_name: top-level import name to the distributions that bring it, as returned by
            importlib.metadata.packages_distributions.
    """
    return [
        f"the top-level name {name!r} also belongs to the distribution {owner!r}; remove that dependency"
        for name in OUR_NAMES
        for owner in sorted(set(owners_by_name.get(name, [])) - {OUR_DISTRIBUTION})
    ]


def misplaced(root: pathlib.Path) -> list[str]:
    """Complaints about names of ours that Python does not find below `root`."""
    complaints = []
    for name in OUR_NAMES:
        spec = importlib.util.find_spec(name)
        place = spec.origin if spec else None
        if place is None or not pathlib.Path(place).is_relative_to(root):
            complaints.append(f"{name!r} is imported from {place}, not from {root}")
    return complaints


def main() -> None:
    """Exits with the complaints, if there are any; the argument is the folder of our packages."""
    complaints = foreign_owners(dict(importlib.metadata.packages_distributions()))
    complaints += misplaced(pathlib.Path(sys.argv[1]).resolve())
    if complaints:
        sys.exit("\n".join(complaints))


if __name__ == "__main__":
    main()
