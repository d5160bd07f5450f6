"""How the input pipelines share the cores."""

import os

import tensorflow as tf

# One call works while the results of another wait to be taken up.
_CALLS_PER_CORE = 2


def num_parallel_calls() -> int:
    """For `tf.data.Dataset.map`: enough to keep every core busy."""
    return _CALLS_PER_CORE * (os.cpu_count() or 1)


def without_autotuning() -> tf.data.Options:
    """Options of a dataset whose parallelism is fixed.

    TensorFlow 2.21 tunes the others in a thread that sleeps longer from time to time, and an iterator that is dropped
    waits, now and then, until that thread wakes up: for as long again as the iteration took. Results stay in order.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    return options
