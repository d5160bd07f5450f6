"""Damaged photographs of every format: each must be decoded or refused, with no crash, no hang and little memory.

Every case goes, in a worker process, through ingestion's check, and what passes through the graph that training and the
served model decode with.
"""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import reporting
from benchmarks.figures import Figure, Goal
from benchmarks.isolation import memory_so_far_mib
from benchmarks.mutations import mutate
from benchmarks.zoo import BACKGROUND, make_zoo
from components.image_example_gen.checking import check_photograph
from components.image_example_gen.refusals import Refusal
from components.image_example_gen.settings import IngestionSettings

SEED = 20261122
NUM_CASES = 20_000
NUM_SMOKE_CASES = 200
# A case may have so many pixels: 75 MB of them, which bounds the memory that any case may take.
MAX_PIXELS = 25_000_000
TIME_LIMIT_S = 20.0
START_LIMIT_S = 300.0
MEMORY_GOAL_MIB = 1500.0

DECODED = ("decoded as it is", "decoded after normalising")
CRASHED, HUNG = "crashed", "hung"


@dataclass(frozen=True)
class Answer:
    """What became of a case.

    Attributes:
        outcome: one of `DECODED`, "refused: …", or a defect.
        seconds: that it took.
        peak_mib: most memory that the worker has had so far.
    """

    outcome: str
    seconds: float
    peak_mib: float


@dataclass
class Tally:
    """All that is reported.

    Attributes:
        counts: cases by format and outcome.
        defects: name, kind of damage and outcome of each case that was neither decoded nor refused.
        slowest: seconds and name of the slowest case.
        start_mib: memory of the first worker after undamaged files.
        peak_mib: most memory that a worker had.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    defects: list[tuple[str, str, str]] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    start_mib: float = 0.0
    peak_mib: float = 0.0


def make_decoder() -> Callable[[bytes], np.ndarray]:
    """The graph's decoding, compiled once: bytes to uint8 [height, width, 3]."""
    import tensorflow as tf

    from trainer.images import decode

    signature = [tf.TensorSpec([], tf.string)]
    graph = tf.function(lambda one: decode(one, BACKGROUND, MAX_PIXELS), input_signature=signature, autograph=False)

    def run(content: bytes) -> np.ndarray:
        pixels: np.ndarray = graph(content).numpy()
        return pixels

    return run


def examine(content: bytes, decoder: Callable[[bytes], np.ndarray]) -> str:
    """Checks one file as ingestion does; what passes must also be decoded by the graph. Returns the outcome."""
    import tensorflow as tf

    settings = IngestionSettings(images="/", max_image_pixels=MAX_PIXELS, background_rgb=BACKGROUND)
    try:
        checked = check_photograph(content, settings)
    except Refusal as refusal:
        return f"refused: {refusal.reason}"
    try:
        pixels = decoder(checked.content)
    except tf.errors.OpError as error:
        return f"passed, but the graph fails: {error.message[:200]}"
    header = checked.header
    sizes = (header.height_px, header.width_px)
    expected = sizes if header.orientation < 5 else sizes[::-1]
    if pixels.shape != (*expected, 3):
        return f"wrong shape {pixels.shape} for {header}"
    return DECODED[1] if checked.is_normalised else DECODED[0]


def work(connection: Connection) -> None:
    """A worker: answers each file that comes through the connection, until an empty message."""
    import warnings

    warnings.simplefilter("ignore")  # Pillow's, on damaged EXIF data
    decoder = make_decoder()
    while content := connection.recv_bytes():
        start = time.perf_counter()
        try:
            outcome = examine(content, decoder)
        except Exception as error:  # the finding is the exception itself
            outcome = f"raised {type(error).__name__}: {error}"
        connection.send(Answer(outcome, time.perf_counter() - start, memory_so_far_mib()))


