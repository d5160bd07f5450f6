"""What went wrong in a component, in a user's words."""

import pytest

from pipeline.local_runner import in_words
from trainer.errors import ThawError


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("Error when executing query: database or disk is full query: COMMIT;"),
    ],
    ids=["operating system", "metadata"],
)
def test_a_full_disk_is_told_in_words(error: Exception) -> None:
    told = in_words(error)
    assert isinstance(told, ThawError)
    assert "no space is left on the disk" in str(told)


@pytest.mark.slow
def test_an_error_of_a_user_is_passed_on_and_a_defect_too() -> None:
    for error in (ThawError("no folder 'x'"), KeyError("label")):
        assert in_words(error) is error
