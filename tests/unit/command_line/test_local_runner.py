"""The local runner: Beam's options, and what went wrong in a component, in a user's words."""

import pytest

from pipeline.config import BeamSettings
from pipeline.local_runner import beam_arguments, in_words
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


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
def test_beam_runs_and_tfx_packs_no_source_for_remote_workers(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import apache_beam as beam
    from apache_beam.testing.util import assert_that, equal_to
    from tfx.utils import dependency_utils

    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: pytest.fail("packed"))
    num_workers = 2 if mode == "multi_processing" else 1
    arguments = beam_arguments(BeamSettings(direct_running_mode=mode, direct_num_workers=num_workers))
    flags = dependency_utils.make_beam_dependency_flags(arguments)
    with beam.Pipeline(argv=flags) as pipeline:
        total = pipeline | beam.Create([1, 2, 3]) | beam.combiners.Count.Globally()
        assert_that(total, equal_to([3]))
