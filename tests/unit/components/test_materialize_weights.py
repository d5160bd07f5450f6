"""Weights of examples on their way through Transform."""

from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_weight_goes_through_transform_and_one_that_is_missing_is_one(transform_graph: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    from components.transform.materialize import transformed_batches
    from trainer.datasets import evaluation_batches, open_split
    from trainer.transform_graph import load_transform, read_labels

    label = read_labels(str(transform_graph))[0]
    image = tf.io.encode_png(tf.zeros([8, 8, 3], tf.uint8)).numpy()
    with tf.io.TFRecordWriter(str(tmp_path / "raw")) as writer:
        for weight in (0.25, None, 3.0):
            example = tf.train.Example()
            example.features.feature["image"].bytes_list.value.append(image)
            example.features.feature["label"].bytes_list.value.append(label.encode())
            if weight is not None:
                example.features.feature["weight"].float_list.value.append(weight)
            writer.write(example.SerializeToString())
    (tmp_path / "split").mkdir()
    with tf.io.TFRecordWriter(str(tmp_path / "split" / "examples")) as writer:
        for _, examples in transformed_batches([str(tmp_path / "raw")], load_transform(str(transform_graph)), 2):
            for example in examples:
                writer.write(example)
    ((_, _, weights),) = evaluation_batches(open_split(str(tmp_path / "split"), 8), 3).as_numpy_iterator()
    assert weights.tolist() == [0.25, 1.0, 3.0]
