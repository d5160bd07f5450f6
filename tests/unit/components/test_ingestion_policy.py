"""When an ingestion is refused as a whole, and what the message says."""

from collections import Counter
from dataclasses import replace

import pytest

from components.image_example_gen import policy
from components.image_example_gen.quarantine import Account, Duplicate
from components.image_example_gen.refusals import Reason
from components.image_example_gen.settings import IngestionSettings
from components.image_example_gen.sources.entry import Rejected
from trainer.errors import ThawError

SPLITS = ("train", "eval", "test")


def account(num_refused: int = 0, labels: tuple[str, ...] = ("cats", "dogs")) -> Account:
    accepted = Counter({(split, label): 10 for split in SPLITS for label in labels})
    return Account(accepted, tuple(rejected(f"cats/{n:03}.png", "cats") for n in range(num_refused)))


def rejected(path: str, label: str, reason: Reason = Reason.EMPTY_FILE) -> Rejected:
    return Rejected(path, label, reason, "0 bytes")


def enforce(
    found: Account, splits: tuple[str, ...], max_refused_fraction: float, labels: tuple[str, ...] | None = None
) -> None:
    settings = IngestionSettings(images="/nowhere", max_refused_fraction=max_refused_fraction, labels=labels)
    policy.enforce(found, splits, settings)


def test_a_sound_ingestion_passes() -> None:
    enforce(account(), SPLITS, max_refused_fraction=0.0)


def test_refused_files_up_to_the_limit_pass_and_one_more_does_not() -> None:
    enforce(account(num_refused=20), SPLITS, max_refused_fraction=0.25)
    with pytest.raises(ThawError, match=r"21 of 81 files were refused \(25.93%: 21 empty file\).*\(25.00%\)"):
        enforce(account(num_refused=21), SPLITS, max_refused_fraction=0.25)


def test_the_message_shows_the_first_refused_files_and_counts_the_others() -> None:
    with pytest.raises(ThawError) as raised:
        enforce(account(num_refused=12), SPLITS, max_refused_fraction=0.0)
    lines = str(raised.value).splitlines()
    assert lines[1] == "  cats/000.png: empty file (0 bytes)"
    assert len(lines) == 12
    assert lines[-1] == "  … and 2 more"


def test_one_class_is_refused_by_name() -> None:
    with pytest.raises(ThawError, match=r"found the one class 'cats'; a classifier needs at least two classes"):
        enforce(account(labels=("cats",)), SPLITS, 0.01)


def test_no_class_is_refused() -> None:
    with pytest.raises(ThawError, match="found no class at all"):
        enforce(Account(), SPLITS, 0.01)


def test_a_class_that_a_split_lacks_is_refused_by_name() -> None:
    lacking = account()
    del lacking.accepted["eval", "dogs"]
    with pytest.raises(
        ThawError, match=r"no examples of class 'dogs' in eval; every class needs images in every split"
    ):
        enforce(lacking, SPLITS, 0.01)


def test_a_class_of_which_every_file_was_refused_is_refused_by_name() -> None:
    lost = replace(account(), refused=(rejected("birds/1.png", "birds"),))
    with pytest.raises(ThawError, match="birds"):
        enforce(lost, SPLITS, max_refused_fraction=0.5)


def test_a_fixed_class_that_nothing_belongs_to_is_refused_by_name() -> None:
    with pytest.raises(ThawError, match="'birds' in train"):
        enforce(account(), SPLITS, 0.01, labels=("birds", "cats", "dogs"))


def test_refusals_are_counted_by_reason_and_class() -> None:
    found = replace(
        account(num_refused=2),
        refused=(rejected("a", "cats"), rejected("b", "dogs"), rejected("c", "", Reason.NO_LABEL)),
    )
    assert found.num_by_reason() == {"empty file": 2, "no label": 1}
    assert found.num_by_reason_and_label() == {"empty file": {"cats": 1, "dogs": 1}, "no label": {"": 1}}


def duplicate(splits: tuple[str, str] = ("train", "train"), labels: tuple[str, str] = ("cats", "cats")) -> Duplicate:
    return Duplicate("cats/1.png", "cats/2.png", "near", *splits, *labels)


def test_duplicates_across_splits_and_with_two_classes_are_warned_of() -> None:
    assert not list(policy.warnings(replace(account(), duplicates=(duplicate(),))))
    (words,) = policy.warnings(replace(account(), duplicates=(duplicate(splits=("train", "test")),)))
    assert words.startswith("1 pair of photographs that are equal or look alike lie in different splits")
    assert "cats/1.png (train) and cats/2.png (test)" in words
    (words,) = policy.warnings(replace(account(), duplicates=(duplicate(labels=("cats", "dogs")),) * 5))
    assert words.startswith("5 pairs of photographs that are equal or look alike have different classes")
    assert words.endswith("and 2 more")


def test_a_split_whose_classes_are_not_those_of_the_others_is_warned_of() -> None:
    counts = {("train", "cats"): 700, ("train", "dogs"): 700, ("test", "cats"): 50, ("test", "dogs"): 150}
    (train, test) = policy.warnings(Account(Counter(counts)))
    assert "the classes of the split test are not those of the others" in test
    assert "data.stratify" in train
    counts["test", "cats"] = 140
    assert not list(policy.warnings(Account(Counter(counts))))
