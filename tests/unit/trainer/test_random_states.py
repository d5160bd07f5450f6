"""Dropout draws on each replica for itself."""

import numpy as np
import tensorflow as tf
from tiny import settings

from trainer.devices import make_strategy
from trainer.training import TrainingData, set_up


def test_each_replica_drops_other_features(training_data: TrainingData, digits: tuple[np.ndarray, np.ndarray]) -> None:
    strategy = make_strategy(2)
    model = set_up(settings(dropout_rate=0.5), training_data, strategy).model
    pixels = digits[0][:8]
    for training in (True, False):
        call = tf.function(lambda training=training: strategy.run(lambda: model.logits(pixels, training)))
        first, second = strategy.experimental_local_results(call())
        assert np.array_equal(first, second) != training
