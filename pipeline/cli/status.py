"""`thaw status`."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.cli.exit_status import FAILED, PUSHED, REFUSED, Interrupted
from pipeline.cli.report import metrics_table
from pipeline.cli.screen import duration, local_time, print_path, stdout_console
from pipeline.kubeflow.connection import Connection, connected
from pipeline.kubeflow.outcome import Outcome, outcome_of
from pipeline.kubeflow.progress import RunProgress, latest_run_id, look, watch

STILL_RUNNING = 75
"""EX_TEMPFAIL of sysexits.h."""

_LAST = "last"
_STYLES = {"done": "green", "reused": "green", "running": "cyan", "failed": "red", "stopped": "red"}


def status(
    connection: Connection, run: str, wait: bool, timeout_s: float | None, poll_s: float, root: str | None
) -> int:
    """Shows the steps of a run, and the gate's verdict at its end.

    Returns:
        The exit status.
    """
    console = stdout_console()
    with connected(connection) as client:
        run_id = latest_run_id(client) if run == _LAST else run
        screen, show = _screen(console)
        try:
            with screen:
                progress = watch(client, run_id, show, poll_s, timeout_s) if wait else look(client, run_id)
        except KeyboardInterrupt as error:
            raise Interrupted(f"interrupted; run {run_id} goes on, and can be asked for again") from error
        console.print(_steps(progress))
        if not progress.has_ended:
            console.print(f"● {progress.state.lower()}", style="cyan")
            return STILL_RUNNING
        if not progress.has_succeeded:
            _print_failure(console, progress, connection)
            return FAILED
        outcome = outcome_of(client, progress, root)
    _print_outcome(console, outcome)
    return PUSHED if outcome.approved else REFUSED


def _screen(console: Console) -> tuple[AbstractContextManager[object], Callable[[RunProgress], None]]:
    """On a terminal a table that is kept up to date; in a log a line for each step that changes."""
    if console.is_terminal:
        live = Live(console=console, transient=True)
        return live, lambda progress: live.update(_steps(progress))
    seen: dict[str, str] = {}

    def show(progress: RunProgress) -> None:
        for step in progress.steps:
            if step.state != "waiting" and seen.get(step.name) != step.state:
                console.print(f"{step.name} {step.state}")
                seen[step.name] = step.state

    return nullcontext(), show


def _steps(progress: RunProgress) -> Table:
    since = f", since {local_time(progress.created_at)}" if progress.created_at else ""
    title = f"Run {progress.run_id} of {progress.pipeline_name or progress.name}{since}"
    table = Table.grid(padding=(0, 2))
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    for column in range(3):
        table.add_column(no_wrap=True, justify="right" if column == 2 else "left")
    for step in progress.steps:
        table.add_row(step.name, Text(step.state, _STYLES.get(step.state, "")), duration(step.duration_s))
    return table


def _print_failure(console: Console, progress: RunProgress, connection: Connection) -> None:
    failed = [step for step in progress.steps if step.state in ("failed", "stopped")]
    words = f": {progress.error}" if progress.error else ""
    where = f" in {', '.join(step.name for step in failed)}" if failed else ""
    console.print(Text(f"✗ {progress.state.lower()}{where}{words}", "red"))
    pods = [step.pod for step in failed if step.pod]
    if pods:
        console.print("log:")
        print_path(console, f"kubectl logs --namespace {connection.namespace} {pods[0]} main")


def _print_outcome(console: Console, outcome: Outcome) -> None:
    console.print()
    if outcome.verdict is not None:
        console.print(metrics_table(outcome.verdict))
        console.print()
    symbol, style = ("✓ ", "green") if outcome.approved else ("■ ", "yellow")
    console.print(Text.assemble((symbol, style), outcome.sentence))
    for warning in outcome.verdict.warnings if outcome.verdict else ():
        console.print(Text(f"! {warning}", "yellow"))
    console.print("the verdict is in")
    print_path(console, outcome.source)
