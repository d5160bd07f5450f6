"""Fine-tuning of image classifiers with TensorFlow and Keras; `fine_tune` is the way in from a notebook or a script.

What it needs is imported when it is asked for. By name, not with an import statement: the digests of code that key the
pipeline's cache follow those, and every module of this package would then stand for all of it.
"""

import importlib
from typing import Any

_API = ("FineTuned", "fine_tune")


def __getattr__(name: str) -> Any:
    if name in _API:
        return getattr(importlib.import_module("trainer.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_API])
