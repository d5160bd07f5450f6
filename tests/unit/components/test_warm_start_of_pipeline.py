"""What FineTuner begins with as models are pushed, and that the weights to begin with go the whole way to a version."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.fine_tuner.warm_start import SHA256_PROPERTY, checked_origin, properties_of, training_sha256
from components.gate.production import find_production, fingerprint, size_mib
from components.gate.release import write_release
from components.pusher.publish import publish
from tests.unit.components.gate_pages import content_of, three_classes
from trainer.errors import ThawError, WeightsError
from trainer.settings import ModelSettings
from trainer.warm_start import FOLDER

pytestmark = pytest.mark.slow

Export = Callable[..., Path]


def settings(**changes: Any) -> ModelSettings:
    return ModelSettings(**{"backbone": "small_cnn", "weights": "none", "image_size_px": 8, **changes})


@pytest.fixture(scope="module")
def exported(transform_graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real model without weights to begin with, to be copied."""
    from trainer.classifier import build_classifier
    from trainer.export import export

    folder = tmp_path_factory.mktemp("exported") / "model"
    export(build_classifier(settings(), num_classes=3), str(transform_graph), 8, str(folder))
    return folder


@pytest.fixture
def export_model(exported: Path, transform_graph: Path, tmp_path: Path) -> Export:
    """A model with weights to begin with, of a training that is told."""
    from trainer.classifier import build_classifier
    from trainer.transform_graph import read_labels
    from trainer.warm_start.card import save

    def make(name: str, training: str) -> Path:
        folder = Path(shutil.copytree(exported, tmp_path / name))
        model = build_classifier(settings(), num_classes=3)
        save(model, settings(), read_labels(str(transform_graph)), folder, training)
        return folder

    return make


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, list[Any]]:
    from tfx.types import standard_artifacts

    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples" / "7")
    (tmp_path / "examples" / "7" / "Split-train").mkdir(parents=True)
    (tmp_path / "examples" / "7" / "Split-train" / "images-0").write_bytes(b"examples")
    return {"examples": [examples]}


def properties(destination: Path, **changes: Any) -> dict[str, Any]:
    return {
        "model_settings": settings(**{"warm_start": "latest", **changes}).model_dump_json(),
        "push_destination": str(destination),
    }


def test_the_push_of_a_training_does_not_make_it_run_again_and_that_of_another_does(
    inputs: dict[str, list[Any]], export_model: Export, tmp_path: Path
) -> None:
    served = tmp_path / "served"
    asked = properties(served)
    own = training_sha256(inputs, asked)
    at_first = properties_of(inputs, asked)
    assert at_first == {SHA256_PROPERTY: ""}
    publish(str(export_model("own", own)), str(served))
    assert properties_of(inputs, asked) == at_first
    assert checked_origin(inputs, {**asked, **at_first}) is None

    publish(str(export_model("other", "another training")), str(served))
    then = properties_of(inputs, asked)
    assert then != at_first
    assert checked_origin(inputs, {**asked, **then}) == served / "2"
    publish(str(export_model("own again", own)), str(served))
    assert properties_of(inputs, asked) == then
    with pytest.raises(ThawError, match=r"model\.warm_start: the model to begin with has become another one"):
        checked_origin(inputs, {**asked, **at_first})


def test_without_a_warm_start_nothing_joins_the_cache_key(
    inputs: dict[str, list[Any]], export_model: Export, tmp_path: Path
) -> None:
    publish(str(export_model("model", "another training")), str(tmp_path / "served"))
    asked = properties(tmp_path / "served", warm_start="none")
    assert properties_of(inputs, asked) == {} and checked_origin(inputs, asked) is None


def test_a_training_is_told_from_others_by_its_examples_and_settings_not_by_the_machine(
    inputs: dict[str, list[Any]], tmp_path: Path
) -> None:
    asked = properties(tmp_path)
    own = training_sha256(inputs, asked)
    assert training_sha256(inputs, {**asked, "gpus": "[0]", "code_digest": "2", SHA256_PROPERTY: "3"}) == own
    assert training_sha256(inputs, properties(tmp_path, seed=1)) != own
    (tmp_path / "examples" / "7" / "Split-train" / "images-0").write_bytes(b"Examples")
    assert training_sha256(inputs, asked) != own, "a folder of the same name in a root that was made anew"


def test_the_weights_are_pushed_with_the_model_and_change_nothing_else_about_it(
    exported: Path, export_model: Export, tmp_path: Path
) -> None:
    model = export_model("model", "a training")
    (tmp_path / "warm_up").write_bytes(b"requests")
    content = content_of(three_classes(0.9, 0.6), tmp_path / "verdict")
    write_release(str(model), tmp_path / "warm_up", content, "candidate", str(tmp_path / "approved"))
    version = publish(str(tmp_path / "approved"), str(tmp_path / "served")).folder
    for path in (model / FOLDER).iterdir():
        assert (version / FOLDER / path.name).read_bytes() == path.read_bytes()
    assert fingerprint(version) == fingerprint(exported)
    assert find_production(str(tmp_path / "served"), str(exported)) is None, "it is the same model to the gate"
    assert size_mib(model) == size_mib(exported), "the budget is of what a server reads"
    assert not publish(str(tmp_path / "approved"), str(tmp_path / "served")).is_new


def test_a_version_of_an_older_thaw_is_told_before_anything_trains(
    inputs: dict[str, list[Any]], exported: Path, tmp_path: Path
) -> None:
    publish(str(exported), str(tmp_path / "served"))
    with pytest.raises(WeightsError, match=r"exported by a thaw that did not write weights to begin with.*to none"):
        properties_of(inputs, properties(tmp_path / "served"))
