"""Plans by name: that each trains as it says, on any backbone."""

from itertools import pairwise
from typing import Any, get_args

import keras
import pytest
from tiny import IMAGE_SIZE_PX, changed, settings
from trained import HEAD, train

from trainer import presets
from trainer.backbones import build_backbone
from trainer.boundaries import batch_norms_in, resolve
from trainer.presets import PresetName, phases_of
from trainer.scaling import without_batch_norm
from trainer.settings import ModelSettings
from trainer.training import TrainingData

NAMES = get_args(PresetName)


def plan(name: str, **changes: Any) -> ModelSettings:
    values = {"backbone": "small_cnn", "weights": "none", "image_size_px": IMAGE_SIZE_PX, "batch_size_per_replica": 16}
    return ModelSettings(**{**values, "phases": name, **changes})


def shortened(name: str, **changes: Any) -> list[dict[str, Any]]:
    return [{**phase, "epochs": 1, **changes} for phase in phases_of(name, "small_cnn")]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_preset_trains(name: str, training_data: TrainingData) -> None:
    probe = {"name": "probe", "epochs": 1, "learning_rate": 0.01} if name in ("full", "from_scratch") else None
    run = train(settings(phases=shortened(name), probe=probe), training_data)
    assert len(run.at_baseline) == 1
    assert changed(run.at_start, run.at_baseline[0]) == {*HEAD}
    moved = changed(run.at_start, run.at_end) - {*HEAD}
    kernels = {f"block{number}_conv/kernel" for number in range(1, 5)}
    if name == "linear_probe":
        assert not moved
    elif name == "from_scratch":
        assert moved > kernels
    else:
        assert moved == kernels


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_given_by_its_name_shows_its_phases_and_reads_back_the_same(name: str) -> None:
    named = plan(name)
    assert named.phases == plan("full", phases=phases_of(name, "small_cnn")).phases
    assert ModelSettings.model_validate_json(named.model_dump_json()) == named
    assert set(presets.SUMMARIES) == set(NAMES)


def test_two_phases_are_the_default() -> None:
    assert settings(phases="two_phase") == ModelSettings(
        **{key: value for key, value in settings(phases="two_phase").model_dump().items() if key != "phases"}
    )


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (
            "gradul",
            {},
            "is no preset; nearest: gradual; there are linear_probe, two_phase, gradual, full, from_scratch",
        ),
        ("from_scratch", {"weights": "imagenet", "backbone": "MobileNetV2"}, "would destroy the weights 'imagenet'"),
    ],
)
def test_a_plan_that_is_not_there_or_does_not_fit_is_told(name: str, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(name, **changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone", ["small_cnn", "MobileNetV2", "MobileNetV3Small", "ConvNeXtTiny", "VGG16", "DenseNet121", "ResNet50"]
)
def test_presets_go_with_any_backbone(backbone: str) -> None:
    """`gradual` unfreezes more in each phase; a policy for BatchNormalization is given where there is some."""
    model = build_backbone(ModelSettings(backbone=backbone, weights="none", image_size_px=32))
    has_batch_norm = any(batch_norms_in(layer) for layer in model.layers)
    assert has_batch_norm != without_batch_norm(backbone)
    assert ("batch_norm" in phases_of("from_scratch", backbone)[0]) == has_batch_norm
    phases = plan("gradual", backbone=backbone, image_size_px=32).phases
    unfrozen = [resolve(model, phase.unfreeze).layers for phase in phases]
    assert all(before <= after for before, after in pairwise(unfrozen))
    assert not unfrozen[0]
    assert all(_num_kernels(model, layers) for layers in unfrozen[1:])
    assert len(unfrozen[-1]) == len(model.layers)


def _num_kernels(model: keras.Model, layers: frozenset[int]) -> int:
    return sum(len(weight.shape) >= 2 for index in layers for weight in model.layers[index].weights)


def test_rates_of_gradual_fall_from_phase_to_phase_and_moments_are_kept() -> None:
    phases = plan("gradual").phases
    rates = [phase.learning_rate for phase in phases]
    assert rates == sorted(set(rates), reverse=True)
    assert {phase.optimizer.state for phase in phases[1:]} == {"carry"}
