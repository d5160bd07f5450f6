"""That a step on Kubeflow imports what its executor asks for, and not what other steps are made of."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
BEAM, STATISTICS, EVALUATION, TRANSFORM = (
    "apache_beam",
    "tensorflow_data_validation",
    "tensorflow_model_analysis",
    "tensorflow_transform",
)
# In this order in one process: what comes later may import more.
STEPS = (
    ("components.pusher.executor", (BEAM, STATISTICS, EVALUATION, TRANSFORM, "trainer.export", "jinja2")),
    ("components.gate.executor", (BEAM, STATISTICS, EVALUATION, "trainer.classifier")),
    ("components.fine_tuner.executor", (BEAM, STATISTICS, EVALUATION)),
    ("components.data_validation.statistics", (EVALUATION,)),
)
PROGRAM = f"""
import importlib, sys
from components.kubeflow_entrypoint import command
command.skip_sibling_components()
import components.kubeflow_entrypoint.exchange
for executor, unwanted in {STEPS!r}:
    importlib.import_module(executor)
    print(executor, sorted(set(unwanted) & set(sys.modules)))
"""


@pytest.mark.slow
def test_a_step_imports_nothing_of_its_siblings() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM],
        env={"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "2", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.stdout.splitlines() == [f"{executor} []" for executor, _ in STEPS], done.stderr[-3000:]
