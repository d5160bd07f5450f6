"""Requests that TensorFlow Serving sends itself when it loads a model, so that the first user does not wait.

Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from trainer.saved_models import SERVING_SIGNATURE

FILE_NAME = "tf_serving_warmup_requests"

_BATCH_SIZES = (1, 8)
_MAX_BYTES_OF_IMAGES = 4 * 2**20


def write_warm_up(path: Path, images: Sequence[bytes]) -> None:
    """Writes a file of requests of one image and of eight.

    The smallest images are taken, and no more of them than make 4 MiB in a request.

    Args:
        path: of the file.
        images: encoded images; at least one.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch_size in _BATCH_SIZES:
            writer.write(_request(_smallest(images, batch_size)).SerializeToString(deterministic=True))


def _smallest(images: Sequence[bytes], num_images: int) -> list[bytes]:
    ordered = sorted(images, key=lambda image: (len(image), image))
    chosen = [ordered[index % len(ordered)] for index in range(num_images)]
    while len(chosen) > 1 and sum(map(len, chosen)) > _MAX_BYTES_OF_IMAGES:
        chosen.pop()
    return chosen


def _request(images: Sequence[bytes]) -> prediction_log_pb2.PredictionLog:
    request = predict_pb2.PredictRequest(
        model_spec=model_pb2.ModelSpec(signature_name=SERVING_SIGNATURE),
        inputs={"images": tf.make_tensor_proto(list(images), tf.string, [len(images)])},
    )
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
