"""Which backbones there are, and how the weights of each expect pixels to be scaled; Keras is not needed to know it."""

import difflib
from typing import Literal

# How uint8 RGB becomes the input of a backbone. Source: the preprocess_input of each module of keras.applications,
# keras/src/applications/imagenet_utils.py. "identity" is for families that scale inside the model.
Scaling = Literal["unit", "symmetric", "torch", "caffe", "identity"]

SMALL_CNN = "small_cnn"

_SCALING_BY_FAMILY: dict[Scaling, tuple[str, ...]] = {
    "caffe": ("ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19"),
    "symmetric": (
        "InceptionResNetV2",
        "InceptionV3",
        "MobileNet",
        "MobileNetV2",
        "NASNetLarge",
        "NASNetMobile",
        "ResNet50V2",
        "ResNet101V2",
        "ResNet152V2",
        "Xception",
    ),
    "torch": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "identity": (
        *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
        *(f"EfficientNetB{number}" for number in range(8)),
        *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
        "MobileNetV3Large",
        "MobileNetV3Small",
    ),
    "unit": (SMALL_CNN,),
}

SCALING: dict[str, Scaling] = {name: scaling for scaling, names in _SCALING_BY_FAMILY.items() for name in names}


# Families that normalize by layer, or not at all.
_WITHOUT_BATCH_NORM = ("ConvNeXt", "VGG")


def without_batch_norm(backbone: str) -> bool:
    """Whether a backbone has no BatchNormalization."""
    return backbone.startswith(_WITHOUT_BATCH_NORM)


def nearest_backbones(name: str) -> str:
    """The names most like one that is not there, for a message; all of them where none is alike."""
    return ", ".join(difflib.get_close_matches(name, SCALING, n=3, cutoff=0.4) or sorted(SCALING))
