"""What each way to fine-tune is worth: the same backbone, data and number of passes, over several seeds and two tasks.

The digits are near to what the backbone was pretrained on (other digits), the photographs are far from it.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Goal, mean_and_deviation
from benchmarks.isolation import run_isolated
from benchmarks.plan_list import ALL, GUIDE, MOST_EPOCHS
from benchmarks.reporting import at_least_one, finish, parser_of, shown

TASKS = ("digits", "photographs")
_FROZEN, _TWO_PHASE = "frozen only", "two-phase"
_NUM_SEEDS = 5
_PLANS_OF_TRIAL = (_FROZEN, _TWO_PHASE, GUIDE)
_MOST_EPOCHS_OF_TRIAL = 2

Row = Mapping[str, Any]
Results = Mapping[str, Mapping[str, Any]]


def of_plan(rows: Sequence[Row], plan: str, key: str) -> list[float]:
    """One value of a plan for each seed, in their order."""
    return [row[key] for row in sorted(rows, key=lambda row: row["seed"]) if row["plan"] == plan]


def gains_of(rows: Sequence[Row], plan: str, over: str) -> list[float]:
    """By how many percentage points a plan is more accurate than another with the same seed."""
    pairs = zip(of_plan(rows, plan, "accuracy"), of_plan(rows, over, "accuracy"), strict=True)
    return [100 * (ours - theirs) for ours, theirs in pairs]


def figures_of(results: Results) -> list[Figure]:
    """The rows of all tasks."""
    return [figure for task, result in results.items() for figure in _figures_of_task(task, result["rows"])]


def _figures_of_task(task: str, rows: Sequence[Row]) -> list[Figure]:
    figures = []
    for plan in _plans_of(rows):
        accuracy = mean_and_deviation([100 * value for value in of_plan(rows, plan, "accuracy")])
        log_loss = mean_and_deviation(of_plan(rows, plan, "log_loss"))
        figures += [
            Figure(f"{task}, {plan}: test accuracy, mean", accuracy[0], "%"),
            Figure(f"{task}, {plan}: test accuracy, standard deviation", accuracy[1], "percentage points"),
            Figure(f"{task}, {plan}: test log loss, mean", log_loss[0], "nats"),
            Figure(f"{task}, {plan}: test log loss, standard deviation", log_loss[1], "nats"),
        ]
    for other in (_FROZEN, GUIDE):
        gain, _ = mean_and_deviation(gains_of(rows, _TWO_PHASE, other))
        figures.append(Figure(f"{task}: {_TWO_PHASE} less {other}, mean", gain, "percentage points", Goal(">", 0)))
    return figures


def _plans_of(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["plan"] for row in rows))


def table_of(task: str, result: Mapping[str, Any]) -> Table:
    """A line per plan: mean ± standard deviation over the seeds."""
    rows, num_examples = result["rows"], result["num_examples"]
    sizes = ", ".join(f"{split} {number}" for split, number in num_examples.items())
    table = Table(
        title=f"{task}: {sizes} examples",
        caption="on the test split; gain: over the frozen backbone, same seed; ±: standard deviation over seeds",
    )
    for header in ("plan", "accuracy, %", "log loss", "gain, points", "parameters trained last", "time, s"):
        table.add_column(header, justify="left" if header == "plan" else "right")
    for plan in _plans_of(rows):
        trained = of_plan(rows, plan, "num_trainable")
        table.add_row(
            plan,
            _with_deviation([100 * value for value in of_plan(rows, plan, "accuracy")], 1),
            _with_deviation(of_plan(rows, plan, "log_loss"), 3),
            _with_deviation(gains_of(rows, plan, _FROZEN), 1),
            f"{min(trained):,}" if min(trained) == max(trained) else f"{min(trained):,} to {max(trained):,}",
            shown(mean_and_deviation(of_plan(rows, plan, "duration_s"))[0], 1),
        )
    return table


def _with_deviation(values: Sequence[float], digits: int) -> str:
    mean, deviation = mean_and_deviation(values)
    return f"{shown(mean, digits)} ± {shown(deviation, digits)}"


def run_all(
    tasks: Sequence[str], plans: Sequence[str], num_seeds: int, most_epochs: int, console: Console
) -> dict[str, dict[str, Any]]:
    """The results by task; see `benchmarks.plans_variant.measure`."""
    results: dict[str, dict[str, Any]] = {}
    for task in tasks:
        for seed in range(num_seeds):
            with console.status(f"{task}, seed {seed + 1} of {num_seeds}, {len(plans)} plans …"):
                found = run_isolated("benchmarks.plans_variant", task, seed, json.dumps(plans), most_epochs).result
            kept = results.setdefault(task, {"num_examples": found["num_examples"], "rows": []})
            kept["rows"] += found["rows"]
        console.print(table_of(task, results[task]))
        _print_found(results[task]["rows"], console)
    return results


def _print_found(rows: Sequence[Row], console: Console) -> None:
    for row in rows:
        if row.get("found"):
            console.print(f"  {row['plan']}, seed {row['seed']}: {'; '.join(row['found'])}", soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = parser_of("plans", "Ways to fine-tune, over several seeds, on two tasks.")
    parser.add_argument("--seeds", type=at_least_one, help=f"how many seeds, counted from 0 (default: {_NUM_SEEDS})")
    options = parser.parse_args(argv)
    console = Console(highlight=False)
    tasks, plans = (TASKS[1:], _PLANS_OF_TRIAL) if options.smoke else (TASKS, ALL)
    num_seeds = options.seeds or (1 if options.smoke else _NUM_SEEDS)
    results = run_all(tasks, plans, num_seeds, _MOST_EPOCHS_OF_TRIAL if options.smoke else MOST_EPOCHS, console)
    finish("plans", figures_of(results), options, console)


if __name__ == "__main__":
    main()
