"""What became of a run, in words and tables; the same at its end and when asked for later."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from components.gate.verdict_schema import ClassRow, Interval, MetricRow, Verdict
from pipeline.cli.screen import counted, local_time, print_path, short_path
from pipeline.run_record import RunRecord

STYLES = {"pushed": "green", "refused": "yellow", "failed": "red", "interrupted": "red", "running": "cyan"}
_SYMBOLS = {"pushed": "✓", "refused": "■", "failed": "✗", "interrupted": "✗", "running": "●"}


_OUTCOMES = {"passed": "✓", "failed": "✗", "cannot be told": "?"}
_NUM_CLASSES_SHOWN = 10


def status_text(status: str) -> Text:
    """The status with its symbol and colour."""
    return Text(f"{_SYMBOLS[status]} {status}", STYLES[status])


def print_outcome(console: Console, record: RunRecord, *, with_reasons: bool) -> None:
    """Prints the data, both models side by side, and the verdict."""
    facts = [line for line in (_examples(record), _refusals(record), _reuse(record)) if line]
    if facts:
        console.print()
    for line in facts:
        console.print(line)
    if record.verdict is not None:
        console.print()
        console.print(metrics_table(record.verdict))
        _print_classes(console, record.verdict)
        console.print()
        _print_verdict(console, record, record.verdict, with_reasons)


def print_places(console: Console, places: dict[str, str]) -> None:
    """Prints where things are: what, and its path on a line of its own."""
    console.print()
    console.print("Where things are", style="bold")
    width = max(map(len, places))
    for name, path in places.items():
        line = f"  {name:<{width}}  {short_path(path)}"
        if len(line) <= console.width:
            console.print(line)
        else:
            console.print(f"  {name}")
            print_path(console, short_path(path))


def metrics_table(verdict: Verdict) -> Table:
    """Candidate against baseline on the test split."""
    by_weight = "" if verdict.example_weights is None else ", by their weights"
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        title=f"On {counted(verdict.num_test_examples, 'test example')}{by_weight}",
        title_justify="left",
        title_style="",
    )
    table.add_column("metric")
    table.add_column("fine-tuned", justify="right")
    table.add_column("frozen baseline", justify="right")
    table.add_column("difference", justify="right")
    confidence = 1 - 2 * verdict.settings.alpha
    table.add_column(f"{confidence:.0%} interval", justify="right")
    has_production = "production" in verdict.models
    if has_production:
        table.add_column("production", justify="right")
    for row in verdict.metrics:
        production = (_value(row.production),) if has_production else ()
        cells = (_value(row.candidate), _value(row.baseline), _difference(row), _interval(row))
        table.add_row(row.name, *cells, *production)
    return table


def _interval(row: MetricRow) -> str:
    """Of the difference as it stands beside it: a gain in what should be low is a negative difference."""
    interval: Interval | None = row.gain_over_baseline.interval if row.gain_over_baseline else None
    if interval is None or interval.low is None or interval.high is None:
        return "–"
    low, high = (interval.low, interval.high) if row.higher_is_better else (-interval.high, -interval.low)
    return f"{low:+.4f} … {high:+.4f}".replace("-0.0000", "+0.0000")


def _print_classes(console: Console, verdict: Verdict) -> None:
    """The classes whose recall has fallen most come first; the rest is in the verdict's file."""
    if not verdict.class_metrics:
        return
    worst_first = sorted(verdict.class_metrics, key=lambda row: (row.recall.difference or 0.0, row.label))
    console.print()
    console.print(classes_table(worst_first[:_NUM_CLASSES_SHOWN]))
    num_more = len(worst_first) - _NUM_CLASSES_SHOWN
    if num_more > 0:
        console.print(f"… and {counted(num_more, 'class', 'classes')} more in verdict.json")


def classes_table(rows: Sequence[ClassRow]) -> Table:
    """Recall and precision of classes, candidate against baseline."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("class")
    for name in ("images", "recall", "frozen", "difference", "precision", "frozen"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.label,
            f"{row.num_examples:,}",
            _value(row.recall.candidate),
            _value(row.recall.baseline),
            _difference(row.recall),
            _value(row.precision.candidate),
            _value(row.precision.baseline),
        )
    return table


def _value(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _difference(row: MetricRow) -> str:
    return "–" if row.difference is None else f"{row.difference:+.4f}".replace("-0.0000", "+0.0000")


def _examples(record: RunRecord) -> str:
    splits = {split: sum(classes.values()) for split, classes in record.num_examples.items()}
    if not splits:
        return ""
    num_classes = len({name for classes in record.num_examples.values() for name in classes})
    shares = " · ".join(f"{split} {number:,}" for split, number in splits.items())
    return f"{counted(sum(splits.values()), 'example')} of {counted(num_classes, 'class', 'classes')}: {shares}"


def _refusals(record: RunRecord) -> str:
    if not record.refused_images:
        return ""
    total = sum(record.refused_images.values())
    reasons = " · ".join(f"{reason} {number:,}" for reason, number in sorted(record.refused_images.items()))
    return f"{counted(total, 'photograph')} refused: {reasons}"


def _reuse(record: RunRecord) -> str:
    reused = [step.name for step in record.steps if step.state == "reused"]
    if not reused:
        return ""
    if len(reused) == len(record.steps):
        return "Nothing has changed since an earlier run, so all of its results were reused."
    steps = counted(len(record.steps), "step")
    return f"{len(reused)} of {steps} reused: nothing that they depend on has changed."


def _print_verdict(console: Console, record: RunRecord, verdict: Verdict, with_reasons: bool) -> None:
    status = record.status if verdict.approved else "refused"
    console.print(Text.assemble((f"{_SYMBOLS[status]} ", STYLES[status]), verdict.sentence))
    for rule in verdict.rules if with_reasons else ():
        # A class or a slice that has passed is one of many; the file lists it.
        if rule.outcome != "passed" or rule.kind not in ("class", "slice"):
            mark = _OUTCOMES[rule.outcome]
            console.print(Padding(Text(f"{mark} {rule.words}"), (0, 0, 0, 2), expand=False))
    for warning in verdict.warnings:
        console.print(Text(f"! {warning}", style="yellow"))
    if verdict.approval is not None:
        approval = verdict.approval
        console.print(
            Text(f"✓ {approval.who} had it pushed all the same on {local_time(approval.when)}: {approval.why}", "green")
        )


def places(record: RunRecord, run_dir: Path) -> dict[str, str]:
    """What a run has made, the pushed model and the report first, then its own record."""
    others = dict(record.uris)
    pushed = {name: others.pop(name) for name in ("pushed model",) if name in others}
    report = run_dir / "report.html"
    return {
        **pushed,
        **({"report": str(report)} if report.is_file() else {}),
        **others,
        "run record and log": str(run_dir),
    }
