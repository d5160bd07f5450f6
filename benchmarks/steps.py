"""Start-up of a step on Kubeflow Pipelines: our command against TFX's own, until the executor is there to be run."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure
from benchmarks.reporting import finish, parser_of, shown

REPOSITORY = Path(__file__).parents[1]
EXECUTORS = {
    "ImageExampleGen": "components.image_example_gen.executor",
    "StatisticsGen": "components.data_validation.statistics",
    "SchemaGen": "components.data_validation.schema",
    "ExampleValidator": "components.data_validation.validator",
    "Transform": "components.transform.executor",
    "FineTuner": "components.fine_tuner.executor",
    "Evaluator": "components.evaluator.executor",
    "Gate": "components.gate.executor",
    "Pusher": "components.pusher.executor",
}
_OURS = """
from components.kubeflow_entrypoint import command
command.skip_sibling_components()
import components.kubeflow_entrypoint.exchange
import {executor}
"""
_STOCK = """
import tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor
import {executor}
"""
_LIMIT = "import tensorflow"

Seconds = Mapping[str, Mapping[str, Sequence[float]]]
"""Of each round, by step and command ("thaw", "stock")."""


def start_up_s(code: str) -> float:
    """How long a new process takes to import so much.

    Raises:
        subprocess.CalledProcessError: it cannot.
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "2"}
    started_s = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-c", code], env=environment, check=True, capture_output=True)
    return time.perf_counter() - started_s


def measure(steps: Sequence[str], num_rounds: int) -> tuple[Seconds, Sequence[float]]:
    """Each step with either command, in turn; and what no step can do without, TensorFlow, once in each round.

    Returns:
        The seconds of the steps, and those of `import tensorflow`.
    """
    codes = {"thaw": _OURS, "stock": _STOCK}
    seconds: dict[str, dict[str, list[float]]] = {step: {name: [] for name in codes} for step in steps}
    limit_s = []
    for _ in range(num_rounds):
        limit_s.append(start_up_s(_LIMIT))
        for step in steps:
            for name, code in codes.items():
                seconds[step][name].append(start_up_s(code.format(executor=EXECUTORS[step])))
    return seconds, limit_s


def figures_of(seconds: Seconds, limit_s: Sequence[float]) -> list[Figure]:
    """The rows: medians of the rounds, and the median of the rounds' ratios."""
    figures = [Figure("import tensorflow", statistics.median(limit_s), "s")]
    for step, commands in seconds.items():
        ratios = [stock / ours for stock, ours in zip(commands["stock"], commands["thaw"], strict=True)]
        figures += [
            *(Figure(f"{step}: {name}", statistics.median(values), "s") for name, values in commands.items()),
            Figure(f"{step}: stock over thaw", statistics.median(ratios), ""),
        ]
    ours, stock = (
        sum(statistics.median(commands[name]) for commands in seconds.values()) for name in ("thaw", "stock")
    )
    return [
        *figures,
        Figure("all steps: thaw", ours, "s"),
        Figure("all steps: stock", stock, "s"),
        Figure("all steps: stock over thaw", stock / ours, ""),
    ]


def table_of(seconds: Seconds, limit_s: Sequence[float]) -> Table:
    """A line per step."""
    table = Table(title=f"start-up in s, median of the rounds; import tensorflow: {shown(statistics.median(limit_s))}")
    for header in ("step", "thaw", "stock"):
        table.add_column(header, justify="left" if header == "step" else "right")
    for step, commands in seconds.items():
        table.add_row(step, *(shown(statistics.median(values)) for values in commands.values()))
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    options = parser_of("steps", "Start-up of pipeline steps on Kubeflow.").parse_args(argv)
    console = Console(highlight=False)
    steps, num_rounds = (("Pusher",), 1) if options.smoke else (tuple(EXECUTORS), 3)
    with console.status("each step, with either command, in turn …"):
        measure(steps[:1], 1)  # the first import reads from the disk
        seconds, limit_s = measure(steps, num_rounds)
    console.print(table_of(seconds, limit_s))
    finish("steps", figures_of(seconds, limit_s), options, console)


if __name__ == "__main__":
    main()
