"""One measured process of `benchmarks.steps_per_second`: python -m benchmarks.steps_variant NUM_STEPS NUM_ROUNDS WORK.

The two loops train the same backbone with the same optimizer on the same batches, which lie in memory, in turn.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.isolation import report_from

BACKBONE, IMAGE_SIZE_PX, BATCH_SIZE, NUM_CLASSES = "MobileNetV2", 96, 32, 10
_NUM_BATCHES_IN_MEMORY = 8
# How often thaw's loop reads the loss, see `trainer.phase_training`.
_STEPS_BETWEEN_LOOKS = 50
PHASES = ("frozen", "unfrozen")

# Trains for a number of steps.
Loop = Callable[[int], None]


def measure(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    """Returns, for each phase and loop ("thaw", "keras"), the steps per second of each round."""
    num_steps, num_rounds = map(int, arguments)
    from trainer import devices

    devices.prepare(None)
    batches = _batches()
    return {phase: _rounds(_loops(phase, batches), num_steps, num_rounds) for phase in PHASES}


def _rounds(loops: dict[str, Loop], num_steps: int, num_rounds: int) -> dict[str, list[float]]:
    """Each loop first runs a little, so that its graphs are made."""
    for loop in loops.values():
        loop(2)
    found: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(num_rounds):
        for name in list(loops)[:: 1 if number % 2 else -1]:
            started_at_s = time.perf_counter()
            loops[name](num_steps)
            found[name].append(num_steps / (time.perf_counter() - started_at_s))
    return found


def _loops(phase: str, batches: Any) -> dict[str, Loop]:
    return {"thaw": _thaw_loop(phase, batches), "keras": _keras_loop(phase, batches)}


def _batches() -> Any:
    """Endless batches ({"pixels", "loss_share", "position"}, label ids, weights) from memory."""
    import numpy as np
    import tensorflow as tf

    generator = np.random.default_rng(0)
    num_examples = BATCH_SIZE * _NUM_BATCHES_IN_MEMORY
    inputs = {
        "pixels": generator.integers(0, 256, (num_examples, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), np.uint8),
        "loss_share": np.full(num_examples, 1 / BATCH_SIZE, np.float32),
        "position": np.arange(num_examples),
    }
    label_ids = generator.integers(0, NUM_CLASSES, num_examples)
    examples = tf.data.Dataset.from_tensor_slices((inputs, label_ids, np.ones(num_examples, np.float32)))
    return examples.batch(BATCH_SIZE, drop_remainder=True).cache().repeat().prefetch(2)


def _thaw_loop(phase: str, batches: Any) -> Loop:
    import numpy as np

    from trainer import freezing, optimizers, rate_groups
    from trainer.classifier import build_classifier
    from trainer.settings import ModelSettings, PhaseSettings
    from trainer.steps import Steps

    phases = (
        PhaseSettings(name="frozen", epochs=1, learning_rate=1e-3),
        PhaseSettings(name="unfrozen", unfreeze="all", epochs=1, learning_rate=1e-5),
    )
    settings = ModelSettings(
        backbone=BACKBONE,
        weights="none",
        image_size_px=IMAGE_SIZE_PX,
        batch_size_per_replica=BATCH_SIZE,
        phases=phases,
    )
    chosen = phases[PHASES.index(phase)]
    model = build_classifier(settings, NUM_CLASSES)
    freezing.freeze(model, chosen)
    of_phase = optimizers.build(rate_groups.groups_of(model, chosen), chosen, np.full(1, chosen.learning_rate), {})
    steps = Steps(model.logits, NUM_CLASSES, chosen, settings, of_phase, None, None, seed=0)
    iterator = iter(batches)

    def loop(num_steps: int) -> None:
        for number in range(1, num_steps + 1):
            steps.train(iterator)
            if number % _STEPS_BETWEEN_LOOKS == 0:
                steps.train_totals.first_bad_step()
        steps.train_totals.summary()

    return loop


def _keras_loop(phase: str, batches: Any) -> Loop:
    """As Keras's guide to transfer learning has it, with BatchNormalization frozen."""
    import keras

    backbone = getattr(keras.applications, BACKBONE)(
        include_top=False, weights=None, input_shape=(IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3)
    )
    backbone.trainable = phase == "unfrozen"
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    inputs = keras.Input((IMAGE_SIZE_PX, IMAGE_SIZE_PX, 3), dtype="uint8")
    features = backbone(keras.layers.Rescaling(1 / 127.5, -1.0)(inputs), training=False)
    pooled = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(features))
    model = keras.Model(inputs, keras.layers.Dense(NUM_CLASSES)(pooled))
    model.compile(
        keras.optimizers.Adam(1e-5 if backbone.trainable else 1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    plain = batches.map(lambda inputs, label_ids, weights: (inputs["pixels"], label_ids))

    def loop(num_steps: int) -> None:
        model.fit(plain, steps_per_epoch=num_steps, epochs=1, verbose=0)

    return loop


if __name__ == "__main__":
    report_from(measure)
