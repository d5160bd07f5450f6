"""Which split an image goes to follows from its content alone."""

import hashlib
from collections import Counter

import pytest

from components.image_example_gen.splitting import SplitShare, split_of

SHARES = (SplitShare("train", 70), SplitShare("eval", 15), SplitShare("test", 15))


def digest(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def test_the_shares_of_the_splits_are_those_asked_for() -> None:
    counts = Counter(split_of(digest(number), SHARES) for number in range(10_000))
    assert counts["train"] == pytest.approx(7000, abs=200)
    assert counts["eval"] == pytest.approx(1500, abs=150)
    assert counts["test"] == pytest.approx(1500, abs=150)


def test_a_content_keeps_its_split_from_release_to_release() -> None:
    """Written down: a change would move examples from train to test of models that are in production."""
    found = [split_of(digest(number), SHARES) for number in range(12)]
    expected = "train train train train train eval train train test train train train"
    assert " ".join(found) == expected


@pytest.mark.parametrize(
    ("bucket", "split"), [(0, "train"), (69, "train"), (70, "eval"), (84, "eval"), (85, "test"), (99, "test")]
)
def test_buckets_go_to_the_splits_in_their_order(bucket: int, split: str) -> None:
    content = (100 * 12345 + bucket).to_bytes(8, "big") + bytes(24)
    assert split_of(content, SHARES) == split
