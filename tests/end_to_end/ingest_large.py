"""One measured process: python -m tests.end_to_end.ingest_large PHOTOGRAPHS WORK_FOLDER."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.isolation import memory_so_far_mib, report_from

IMAGE_SIZE_PX = 224
SCHEMA = Path(__file__).parents[2] / "benchmarks" / "schema.pbtxt"


def measure(arguments: Sequence[str], work: Path) -> dict[str, Any]:
    """Ingests a folder of photographs and transforms them; says how much memory that took at most."""
    from benchmarks.pipelines import run_components
    from components.data_validation.importing import ImportSchema
    from components.image_example_gen.component import ImageExampleGen
    from components.image_example_gen.settings import IngestionSettings
    from components.transform.component import Transform
    from trainer import devices

    (photographs,) = arguments
    devices.prepare(None)
    example_gen = ImageExampleGen(IngestionSettings(images=photographs, stratify=True, max_refused_fraction=0.0))
    schema_gen = ImportSchema(str(SCHEMA))
    transform = Transform(
        example_gen.outputs["examples"], schema_gen.outputs["schema"], {"image_size_px": IMAGE_SIZE_PX}
    )
    after_imports_mib = memory_so_far_mib()
    run = run_components([example_gen, schema_gen, transform], work)
    return {
        "after_imports_mib": after_imports_mib,
        "peak_mib": memory_so_far_mib(),
        "durations_s": run.durations_s,
    }


if __name__ == "__main__":
    report_from(measure)
