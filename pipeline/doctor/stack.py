"""Whether TensorFlow and TFX start, tried in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Sequence

from pipeline.doctor.finding import Finding, ok, problem, warning
from pipeline.doctor.machine import gpus

_TIMEOUT_S = 300
_PROGRAM = """
import json
import tensorflow as tf
import tfx.v1 as tfx
print(json.dumps([tf.__version__, tfx.__version__, len(tf.config.list_physical_devices("GPU"))]))
"""


def starts(program: str = _PROGRAM, timeout_s: float = _TIMEOUT_S) -> Finding:
    """Whether both can be imported, and whether TensorFlow sees the GPUs that the driver offers."""
    what = "TensorFlow and TFX"
    remedy = "make the environment anew: `uv sync --locked --reinstall`"
    try:
        done = _run([sys.executable, "-c", program], timeout_s)
    except subprocess.TimeoutExpired:
        return problem(what, f"do not start within {timeout_s:g} s", "see what the machine is busy with; try again")
    if done.returncode != 0:
        return problem(what, f"do not start: {_last_line(done.stderr)}", remedy)
    tensorflow, tfx, num_gpus = json.loads(_last_line(done.stdout))
    found = f"TensorFlow {tensorflow} and TFX {tfx} start"
    if num_gpus == 0 and _driver_offers_gpus():
        return warning(
            what,
            f"{found}, but see no GPU",
            "install CUDA's libraries: `uv pip install tensorflow[and-cuda]`",
        )
    return ok(what, f"{found}; {num_gpus} GPUs in use" if num_gpus else found)


def _run(command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)


def _driver_offers_gpus() -> bool:
    finding = gpus()
    return finding.status == "ok" and not finding.found.startswith("none")


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
