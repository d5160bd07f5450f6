"""When an ingestion is refused as a whole, and what the message says."""

from collections import Counter

import pytest

from components.image_example_gen.policy import enforce
from components.image_example_gen.quarantine import Account, Refused, add_up
from trainer.errors import ThawError

SPLITS = ("train", "eval", "test")


def account(num_refused: int = 0, labels: tuple[str, ...] = ("cats", "dogs")) -> Account:
    accepted = Counter({(split, label): 10 for split in SPLITS for label in labels})
    refused = [Refused(f"cats/{n:03}.png", "cats", "empty file", "0 bytes") for n in range(num_refused)]
    return Account(accepted, refused)


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
    with pytest.raises(ThawError, match=r"found the one class 'cats'; a classifier needs at least two"):
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
    lost = account(num_refused=0)
    lost.refused = [Refused("birds/1.png", "birds", "empty file", "0 bytes")]
    with pytest.raises(ThawError, match="birds"):
        enforce(lost, SPLITS, max_refused_fraction=0.5)


def test_accounts_add_up_in_whatever_order() -> None:
    parts = [account(num_refused=2), Account(refused=[Refused("a/1.png", "a", "unreadable", "x")]), account()]
    total, other = add_up(parts), add_up(reversed(parts))
    assert total == other
    assert total.num_accepted == 120
    assert [item.path for item in total.refused] == ["a/1.png", "cats/000.png", "cats/001.png"]
    assert total.num_by_reason() == {"empty file": 2, "unreadable": 1}
    assert total.num_by_split()["eval"] == {"cats": 20, "dogs": 20}
    assert total.refused_fraction == pytest.approx(3 / 123)