class Worker:
    """A worker process, replaced by a new one when it dies or has to be ended."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def ask(self, content: bytes) -> Answer:
        """Sends one file; an outcome is `CRASHED` or `HUNG` where no answer comes."""
        limit_s = TIME_LIMIT_S if self._process else START_LIMIT_S
        connection = self._connection or self._start()
        start = time.perf_counter()
        try:
            connection.send_bytes(content)
            if connection.poll(limit_s):
                answer: Answer = connection.recv()
                return answer
            outcome = HUNG
        except (EOFError, OSError):
            outcome = CRASHED
        self.close()
        return Answer(outcome, time.perf_counter() - start, 0)

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=work, args=(other,), daemon=True)
        self._process.start()
        other.close()
        return self._connection

    def close(self) -> None:
        """Ends the process."""
        if self._process and self._connection:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self._process = self._connection = None


def cases(num_cases: int, seed: int = SEED) -> Iterator[tuple[str, str, bytes]]:
    """Name of the file, kind of damage, and the damaged bytes; the same ones for the same seed."""
    zoo = make_zoo()
    names, contents = list(zoo), list(zoo.values())
    random = np.random.default_rng(seed)
    for number in range(num_cases):
        name = names[number % len(names)]
        kind, damaged = mutate(zoo[name], contents, random)
        if damaged:
            yield name, kind, damaged


def run(some_cases: Iterator[tuple[str, str, bytes]]) -> Tally:
    """Puts all cases to a worker."""
    tally, worker = Tally(), Worker()
    try:
        for content in make_zoo().values():
            tally.start_mib = max(tally.start_mib, worker.ask(content).peak_mib)
        for name, kind, content in some_cases:
            answer = worker.ask(content)
            _add(tally, name, kind, answer)
    finally:
        worker.close()
    return tally


def _add(tally: Tally, name: str, kind: str, answer: Answer) -> None:
    tally.counts[format_of(name), answer.outcome] += 1
    tally.slowest = max(tally.slowest, (answer.seconds, f"{name}, {kind}"))
    tally.peak_mib = max(tally.peak_mib, answer.peak_mib)
    if answer.outcome not in DECODED and not answer.outcome.startswith("refused: "):
        tally.defects.append((name, kind, answer.outcome))


def format_of(name: str) -> str:
    """The format of a form of the zoo."""
    formats = {"apng": "png"}
    return formats.get(name) or next(known for known in ("jpeg", "png", "webp", "gif", "bmp", "tiff") if known in name)


def table_of(tally: Tally) -> Table:
    """Cases by format and outcome."""
    formats = sorted({image_format for image_format, _ in tally.counts})
    table = Table(title="damaged photographs")
    table.add_column("outcome")
    for image_format in formats:
        table.add_column(image_format, justify="right")
    for outcome in sorted({outcome for _, outcome in tally.counts}):
        table.add_row(outcome, *(f"{tally.counts[image_format, outcome]:,}" for image_format in formats))
    return table


def figures_of(tally: Tally) -> list[Figure]:
    """The rows of the result."""
    num_crashed = sum(outcome == CRASHED for *_, outcome in tally.defects)
    num_hung = sum(outcome == HUNG for *_, outcome in tally.defects)
    rows = [
        Figure("cases", tally.counts.total(), "cases"),
        Figure("crashes", num_crashed, "cases", Goal("<=", 0)),
        Figure("hangs", num_hung, "cases", Goal("<=", 0)),
        Figure("neither decoded nor refused", len(tally.defects), "cases", Goal("<=", 0)),
        Figure("slowest case", tally.slowest[0], "s", Goal("<=", TIME_LIMIT_S)),
        Figure("memory after undamaged files", tally.start_mib, "MiB"),
        Figure("peak memory", tally.peak_mib, "MiB", Goal("<=", MEMORY_GOAL_MIB)),
    ]
    more = [Figure(f"{name}: {outcome}", count, "cases") for (name, outcome), count in sorted(tally.counts.items())]
    return rows + more


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs all cases, prints the tables and writes the results."""
    parser = reporting.parser_of("fuzz", __doc__.splitlines()[0])
    parser.add_argument("--cases", type=reporting.at_least_one, help=f"how many (default: {NUM_CASES})")
    options = parser.parse_args(arguments)
    num_cases = options.cases or (NUM_SMOKE_CASES if options.smoke else NUM_CASES)
    console = Console()
    tally = run(cases(num_cases))
    console.print(table_of(tally))
    for name, kind, outcome in tally.defects[:50]:
        console.print(f"{name}, {kind}: {outcome}", markup=False)
    console.print(f"slowest: {tally.slowest[1]}")
    reporting.finish("fuzz", figures_of(tally), options, console)


if __name__ == "__main__":
    main()
