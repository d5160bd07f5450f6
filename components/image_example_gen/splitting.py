"""Which split a photograph belongs to.

What belongs together stays together: equal files, photographs of one group, and near-duplicates where they were looked
for. Such a set is assigned by the smallest digest in it, so the assignment is a function of contents and groups alone,
and adding files moves no other photograph, save those that look like the new ones or share their group.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from components.image_example_gen.duplicates.grouping import join, root_of
from components.image_example_gen.facts import Facts

SPLITS = ("train", "eval", "test")


@dataclass(frozen=True)
class SplitShare:
    """A split and its share of the hash buckets."""

    name: str
    num_buckets: int


def split_of(digest: bytes, shares: Sequence[SplitShare]) -> str:
    """Assigns a split.

    Args:
        digest: of a content or a group, at least 8 bytes.
        shares: the splits, in order; their bucket counts add up to the number of buckets.

    Returns:
        Name of the split.
    """
    return _split_at(int.from_bytes(digest[:8], "big") % _num_buckets(shares), shares)


def assign(
    photographs: Sequence[Facts], shares: Sequence[SplitShare], alike: Mapping[str, str], *, stratify: bool
) -> dict[str, str]:
    """The split of every photograph.

    A given split is kept. A photograph without one goes where those that belong with it were given, and else to the
    split of their smallest digest.

    Args:
        photographs: all that were accepted.
        shares: the splits and their parts.
        alike: path to the representative of its near-duplicates; a photograph without any may be left out.
        stratify: share out every class by itself, in the order of the digests, so that each split has its exact part.

    Returns:
        Split by path.
    """
    sets = _sets_that_belong_together(photographs, alike)
    assigned = _by_class(sets, shares) if stratify else [_of_set(members, shares) for members in sets]
    return {
        member.path: member.split or split for members, split in zip(sets, assigned, strict=True) for member in members
    }


def _sets_that_belong_together(photographs: Sequence[Facts], alike: Mapping[str, str]) -> list[list[Facts]]:
    parents: dict[str, str] = {}
    for photograph in photographs:
        for other in _belongs_with(photograph, alike):
            join(f"path {photograph.path}", other, parents)
    sets: defaultdict[str, list[Facts]] = defaultdict(list)
    for photograph in photographs:
        sets[root_of(f"path {photograph.path}", parents)].append(photograph)
    return sorted(sets.values(), key=_digest)


def _belongs_with(photograph: Facts, alike: Mapping[str, str]) -> Iterable[str]:
    yield f"content {photograph.content_sha256}"
    if photograph.group is not None:
        yield f"group {photograph.group}"
    if photograph.path in alike:
        yield f"path {alike[photograph.path]}"


def _digest(members: Sequence[Facts]) -> bytes:
    """The smallest digest of a set; a group's name takes the place of the contents in it."""
    return min(
        bytes.fromhex(member.content_sha256)
        if member.group is None
        else hashlib.sha256(member.group.encode(errors="surrogateescape")).digest()
        for member in members
    )


def _of_set(members: Sequence[Facts], shares: Sequence[SplitShare]) -> str:
    return _given(members) or split_of(_digest(members), shares)


def _given(members: Sequence[Facts]) -> str | None:
    """The split that members of a set were given: the first of train, eval, test if there are several."""
    given = {member.split for member in members}
    return next((split for split in SPLITS if split in given), None)


def _by_class(sets: Sequence[Sequence[Facts]], shares: Sequence[SplitShare]) -> list[str]:
    """Fills the splits of each class up evenly; a set counts for the class of its first member."""
    num_seen: Counter[tuple[str, str]] = Counter()
    assigned = []
    for members in sets:
        label = min(member.label for member in members)
        split = _given(members) or _most_wanting(num_seen, label, shares)
        num_seen[label, split] += len(members)
        assigned.append(split)
    return assigned


def _most_wanting(num_seen: Mapping[tuple[str, str], int], label: str, shares: Sequence[SplitShare]) -> str:
    """The split that is furthest behind its part; of equals, the first."""
    return min(shares, key=lambda share: (num_seen[label, share.name] + 0.5) / share.num_buckets).name


def _num_buckets(shares: Sequence[SplitShare]) -> int:
    return sum(share.num_buckets for share in shares)


def _split_at(bucket: int, shares: Sequence[SplitShare]) -> str:
    for share in shares:
        if bucket < share.num_buckets:
            return share.name
        bucket -= share.num_buckets
    raise AssertionError("buckets do not add up")
