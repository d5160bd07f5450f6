"""How FineTuner learns where the activation cache lies, and whether to use it.

None of it changes a result, so none of it may be an execution property: TFX would train anew for another folder, and a
training that was killed would not find its checkpoints. So it goes by the environment, which containers have, too.
"""

import json
import os
from dataclasses import asdict, dataclass

from trainer.activation_cache.store import NoStore, Store, store_at
from trainer.settings import CacheMode

VARIABLE = "THAW_ACTIVATION_CACHE"


@dataclass(frozen=True)
class CachePlace:
    """What is configured.

    Attributes:
        mode: see `trainer.settings.ModelSettings.cache`.
        folder: where it lies; None for none.
        max_gib: the most that it may take.
    """

    mode: CacheMode = "auto"
    folder: str | None = None
    max_gib: float = 20.0

    def to_environment(self) -> dict[str, str]:
        """The variable that `from_environment` reads, with its value."""
        return {VARIABLE: json.dumps(asdict(self))}

    def store(self) -> Store | NoStore:
        """The cache in the folder."""
        return store_at(self.folder, self.max_gib)


def from_environment() -> CachePlace:
    """What was configured; no cache where nothing was."""
    value = os.environ.get(VARIABLE)
    return CachePlace(**json.loads(value)) if value else CachePlace()
