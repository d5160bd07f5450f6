"""Names of the features of examples, before and after the preprocessing graph."""

# Raw examples, as ImageExampleGen writes them.
IMAGE = "image"
LABEL = "label"

# Transformed examples.
PIXELS = "pixels"
LABEL_ID = "label_id"

# Name of the vocabulary in the transform graph; its lines are the classes in the order of their ids.
LABEL_VOCABULARY = "labels"
