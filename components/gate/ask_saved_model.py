"""Asks a SavedModel about image files, as a stranger would; run as a script, in a process of its own.

    python -I ask_saved_model.py MODEL_DIR IMAGES_DIR ANSWERS_FILE

It imports nothing but TensorFlow: what a model server can do, it can do. IMAGES_DIR holds files named 0, 1, 2 and so
on. ANSWERS_FILE gets JSON: "scores" and "errors" of each image, "num_parameters", and "latency" by batch size.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

_BATCH_SIZES = (1, 32)
_NUM_REQUESTS = 50
_LEAST_NUM_REQUESTS = 5
# A slow model must not hold up the gate; what the limit leaves is still a median.
_TIME_LIMIT_S = 2.5


def main(model_dir: str, images_dir: str, answers_file: str) -> None:
    """Loads the model, asks it, times it, and writes what it said."""
    model = tf.saved_model.load(model_dir)
    if strangers := {"trainer", "components", "pipeline", "tfx"} & set(sys.modules):
        raise SystemExit(f"more than TensorFlow was imported: {sorted(strangers)}")
    paths = sorted(Path(images_dir).iterdir(), key=lambda path: int(path.name))
    images = [path.read_bytes() for path in paths]
    signature = model.signatures["serving_default"]
    answers = [signature(images=tf.constant([image])) for image in images]
    result = {
        "scores": [answer["scores"].numpy()[0].astype(float).tolist() for answer in answers],
        "errors": [answer["error"].numpy()[0].decode() for answer in answers],
        "num_parameters": sum(int(np.prod(value.shape)) for value in model.model_variables if value.dtype.is_floating),
        "latency": [_latency(signature, images, size) for size in _BATCH_SIZES],
    }
    Path(answers_file).write_text(json.dumps(result), encoding="utf-8")


def _latency(signature: Any, images: list[bytes], batch_size: int) -> dict[str, float]:
    batch = tf.constant((images * batch_size)[:batch_size])
    signature(images=batch)
    durations_s: list[float] = []
    started_s = time.perf_counter()
    while len(durations_s) < _NUM_REQUESTS:
        if len(durations_s) >= _LEAST_NUM_REQUESTS and time.perf_counter() - started_s > _TIME_LIMIT_S:
            break
        before_s = time.perf_counter()
        signature(images=batch)["scores"].numpy()
        durations_s.append(time.perf_counter() - before_s)
    p50_ms, p95_ms = (float(value) for value in np.percentile(durations_s, (50, 95)) * 1000)
    return {"batch_size": batch_size, "p50_ms": p50_ms, "p95_ms": p95_ms, "num_requests": len(durations_s)}


if __name__ == "__main__":
    main(*sys.argv[1:])
