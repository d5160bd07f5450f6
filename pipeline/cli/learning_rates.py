"""`thaw lr`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from pipeline import root_lock
from pipeline.cli import noise
from pipeline.cli.display import Display
from pipeline.cli.report import print_places
from pipeline.cli.screen import console_on, print_command, short_path
from pipeline.config import Configuration, load_configuration
from pipeline.config.places import check_places
from trainer.errors import ThawError
from trainer.progress import listening

if TYPE_CHECKING:
    from pipeline.local import StepEvent
    from trainer.search.survey import SurveyedPhase

_LOG_FILE = "learning_rates.log"
_PICTURE = "learning_rates.png"
_STEP = "LearningRates"


def learning_rates(config_path: Path, overrides: Sequence[str]) -> int:
    """Searches a learning rate for each phase, draws the curves, and says what to set.

    Returns:
        The exit status.
    """
    configuration = load_configuration(config_path, overrides)
    check_places(configuration)
    root = configuration.infrastructure.root
    with root_lock.held(root), noise.kept_in(root / _LOG_FILE) as screen:
        console = console_on(screen)
        console.print(f"Learning rates for {configuration.name}", style="bold")
        console.print(_what_happens(configuration))
        found = _search(configuration, console)
        console.print()
        console.print(rates_table(found))
        for words in remarks(found):
            console.print(Padding(f"! {words}", (0, 0, 0, 2), expand=False), style="yellow")
        print_places(console, {"curves": str(_draw(found, root)), "log": str(root / _LOG_FILE)})
        _print_next(console, config_path, overrides, found)
    return 0


def rates_table(found: Sequence["SurveyedPhase"]) -> Table:
    """A row per phase: what is configured, and what the curve suggests."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("phase")
    for name in ("configured", "suggested", "over the sweeps", "steepest"):
        table.add_column(name, justify="right")
    table.add_column("where it lies on the curve")
    for phase in found:
        search = phase.search
        table.add_row(
            phase.phase.name,
            f"{phase.configured:g}" if isinstance(phase.configured, float) else phase.configured,
            _number(phase.suggested),
            f"{search.lowest:g} to {search.highest:g}" if search.lowest is not None else "–",
            _number(search.steepest),
            {"valley": "halfway down the fall", "before_rise": "a tenth of where it rises"}.get(
                search.rule or "", "nowhere"
            ),
        )
    return table


def remarks(found: Sequence["SurveyedPhase"]) -> list[str]:
    """What a curve does not say, and what was lowered."""
    silent = [
        f"the curve of phase {phase.phase.name!r} suggests nothing: {phase.search.reason}; keep a rate of your own"
        for phase in found
        if phase.suggested is None
    ]
    return [*silent, *(phase.note for phase in found if phase.note)]


def next_overrides(overrides: Sequence[str], found: Sequence["SurveyedPhase"]) -> list[str]:
    """The overrides of a run with the suggested rates; those that they replace are left out."""
    rates = {
        f"model.phases.{index}.learning_rate": phase.suggested
        for index, phase in enumerate(found)
        if phase.suggested is not None
    }
    others = [override for override in overrides if override.partition("=")[0].strip() not in rates]
    return [*others, *(f"{key}={rate:g}" for key, rate in rates.items())]


def _what_happens(configuration: Configuration) -> str:
    phases = configuration.model.phases
    if len(phases) == 1:
        return "Its one phase begins at rising rates, three times over; nothing of it is kept."
    return (
        "Each phase begins at rising rates, three times over. A phase begins with the model that those before have "
        f"trained, so all but the last of the {len(phases)} will be trained as planned; nothing of it is kept."
    )


def _search(configuration: Configuration, console: Console) -> "tuple[SurveyedPhase, ...]":
    from pipeline.local import TRANSFORM_STEPS, StepEvent, transform_local

    display = Display(console, (*TRANSFORM_STEPS, _STEP))
    run_id = f"learning-rates-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S-%f}"
    try:
        with display.shown(), listening(display.on_progress):
            data = transform_local(configuration, run_id, display.on_step)
            return _timed(
                lambda: _survey(configuration, data.examples, data.transform_graph), display.on_step, StepEvent
            )
    except ThawError as error:
        error.add_note(f"log:\n  {short_path(configuration.infrastructure.root / _LOG_FILE)}")
        raise


def _timed(
    work: "Callable[[], tuple[SurveyedPhase, ...]]", on_step: Callable[["StepEvent"], None], event: "type[StepEvent]"
) -> "tuple[SurveyedPhase, ...]":
    started_at = datetime.now(UTC)
    on_step(event(_STEP, "started", None))
    found = work()
    on_step(event(_STEP, "done", (datetime.now(UTC) - started_at).total_seconds()))
    return found


def _survey(configuration: Configuration, examples: str, transform_graph: str) -> "tuple[SurveyedPhase, ...]":
    from trainer import devices
    from trainer.activation_cache.store import store_at
    from trainer.datasets import open_split
    from trainer.search.survey import survey
    from trainer.training import TrainingData
    from trainer.transform_graph import read_labels
    from trainer.warm_start.origin import find_origin, open_warm_start

    size = configuration.model.image_size_px
    train, evaluated = (open_split(str(Path(examples, f"Split-{split}")), size) for split in ("train", "eval"))
    labels = read_labels(transform_graph)
    origin = find_origin(configuration.model.warm_start, configuration.infrastructure.push_destination)
    warm_start = open_warm_start(origin, configuration.model, labels) if origin is not None else None
    data = TrainingData(train=train, eval=evaluated, num_classes=len(labels), warm_start=warm_start)
    infrastructure = configuration.infrastructure
    strategy = devices.make_strategy(infrastructure.num_cpu_replicas)
    cache = store_at(infrastructure.cache_folder, infrastructure.cache.max_gib)
    return survey(configuration.model, data, strategy, cache)


def _draw(found: Sequence["SurveyedPhase"], root: Path) -> Path:
    from trainer.search.plots import draw_rate_searches

    path = root / _PICTURE
    draw_rate_searches({phase.phase.name: (phase.search, phase.suggested) for phase in found}, path)
    return path


def _print_next(
    console: Console, config_path: Path, overrides: Sequence[str], found: Sequence["SurveyedPhase"]
) -> None:
    if all(phase.suggested is None for phase in found):
        return
    console.print("\nTrain with them", style="bold")
    words = [word for override in next_overrides(overrides, found) for word in ("--set", override)]
    print_command(console, "run", config_path, *words)


def _number(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:g}"
