"""Names of the features of examples, before and after the preprocessing graph."""

# Raw examples, as ImageExampleGen writes them.
IMAGE = "image"
LABEL = "label"
# How much the example counts, in training and evaluation; transformed examples have it, too.
WEIGHT = "weight"
# What it tells of every photograph beside that.
FACTS = (
    "path",
    "content_sha256",
    "format",
    "width_px",
    "height_px",
    "num_bytes",
    "is_normalised",
    WEIGHT,
    "group",
)

# Transformed examples.
PIXELS = "pixels"
LABEL_ID = "label_id"

# No feature of a user's own may have one of these names.
RESERVED = frozenset({IMAGE, LABEL, *FACTS, PIXELS, LABEL_ID})

# Name of the vocabulary in the transform graph; its lines are the classes in the order of their ids.
LABEL_VOCABULARY = "labels"
