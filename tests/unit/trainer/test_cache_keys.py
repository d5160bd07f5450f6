"""Entries of the cache have other names where anything differs that their rows follow from, and the same otherwise."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import fine_tune_phase, head_phase, settings

from trainer import compute
from trainer.activation_cache import keys
from trainer.activation_cache.cuts import cut_for
from trainer.activation_cache.rows import RowFormat
from trainer.activation_cache.views import View
from trainer.augmentation_settings import AugmentationSettings
from trainer.classifier import Classifier, build_classifier
from trainer.devices import make_strategy
from trainer.freezing import freeze
from trainer.settings import PhaseSettings

FORMAT = RowFormat((tf.TensorSpec([4], tf.float32),))


def built(**changes: Any) -> tuple[Classifier, Any]:
    model_settings = compute.resolve(settings(**changes), make_strategy(1))
    keras.utils.set_random_seed(model_settings.seed)
    return build_classifier(model_settings, 3), model_settings


def layers(phase: PhaseSettings | None = None, spoil: str = "", **changes: Any) -> str:
    model, model_settings = built(**changes)
    phase = phase or head_phase()
    freeze(model, phase)
    for weight in model.weights:
        if spoil and spoil in weight.path:
            weight.assign(np.asarray(weight) + 1e-7)
    return keys.layers_below(model, model_settings, cut_for(model, phase))


@pytest.fixture(scope="module")
def key() -> str:
    return layers()


def test_the_same_model_built_again_has_the_same_name(key: str) -> None:
    assert layers() == key
    assert layers(spoil="head/") == key, "the head lies above"
    assert layers(dropout_rate=0.4) == key


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 4},
        {"compute": {"precision": "mixed_bfloat16"}},
        {"batch_size_per_replica": 8},
        {"image_size_px": 16},
        {"spoil": "block1"},
        {"spoil": "block4"},
        {"spoil": "moving_variance"},
        {"phase": fine_tune_phase()},
    ],
    ids=str,
)
def test_other_layers_weights_or_arithmetic_have_another(changes: dict[str, Any], key: str) -> None:
    """Pooled features of float32 and of mixed precision are both stored as float32: their dtype tells nothing."""
    assert layers(**changes) != key


def test_weights_above_the_boundary_do_not_count() -> None:
    boundary = fine_tune_phase()
    assert layers(boundary, spoil="block4_conv") == layers(boundary)
    assert layers(boundary, spoil="block3_conv") != layers(boundary)


def test_other_code_has_another_name(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_code", lambda: "of another version")
    assert layers() != key


def test_another_machine_has_another_name(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_cpu_model", lambda: "another")
    assert layers() != key


def test_inputs_format_and_view_count() -> None:
    flipped = AugmentationSettings(horizontal_flip=True, num_views=2)
    found = {
        keys.key_of("layers", "inputs", FORMAT, None),
        keys.key_of("others", "inputs", FORMAT, None),
        keys.key_of("layers", "others", FORMAT, None),
        keys.key_of("layers", "inputs", RowFormat((tf.TensorSpec([4], tf.float16),)), None),
        *(keys.key_of("layers", "inputs", FORMAT, View(flipped, seed, number)) for seed in (0, 1) for number in (0, 1)),
    }
    assert len(found) == 8
