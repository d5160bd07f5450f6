"""Keeps a step from importing what the other steps are made of.

`tfx/components/__init__.py` imports every component of TFX, with all that these import: TFMA, TFDV, the Trainer, the
Tuner. Executors lie in packages below it, so that whoever wants one gets all. A package that is there already is not
executed again: here it is put there, empty.
"""

import importlib.util
import sys
from types import ModuleType

_PACKAGE = "tfx.components"


def skip_sibling_components() -> None:
    """From now on, `import tfx.components.evaluator.executor` imports that module and what it asks for, no more."""
    spec = importlib.util.find_spec(_PACKAGE)
    if _PACKAGE in sys.modules or spec is None:
        return
    package = ModuleType(_PACKAGE)
    package.__spec__ = spec
    package.__path__ = list(spec.submodule_search_locations or ())
    sys.modules[_PACKAGE] = package
