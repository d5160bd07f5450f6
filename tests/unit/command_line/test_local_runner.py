"""The local runner: Beam's options, and what went wrong in a component, in a user's words."""

import re
import tempfile
from pathlib import Path

import pytest

from pipeline.config import BeamSettings
from pipeline.local import StepEvent
from trainer.errors import ThawError
from trainer.interruption import Interrupted

pytestmark = pytest.mark.slow  # TFX takes half a minute to import


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("Error when executing query: database or disk is full query: COMMIT;"),
    ],
    ids=["operating system", "metadata"],
)
def test_a_full_disk_is_told_in_words(error: Exception) -> None:
    from pipeline.local_runner import in_words

    told = in_words(error)
    assert isinstance(told, ThawError)
    assert "no space is left on the disk" in str(told)


def test_an_error_of_a_user_is_passed_on_and_a_defect_too() -> None:
    from pipeline.local_runner import in_words

    for error in (ThawError("no folder 'x'"), KeyError("label")):
        assert in_words(error) is error


@pytest.mark.parametrize("mode", ["in_memory", "multi_processing"])
def test_beam_fetches_no_runner_and_tfx_packs_no_source(
    mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import apache_beam as beam
    from apache_beam.runners.portability.prism_runner import PrismRunner
    from apache_beam.testing.util import assert_that, equal_to
    from tfx.utils import dependency_utils

    from pipeline.beam import beam_arguments

    monkeypatch.setattr(PrismRunner, "run_pipeline", lambda *_: pytest.fail("tried Prism"))
    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", lambda: pytest.fail("packed"))
    num_workers = 2 if mode == "multi_processing" else 1
    arguments = beam_arguments(BeamSettings(direct_running_mode=mode, direct_num_workers=num_workers))
    flags = dependency_utils.make_beam_dependency_flags(arguments)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with beam.Pipeline(argv=flags) as pipeline:
        total = pipeline | beam.Create([1, 2, 3]) | beam.combiners.Count.Globally()
        assert_that(total, equal_to([3]))
    assert not [*tmp_path.glob("beam-temp*")], "left behind"


@pytest.mark.parametrize(
    ("error", "state"), [(Interrupted("told to stop (SIGTERM)"), "interrupted"), (ThawError("no folder"), "failed")]
)
def test_a_component_that_was_told_to_stop_is_interrupted_and_one_that_fails_has_failed(
    error: ThawError, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml_metadata.proto import metadata_store_pb2
    from tfx.orchestration.local.local_dag_runner import LocalDagRunner
    from tfx.proto.orchestration import pipeline_pb2

    from pipeline.local_runner import ObservedRunner

    def stop(*_: object) -> None:
        raise error

    monkeypatch.setattr(LocalDagRunner, "run_with_ir", stop)
    graph = pipeline_pb2.Pipeline()
    graph.nodes.add().pipeline_node.node_info.id = "FineTuner"
    events: list[StepEvent] = []
    with pytest.raises(type(error), match=re.escape(str(error))):
        ObservedRunner(metadata_store_pb2.ConnectionConfig(), "run", events.append).run_with_ir(graph)
    assert [(event.name, event.state) for event in events] == [("FineTuner", "started"), ("FineTuner", state)]
