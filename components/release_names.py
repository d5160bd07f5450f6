"""What a pushed version has beside its model: names, for whoever must not take them for the model."""

EXTRA_ASSETS = "assets.extra"
"""Folder in a SavedModel that TensorFlow leaves alone."""

MODEL_CARD = "model_card.md"
MANIFEST = "inference-service.yaml"
