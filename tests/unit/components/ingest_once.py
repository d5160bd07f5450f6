"""One run of ImageExampleGen's executor, in a process that may be killed. Imports are done when it starts."""

import warnings
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import jinja2  # noqa: F401  (the report imports these late; here, so that it is done once)
import matplotlib.backends.backend_agg
import matplotlib.figure
import matplotlib.font_manager  # noqa: F401
import scipy.stats  # noqa: F401
from tfx.dsl.components.base import base_beam_executor
from tfx.types import standard_artifacts

from components.artifacts import Quarantine
from components.image_example_gen import staging
from components.image_example_gen.executor import Executor
from components.image_example_gen.settings import IngestionSettings

NUM_ENTRIES_PER_CHUNK = 16
# The image has no effect here, but without one TFX packs itself up for the workers each time, which takes a second.
BEAM = [
    "--runner=components.in_process_runner.InProcessRunner",
    "--direct_running_mode=in_memory",
    "--sdk_container_image=none",
]


def ingest_once(settings: dict[str, Any], folder: Path, begun: Event) -> None:
    """Writes `examples` and `quarantine` into a folder."""
    warnings.simplefilter("ignore")
    staging.NUM_ENTRIES_PER_CHUNK = NUM_ENTRIES_PER_CHUNK
    examples, quarantine = standard_artifacts.Examples(), Quarantine()
    examples.uri, quarantine.uri = str(folder / "examples"), str(folder / "quarantine")
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=BEAM, tmp_dir=str(folder.parent / "temporary"), unique_id="1"
    )
    properties = {"settings": IngestionSettings.model_validate(settings).to_json()}
    begun.set()
    Executor(context).Do({}, {"examples": [examples], "quarantine": [quarantine]}, properties)
