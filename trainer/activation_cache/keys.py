"""What cached activations follow from, as one digest: two runs share them if and only if it is the same."""

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import layer_graph
from trainer.activation_cache.cuts import Cut
from trainer.activation_cache.rows import RowFormat
from trainer.activation_cache.views import View
from trainer.classifier import Classifier
from trainer.datasets import Split
from trainer.scaling import SCALING
from trainer.settings import ModelSettings

# To be raised when the same digest would stand for other activations.
_FORMAT = 1
_LENGTH = 32


def key_of(
    model: Classifier, settings: ModelSettings, cut: Cut, input_digest: str, row_format: RowFormat, view: View | None
) -> str:
    """The name of an entry.

    Args:
        model: its layers below the cut, their wiring and the values of their variables count.
        settings: how pixels are scaled, and how the device computes.
        cut: where.
        input_digest: of the split's examples, after preprocessing; see `digest_of`.
        row_format: how activations are stored.
        view: that the images are seen in; None for the images as they are.
    """
    parts = {
        "format": _FORMAT,
        "inputs": input_digest,
        "scaling": SCALING[settings.backbone],
        "image_size_px": settings.image_size_px,
        "cut": [cut.position, cut.with_pooling],
        "layers": _layers(model.backbone, cut),
        "weights": _weights(model, cut),
        "stored": [[str(spec.dtype.name), list(spec.shape)] for spec in row_format.tensors],
        "view": None if view is None else view.identity,
        # A convolution of a single image may differ from that of several in its last bits.
        "is_alone": settings.batch_size_per_replica == 1,
        "machine": _machine(),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_LENGTH]


def digest_of(split: Split) -> str:
    """Of all bytes of a split's files; reads them."""
    digest = hashlib.sha256(f"{split.num_examples} {split.image_size_px}".encode())
    for path in split.files:
        with tf.io.gfile.GFile(path, "rb") as file:
            while block := file.read(2**20):
                digest.update(block)
    return digest.hexdigest()


def _machine() -> list[str]:
    """Kernels of other versions and devices differ in the last bits."""
    devices = sorted({device.device_type for device in tf.config.list_logical_devices()})
    names = [
        str(tf.config.experimental.get_device_details(device).get("device_name"))
        for device in tf.config.list_physical_devices("GPU")
    ]
    onednn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "")
    return [tf.__version__, keras.__version__, platform.machine(), *devices, *sorted(set(names)), onednn]


def _weights(model: Classifier, cut: Cut) -> str:
    digest = hashlib.sha256()
    for operation in model.backbone.operations[: cut.position]:
        for variable in getattr(operation, "weights", ()):
            digest.update(np.ascontiguousarray(np.asarray(variable)).tobytes())
    return digest.hexdigest()


def _layers(backbone: keras.Model, cut: Cut) -> str:
    """Names do not count: a layer without one of its own gets another each time a model is built."""
    nodes = layer_graph.nodes_of(backbone)[: cut.position]
    places = {
        id(tensor): f"{place}.{index}" for place, node in enumerate(nodes) for index, tensor in enumerate(node.outputs)
    }
    rows = [[type(node.operation).__name__, _config(node.operation), _arguments(node, places)] for node in nodes]
    return hashlib.sha256(json.dumps(rows, sort_keys=True, default=_plain).encode()).hexdigest()


def _config(operation: Any) -> Any:
    return _nameless(operation.get_config()) if isinstance(operation, keras.layers.Layer) else None


def _arguments(node: Any, places: dict[int, str]) -> list[Any]:
    leaves: Sequence[Any] = keras.tree.flatten([node.arguments.args, node.arguments.kwargs])
    return [places.get(id(leaf)) or _plain(leaf) for leaf in leaves]


def _nameless(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _nameless(inner) for key, inner in value.items() if key != "name"}
    return [_nameless(inner) for inner in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | tf.Tensor):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    return repr(value) if not isinstance(value, str | int | float | bool | type(None)) else value
