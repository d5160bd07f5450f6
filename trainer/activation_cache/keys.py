"""What cached activations follow from, as one digest: two runs share them if and only if it is the same."""

import hashlib
import importlib.resources
import json
import os
import platform
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer import layer_graph
from trainer.activation_cache.cuts import Cut
from trainer.activation_cache.rows import RowFormat
from trainer.activation_cache.views import View
from trainer.classifier import Classifier
from trainer.data_digest import digest_of_files
from trainer.datasets import Split
from trainer.scaling import SCALING
from trainer.settings import ModelSettings

_LENGTH = 32
_CPU_FACTS = Path("/proc/cpuinfo")


def layers_below(model: Classifier, settings: ModelSettings, cut: Cut) -> str:
    """A digest of what the layers below a cut make of pixels: of their wiring, their weights and how they compute.

    Args:
        model: with the values that its variables have now.
        settings: with the precision of the devices in the place of "auto".
        cut: where.
    """
    parts = {
        "code": _code(),
        "machine": _machine(),
        "backbone": settings.backbone,
        "precision": settings.compute.precision,
        "scaling": SCALING[settings.backbone],
        "image_size_px": settings.image_size_px,
        # Which kernel computes an image, and in which order it adds, may follow from how many others are beside it.
        "batch_size": settings.batch_size_per_replica,
        "cut": [cut.position, cut.with_pooling],
        "layers": _layers(model.backbone, cut),
        "weights": _weights(model, cut),
    }
    return _digest(parts)


def key_of(layers: str, inputs: str, row_format: RowFormat, view: View | None) -> str:
    """The name of an entry.

    Args:
        layers: see `layers_below`.
        inputs: digest of the split's examples, after preprocessing; see `digest_of`.
        row_format: how activations are stored.
        view: that the images are seen in; None for the images as they are.
    """
    parts = {
        "layers": layers,
        "inputs": inputs,
        "stored": [[str(spec.dtype.name), list(spec.shape)] for spec in row_format.tensors],
        "view": None if view is None else view.identity,
    }
    return _digest(parts)[:_LENGTH]


def digest_of(split: Split) -> str:
    """Of all bytes of a split's files; reads them."""
    return _digest([split.num_examples, split.image_size_px, digest_of_files(split.files)])


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


@cache
def _code() -> str:
    """Of this package: what another version of it computes may differ."""
    digest = hashlib.sha256()
    for name, file in sorted(_sources(importlib.resources.files("trainer"), "")):
        content = file.read_bytes()
        digest.update(f"{name} {len(content)} ".encode() + content)
    return digest.hexdigest()


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".py"):
            yield f"{prefix}{entry.name}", entry


def _machine() -> list[Any]:
    """Kernels of other versions and devices differ in the last bits, and so do sums by another number of threads."""
    devices = sorted({device.device_type for device in tf.config.list_logical_devices()})
    names = [
        str(tf.config.experimental.get_device_details(device).get("device_name"))
        for device in tf.config.list_physical_devices("GPU")
    ]
    return [
        tf.__version__,
        keras.__version__,
        *(platform.machine(), _cpu_model(), os.cpu_count()),
        *(tf.config.threading.get_intra_op_parallelism_threads(), os.environ.get("OMP_NUM_THREADS", "")),
        *devices,
        *sorted(set(names)),
        os.environ.get("TF_ENABLE_ONEDNN_OPTS", ""),
        tf.config.experimental.tensor_float_32_execution_enabled(),
    ]


@cache
def _cpu_model() -> str:
    try:
        lines = _CPU_FACTS.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())


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
    return _digest(
        [[type(node.operation).__name__, _config(node.operation), _arguments(node, places)] for node in nodes]
    )


def _config(operation: Any) -> Any:
    """Of an operation that is no layer, what it was made with is not kept; the backbone's name stands for it."""
    if not isinstance(operation, keras.layers.Layer):
        return None
    return {key: value for key, value in operation.get_config().items() if key != "name"}


def _arguments(node: Any, places: dict[int, str]) -> list[Any]:
    leaves: Sequence[Any] = keras.tree.flatten([node.arguments.args, node.arguments.kwargs])
    return [places.get(id(leaf)) or _plain(leaf) for leaf in leaves]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | tf.Tensor):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    return repr(value) if not isinstance(value, str | int | float | bool | type(None)) else value
