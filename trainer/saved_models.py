"""What can be said of an exported SavedModel without TensorFlow."""

from pathlib import Path

from trainer.features import LABEL_VOCABULARY

SERVING_SIGNATURE = "serving_default"
# Takes serialized tf.Examples as ImageExampleGen writes them; TFMA evaluates through it.
EXAMPLES_SIGNATURE = "serving_examples"
# From serialized tf.Examples to the id of their label; TFMA reads the truth through it.
LABEL_FUNCTION = "label_features"


def is_complete(folder: str) -> bool:
    """Whether a folder holds a SavedModel of ours with its graph, its variables and its labels."""
    needed = ("saved_model.pb", "variables/variables.index", "variables/variables.data-*", f"assets/{LABEL_VOCABULARY}")
    return all(any(Path(folder).glob(name)) for name in needed)
