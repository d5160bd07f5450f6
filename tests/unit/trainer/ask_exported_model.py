"""Run in a process of its own: asks an exported model with TensorFlow alone, as a server does.

Usage: python ask_exported_model.py MODEL FOLDER, with the images in FOLDER, in the order of their names; prints JSON.
"""

import json
import sys
from pathlib import Path

import tensorflow as tf


def main() -> None:
    model, folder = sys.argv[1:]
    signature = tf.saved_model.load(model).signatures["serving_default"]
    images = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    answers = {}
    for name, batch in {
        "all": images,
        "none": [],
        "one": images[:1],
        "bad": [b"no image"],
        "32": images[:1] * 32,
    }.items():
        answer = signature(images=tf.constant(batch, tf.string, [len(batch)]))
        answers[name] = {key: value.numpy().tolist() for key, value in answer.items()}
    for answer in answers.values():
        for key in ("label", "error"):
            answer[key] = [text.decode() for text in answer[key]]
    answers["has_trainer"] = "trainer" in sys.modules
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
