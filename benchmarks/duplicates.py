"""Near-duplicates: of changed copies planted among 10,000 distinct images, how many are found, and how many others.

The thresholds were chosen with seed 0; the figures are of another seed. Copies: the same bytes; JPEG of quality 50 to
95; 0.5 to 0.8 times the size; mirrored left to right; and, for information, up to 3 % cropped from each side, and
0.8 to 1.2 times as bright. Two images count as found if they end up in one group; a false alarm is a pair of images
that do not come from the same one.
"""

import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.figures import Figure, Goal, ratio
from benchmarks.lookalikes import CHANGES, Sample, cheap_decode, samples
from benchmarks.reporting import finish, parser_of, shown
from components.image_example_gen.duplicates.grouping import components_of
from components.image_example_gen.duplicates.pairs import Found, find_pairs
from components.image_example_gen.duplicates.signature import Signature, signature_of

SEED = 1
_WITH_GOALS = ("exact", "re-encoded", "resized", "flipped")


@dataclass(frozen=True)
class Plan:
    """How many distinct images, and how many copies of each kind."""

    num_images: int
    num_copies: int


FULL = Plan(num_images=10_000, num_copies=500)
SMOKE = Plan(num_images=600, num_copies=40)


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
        recall: by kind of copy, in [0, 1].
        missed: (original, copy, kind) of the copies that were not found.
        false_alarms: pairs of images that do not come from the same one.
        num_pairs: all pairs.
        found: as it came.
        signature_s: median time of one signature, decoding left out.
        search_s: time of the search.
    """

    recall: Mapping[str, float]
    missed: Sequence[tuple[str, str, str]]
    false_alarms: Sequence[tuple[str, str]]
    num_pairs: int
    found: Found
    signature_s: float
    search_s: float


def search(planted: Sequence[Sample]) -> Outcome:
    """Takes the signatures of all images, finds the pairs, and holds them against the truth."""
    signatures: dict[str, Signature] = {}
    durations_s = []
    for sample in planted:
        pixels, full_size_px = cheap_decode(sample.content)
        start_s = time.perf_counter()
        signatures[sample.path] = signature_of(pixels, full_size_px)
        durations_s.append(time.perf_counter() - start_s)
    start_s = time.perf_counter()
    found = find_pairs(signatures)
    search_s = time.perf_counter() - start_s
    return judge(planted, found, statistics.median(durations_s), search_s)


def judge(planted: Sequence[Sample], found: Found, signature_s: float, search_s: float) -> Outcome:
    """Holds the pairs against the truth."""
    groups = components_of(found.pairs)
    copies = [sample for sample in planted if sample.change]
    originals = {sample.path: sample.original for sample in planted}
    missed = [
        (copy.original, copy.path, copy.change)
        for copy in copies
        if groups.get(copy.path, copy.path) != groups.get(copy.original, copy.original)
    ]
    num_missed, num_planted = Counter(kind for *_, kind in missed), Counter(copy.change for copy in copies)
    alarms = [(pair.first, pair.second) for pair in found.pairs if originals[pair.first] != originals[pair.second]]
    recall = {kind: 1 - num_missed[kind] / num_planted[kind] for kind in CHANGES}
    return Outcome(recall, missed, alarms, len(found.pairs), found, signature_s, search_s)


def figures_of(outcome: Outcome, num_images: int) -> list[Figure]:
    """All rows."""
    recalls = [
        Figure(f"recall, {kind}", value, "", Goal(">=", 0.99) if kind in _WITH_GOALS else None)
        for kind, value in outcome.recall.items()
    ]
    num_alarms = len(outcome.false_alarms)
    return [
        *recalls,
        Figure(f"false alarms among {num_images:,} images", num_alarms, "pairs", Goal("<=", 10)),
        Figure("precision", ratio(outcome.num_pairs - num_alarms, outcome.num_pairs), ""),
        Figure("images too plain to compare", outcome.found.num_plain, "images"),
        Figure("comparisons left out", sum(item.num_comparisons for item in outcome.found.unchecked), "comparisons"),
        Figure("one signature, median", outcome.signature_s * 1e3, "ms", Goal("<=", 0.25)),
        Figure("search, in one process", outcome.search_s, "s"),
    ]


def table_of(outcome: Outcome, plan: Plan) -> Table:
    """Recall by kind of copy."""
    table = Table(title=f"duplicates: {plan.num_copies} copies of each kind among {plan.num_images:,} distinct images")
    for header in ("copy", "recall"):
        table.add_column(header, justify="right" if header == "recall" else "left")
    for kind, value in outcome.recall.items():
        table.add_row(kind, shown(value, digits=3))
    return table


def main(argv: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = parser_of("duplicates", "Finds changed copies that were planted among distinct images.")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the images and the copies (default: {SEED})")
    options = parser.parse_args(argv)
    console, plan = Console(highlight=False), SMOKE if options.smoke else FULL
    with console.status("drawing images …"):
        planted = list(samples(plan.num_images, plan.num_copies, options.seed))
    with console.status("searching …"):
        outcome = search(planted)
    console.print(table_of(outcome, plan))
    for original, copy, kind in outcome.missed:
        console.print(f"missed: {copy} of {original} ({kind})")
    for first, second in outcome.false_alarms:
        console.print(f"false alarm: {first} and {second}")
    finish("duplicates", figures_of(outcome, plan.num_images), options, console, {"seed": options.seed})


if __name__ == "__main__":
    main()
