"""Warm start: training that begins with the weights of a model that was exported earlier.

A SavedModel cannot be read back into Keras, so the weights travel beside it, in `assets.extra`, which TensorFlow and
TensorFlow Serving leave alone (https://www.tensorflow.org/guide/saved_model). `card` writes and reads them, `origin`
finds the model to begin with and how its classes meet those of the training, `carrying_over` gives a new model its
weights.
"""

FOLDER = "assets.extra/warm_start"
"""Within the folder of a SavedModel."""
