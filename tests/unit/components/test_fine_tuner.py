"""Where FineTuner keeps what a killed training goes on with."""

from pathlib import Path
from typing import Any

import pytest
from tfx import types
from tfx.types import standard_artifacts

from components.fine_tuner import cache_place
from components.fine_tuner.cache_place import CachePlace
from components.fine_tuner.component import FineTuner
from components.fine_tuner.executor import CheckpointPlaces, checkpoint_places, job_file
from trainer.activation_cache.store import Store
from trainer.errors import ThawError
from trainer.settings import ModelSettings

pytestmark = pytest.mark.slow  # TFX takes half a minute to import


def folder_of(root: str, execution: int, examples: str = "examples/7", **properties: Any) -> str | None:
    """Of an attempt: TFX gives each an execution of its own, and outputs named by it."""
    return places_of(root, execution, (), examples, **properties).folder


def places_of(
    root: str, execution: int, flags: tuple[str, ...], examples: str = "examples/7", **properties: Any
) -> CheckpointPlaces:
    inputs, record = standard_artifacts.Examples(), standard_artifacts.ModelRun()
    inputs.uri = f"{root}/Transform/{examples}"
    record.uri = f"{root}/FineTuner/training_record/{execution}"
    return checkpoint_places(
        {"examples": [inputs]},
        {"training_record": [record]},
        {"model_settings": "{}", "code_digest": "1", **properties},
        flags,
    )


def test_all_attempts_at_one_training_share_a_folder(tmp_path: Path) -> None:
    first = folder_of(str(tmp_path), 8)
    assert first == folder_of(str(tmp_path), 9)
    assert Path(str(first)).is_relative_to(tmp_path / "FineTuner")


@pytest.mark.parametrize(
    "changes", [{"examples": "examples/8"}, {"model_settings": "{1}"}, {"code_digest": "2"}], ids=str
)
def test_a_training_of_other_data_settings_or_code_has_another(changes: dict[str, str], tmp_path: Path) -> None:
    assert folder_of(str(tmp_path), 8) != folder_of(str(tmp_path), 8, **changes)


def test_without_a_mounted_file_system_there_is_none_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert folder_of("gs://bucket/pipeline", 8) is None
    assert "a training that is killed begins anew" in caplog.text


def test_where_disks_do_not_outlive_the_pod_a_store_keeps_copies_beside_the_outputs(tmp_path: Path) -> None:
    first, second = (places_of(str(tmp_path), 8 + n, ("--task_uri=s3://b/run/FineTuner",)) for n in range(2))
    assert first == second
    assert str(first.store).startswith("s3://b/run/FineTuner/.system/checkpoints/")
    assert Path(str(first.store)).name == Path(str(first.folder)).name


@pytest.mark.parametrize("stated", ["s3://other/checkpoints", "/mnt/checkpoints", "none"])
def test_checkpoints_lie_where_the_configuration_says(stated: str, tmp_path: Path) -> None:
    found = places_of(str(tmp_path), 8, ("--task_uri=s3://b/run/FineTuner", f"--checkpoints={stated}"))
    if stated == "none":
        assert found == CheckpointPlaces(None)
    elif stated.startswith("/"):
        assert Path(str(found.folder)).parent == Path(stated) and found.store is None
    else:
        assert str(found.store).startswith(f"{stated}/")


def test_other_machines_find_the_job_in_one_place(tmp_path: Path) -> None:
    """`thaw worker` knows the root alone."""
    expected = tmp_path / "artifacts" / "FineTuner" / ".system" / "worker_job.json"
    assert job_file(str(tmp_path / "artifacts" / "FineTuner" / "training_record" / "9")) == expected


def test_several_machines_need_a_mounted_file_system() -> None:
    with pytest.raises(ThawError, match=r"TF_CONFIG names several machines, .*outputs go to gs://bucket"):
        job_file("gs://bucket/pipeline/FineTuner/training_record/9")


def properties_of(**changes: Any) -> dict[str, Any]:
    values = {"backbone": "small_cnn", "weights": "none", "image_size_px": 8, **changes}
    examples, graph = (
        types.Channel(type=kind) for kind in (standard_artifacts.Examples, standard_artifacts.TransformGraph)
    )
    return dict(FineTuner(examples, graph, ModelSettings(**values)).exec_properties)


def test_how_the_cache_is_used_is_no_reason_to_train_anew() -> None:
    assert properties_of(cache="off") == properties_of(cache="require") == properties_of()
    assert properties_of(cache_dtype="float16") != properties_of()


def test_the_place_of_the_cache_goes_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place = CachePlace("require", str(tmp_path / "Ordner ü"), 0.5)
    for name, value in place.to_environment().items():
        monkeypatch.setenv(name, value)
    assert cache_place.from_environment() == place
    assert place.store() == Store(tmp_path / "Ordner ü", 2**29)
    monkeypatch.delenv(cache_place.VARIABLE)
    assert not isinstance(cache_place.from_environment().store(), Store)
