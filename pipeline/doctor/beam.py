"""What the steps run on that give their work to others."""

import socket
from pathlib import Path

from pipeline.config import BeamSettings
from pipeline.config.beam import BEAM_STEPS
from pipeline.doctor.finding import Finding, ok, problem

_MAX_CONNECTING_S = 5.0


def runners(beam: BeamSettings) -> Finding:
    """Whether job servers answer and workspaces are mounted; buckets and Dataflow are not asked."""
    settings = [beam.of(step) for step in BEAM_STEPS]
    for endpoint in sorted({item.job_endpoint for item in settings if item.job_endpoint}):
        host, _, port = endpoint.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=_MAX_CONNECTING_S).close()
        except OSError as error:
            return problem(
                "Beam", f"no job server answers at {endpoint}: {error}", "start it, or set beam.job_endpoint"
            )
    for workspace in sorted({item.workspace for item in settings if item.workspace and "://" not in item.workspace}):
        if not Path(workspace).is_dir():
            return problem(
                "Beam", f"there is no folder {workspace}", "mount beam.workspace here and where the workers run"
            )
    said = (f"{step} on {item.runner}" for step, item in zip(BEAM_STEPS, settings, strict=True))
    return ok("Beam", f"{', '.join(said)} (workers are not asked)")
