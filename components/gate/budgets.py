"""The rules about what the exported model may cost."""

from collections.abc import Iterator

from components.gate.settings import BudgetSettings
from components.gate.verdict_schema import ModelFacts, Outcome, RuleOutcome, Subject


def budget_rules(facts: ModelFacts, budgets: BudgetSettings, subject: Subject) -> Iterator[RuleOutcome]:
    """What the exported model may cost."""
    measured = {row.batch_size: row for row in facts.latency}
    for batch_size in (1, 32):
        for share in ("p50", "p95"):
            limit = getattr(budgets.latency, f"batch_{batch_size}_{share}_ms")
            row = measured.get(batch_size)
            what = f"latency, {'1 image' if batch_size == 1 else f'{batch_size} images'}, {share}"
            yield from _budget(what, getattr(row, f"{share}_ms") if row else None, limit, "ms", subject)
    yield from _budget("size on disk", facts.size_mib, budgets.size_mib, "MiB", subject)
    yield from _budget("parameters", facts.num_parameters, budgets.num_parameters, "", subject)


def _budget(what: str, value: float | None, limit: float | None, unit: str, subject: Subject) -> Iterator[RuleOutcome]:
    if limit is None:
        return
    outcome: Outcome = "cannot be told" if value is None else "passed" if value <= limit else "failed"
    shown, most = (f"{part:,.4g} {unit}".rstrip() if unit else f"{part:,.0f}" for part in (value or 0, limit))
    words = {
        "cannot be told": f"its {what} could not be measured",
        "passed": f"its {what} is {shown}, within {most}",
        "failed": f"its {what} is {shown}, over the budget of {most}",
    }[outcome]
    yield RuleOutcome(
        kind="budget",
        name=what,
        subject=subject,
        value=value,
        threshold=limit,
        unit=unit,
        outcome=outcome,
        refuses=outcome != "passed",
        words=words,
    )
