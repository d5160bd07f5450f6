"""Transform: tf.Transform's label vocabulary and image decoding, materialized compactly and in bounded memory."""
