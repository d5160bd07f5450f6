"""The plans that `benchmarks.plans` compares: the same backbone, data and number of passes, other things trained.

Every plan has 60 passes over the training split at most, and the rates of `examples/digits/config.yaml`, where its kind
has a use for them; none was chosen by looking at what came out here. `unfreeze: auto` and `learning_rate: auto` take
some more steps for their trials.
"""

from collections.abc import Mapping
from typing import Any

_HEAD_RATE, _RATE = 0.05, 0.001
_BOUNDARY = {"layer": "block2_conv"}
NUM_EPOCHS_OF_HEAD, NUM_EPOCHS_AFTER = 40, 20
MOST_EPOCHS = NUM_EPOCHS_OF_HEAD + NUM_EPOCHS_AFTER

Plan = list[dict[str, Any]] | str


def _head(epochs: int = NUM_EPOCHS_OF_HEAD, **changes: Any) -> dict[str, Any]:
    return {
        "name": "head",
        "unfreeze": "none",
        "epochs": epochs,
        "learning_rate": _HEAD_RATE,
        "early_stopping_patience": 8,
        **changes,
    }


def _tune(**changes: Any) -> dict[str, Any]:
    return {
        "name": "fine_tune",
        "unfreeze": _BOUNDARY,
        "epochs": NUM_EPOCHS_AFTER,
        "learning_rate": _RATE,
        "early_stopping_patience": 5,
        **changes,
    }


def _gradual() -> list[dict[str, Any]]:
    blocks = ("block4", "block3", "block2", "block1")
    return [
        _head(),
        *(
            _tune(name=f"from_{block}", unfreeze={"layer": f"{block}_conv"}, epochs=5, learning_rate=_RATE / 2**number)
            for number, block in enumerate(blocks)
        ),
    ]


def _full(**changes: Any) -> list[dict[str, Any]]:
    return [_tune(unfreeze="all", epochs=MOST_EPOCHS, early_stopping_patience=8, **changes)]


PLANS: Mapping[str, Plan] = {
    "frozen only": [_head(MOST_EPOCHS)],
    "full, one rate": _full(),
    "full, head at 50 times the rate": _full(rate_multipliers={"head": _HEAD_RATE / _RATE}),
    "two-phase": [_head(), _tune()],
    "two-phase, all layers": [_head(), _tune(unfreeze="all")],
    "two-phase, preset as it is": "two_phase",
    "gradual": _gradual(),
    "discriminative": [_head(), _tune(unfreeze="all", block_decay=0.5)],
    "auto depth": [_head(), _tune(unfreeze="auto")],
    "auto depth and rates": [_head(learning_rate="auto"), _tune(unfreeze="auto", learning_rate="auto")],
    "batch norm: affine_only": [_head(), _tune(batch_norm="affine_only")],
    "batch norm: adapt": [_head(), _tune(batch_norm="adapt")],
    "batch norm: recalibrate": [_head(), _tune(batch_norm="recalibrate")],
    "batch norm alone trains": [_head(), _tune(unfreeze="batch_norm")],
}
"""By name; a list of phases, or the name of a preset. "two-phase" is the example's, with BatchNormalization frozen."""

GUIDE, GUIDE_AT_THESE_RATES = "Keras guide, as it is", "Keras guide, these rates"
ALL = (*PLANS, GUIDE, GUIDE_AT_THESE_RATES)
RATES_OF_GUIDE = {GUIDE: (1e-3, 1e-5), GUIDE_AT_THESE_RATES: (_HEAD_RATE, _RATE)}
"""Of the head on the frozen backbone, and of everything after that."""


def shortened(plan: Plan, most_epochs: int) -> Plan:
    """With no more epochs than that in each phase; a preset stays as it is."""
    if isinstance(plan, str):
        return plan
    return [{**phase, "epochs": min(phase["epochs"], most_epochs)} for phase in plan]
