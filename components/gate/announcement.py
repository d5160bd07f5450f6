"""One line in the log for each decision of the gate, for alerts on logs: its form is documented and does not change."""

import json
import sys

from components.gate.verdict_schema import Verdict

MARK = "THAW_VERDICT"


def announce(verdict: Verdict) -> None:
    """Writes `THAW_VERDICT {"approved": …, "pushes": …, "sentence": …}` to standard error, on a line of its own."""
    said = {"approved": verdict.approved, "pushes": verdict.pushes, "sentence": verdict.sentence}
    print(f"{MARK} {json.dumps(said)}", file=sys.stderr, flush=True)
