"""Whether XLA can compile what a plan trains: asked before the first step rather than at that of a later phase."""

from typing import Any

import tensorflow as tf

from trainer import freezing, model_pass
from trainer.settings import PhaseSettings
from trainer.stages import stages_of
from trainer.training_setup import Setup


def check(setup: Setup) -> None:
    """Translates the forward and backward pass of each phase for XLA, without training; nothing where XLA is off.

    What is still to be searched, `unfreeze: auto`, is left to its trials. The model's `trainable` is as the last phase
    has it afterwards.

    Raises:
        ConfigurationError: an operation has no kernel for XLA, or none that is deterministic.
    """
    if not setup.settings.compute.jit_compile:
        return
    checked = set()
    for stage in stages_of(setup.settings):
        if stage.phase.unfreeze == "auto":
            continue
        trains = freezing.freeze(setup.model, stage.phase).variables
        if trains not in checked:
            _translate(setup, stage.phase)
        checked.add(trains)


def _translate(setup: Setup, phase: PhaseSettings) -> None:
    """On the first replica, whose variables it reads as training does; nothing is compiled or computed."""
    settings, model = setup.settings, setup.model
    size, side = settings.batch_size_per_replica, settings.image_size_px
    pixels = tf.zeros([size, side, side, 3], tf.uint8 if phase.augmentation.changes_nothing else tf.float32)
    batch = (pixels, tf.zeros([size, setup.data.num_classes]), tf.zeros([size]), tf.constant(1.0))

    def on_replica() -> None:
        if tf.distribute.get_replica_context().replica_id_in_sync_group == 0:
            built: Any = model_pass.build(model.logits, settings, model.trainable_variables, setup.weights_of_classes)
            built.experimental_get_compiler_ir(*batch)(stage="hlo")

    with model_pass.explaining_what_does_not_compile(settings):
        setup.strategy.run(on_replica)
