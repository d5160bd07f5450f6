"""Plans by name: complete lists of phases, as they would stand in a configuration.

Rates are those of Adam. No plan mirrors images, since a mirrored digit or road sign is another one; where it is not,
`augmentation: {horizontal_flip: true}` helps.
"""

import difflib
from collections.abc import Mapping
from typing import Any, Literal, get_args

from trainer.scaling import without_batch_norm

PresetName = Literal["linear_probe", "two_phase", "gradual", "full", "from_scratch"]

Plan = list[dict[str, Any]]

DEFAULT: PresetName = "two_phase"

SUMMARIES: Mapping[str, str] = {
    "linear_probe": "a head on the frozen backbone, and nothing more: what the features are worth as they are",
    "two_phase": "a head on the frozen backbone, then all of it at a tenth of the rate, less from block to block down",
    "gradual": "a head, then a quarter of the backbone more in each phase, at half the rate of the one before",
    "full": "the whole backbone from the start, with a head at ten times its rate",
    "from_scratch": "all from random weights: what the pretrained ones are worth",
}


def phases_of(name: str, backbone: str) -> Plan:
    """The phases of a preset, as plain data.

    Args:
        name: of the preset.
        backbone: "small_cnn" or a name from keras.applications; one without BatchNormalization gets no policy for it.

    Raises:
        ValueError: there is no such preset.
    """
    if name == "linear_probe":
        return [_head(epochs=50, learning_rate=3e-3, early_stopping_patience=5)]
    if name == "two_phase":
        return _two_phase()
    if name == "gradual":
        return _gradual()
    if name == "full":
        return _full()
    if name == "from_scratch":
        return _from_scratch(backbone)
    names = get_args(PresetName)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"nearest: {near[0]}; " if near else ""
    raise ValueError(f"is no preset; {hint}there are {', '.join(names)}, or give a list of phases")


def _head(**changes: Any) -> dict[str, Any]:
    """Adam at Keras's default rate, as in its transfer-learning guide (https://keras.io/guides/transfer_learning)."""
    return {
        "name": "head",
        "unfreeze": "none",
        "epochs": 20,
        "learning_rate": 1e-3,
        "early_stopping_patience": 3,
        **changes,
    }


def _two_phase() -> Plan:
    """LP-FT: the head until it gets no better, then all layers, gently (Kumar et al., ICLR 2022).

    The second phase's warm-up and its falling rates down the network are those of fastai's `fine_tune`, too.
    """
    return [
        _head(),
        {
            "name": "fine_tune",
            "unfreeze": "all",
            "epochs": 20,
            "learning_rate": 1e-4,
            "schedule": "cosine",
            "warmup_fraction": 0.1,
            "block_decay": 0.9,
            "optimizer": {"clip_norm": 1.0},
            "early_stopping_patience": 5,
            "augmentation": {"min_crop_fraction": 0.7},
        },
    ]


def _gradual() -> Plan:
    """Gradual unfreezing from the top (Howard and Ruder, ACL 2018), with moments that are kept.

    In quarters of the layers, each rounded up to whole blocks, so that one plan goes with four blocks and with sixty.
    """
    parts = (("quarter", 0.25, 4), ("half", 0.5, 4), ("three_quarters", 0.75, 4), ("whole", 1.0, 10))
    return [
        _head(),
        *(
            {
                "name": name,
                "unfreeze": {"fraction": fraction},
                "epochs": epochs,
                "learning_rate": 2e-4 / 2**number,
                "optimizer": {"clip_norm": 1.0, "state": "carry"},
                "early_stopping_patience": 3,
                "augmentation": {"min_crop_fraction": 0.7},
            }
            for number, (name, fraction, epochs) in enumerate(parts, start=1)
        ),
    ]


def _full() -> Plan:
    """Fine-tuning of all layers at once (Kornblith et al., CVPR 2019), with a warm-up for the fresh head's sake."""
    return [
        {
            "name": "fine_tune",
            "unfreeze": "all",
            "epochs": 20,
            "learning_rate": 1e-4,
            "schedule": "cosine",
            "warmup_fraction": 0.1,
            "rate_multipliers": {"head": 10.0},
            "optimizer": {"clip_norm": 1.0},
            "early_stopping_patience": 5,
            "augmentation": {"min_crop_fraction": 0.7},
        }
    ]


def _from_scratch(backbone: str) -> Plan:
    """AdamW with decay, a long cosine and strong augmentation, much as in ConvNeXt's recipe (Liu et al., CVPR 2022).

    Statistics of BatchNormalization are 0 and 1 at the start, so they must follow the data.
    """
    policy = {} if without_batch_norm(backbone) else {"batch_norm": "adapt"}
    return [
        {
            "name": "train",
            "unfreeze": "all",
            "epochs": 100,
            "learning_rate": 1e-3,
            "schedule": "cosine",
            "warmup_fraction": 0.05,
            "optimizer": {"name": "adamw", "weight_decay": 0.05, "clip_norm": 1.0},
            **policy,
            "augmentation": {"min_crop_fraction": 0.35, "rand_augment": {"num_operations": 2, "magnitude": 0.3}},
        }
    ]
