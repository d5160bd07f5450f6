"""What to type next, after a run."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pipeline.cli.screen import print_command
from pipeline.config import Configuration
from pipeline.config.places import some_images
from pipeline.run_record import RunRecord

_NUM_TRIED = 20


def print_next_steps(console: Console, record: RunRecord, configuration: Configuration) -> None:
    """Prints commands that follow from how a run has ended."""
    if record.status == "pushed" and "pushed model" in record.uris:
        _after_push(console, record, configuration)
    elif record.status == "refused":
        _after_refusal(console, record, configuration)
        _approve(console, record, configuration)
    elif record.status in ("failed", "interrupted"):
        _title(console, "Try again; what is done already is reused")
        _print_run(console, record, record.overrides)


def _title(console: Console, title: str) -> None:
    console.print()
    console.print(title, style="bold")


def _after_push(console: Console, record: RunRecord, configuration: Configuration) -> None:
    image = _readable_image(configuration)
    if image is None or "://" in record.uris["pushed model"]:
        return
    _title(console, "Try the model")
    print_command(console, "predict", Path(record.uris["pushed model"]), image)


def _after_refusal(console: Console, record: RunRecord, configuration: Configuration) -> None:
    phases = configuration.model.phases
    last_rate = phases[-1].learning_rate
    if last_rate == "auto":
        return
    key = f"model.phases.{len(phases) - 1}.learning_rate"
    others = [override for override in record.overrides if override.partition("=")[0].strip() != key]
    _title(console, "Fine-tune more gently")
    _print_run(console, record, [*others, f"{key}={last_rate / 10:.2g}"])


def _approve(console: Console, record: RunRecord, configuration: Configuration) -> None:
    if record.verdict is None or record.verdict.approval is not None:
        return
    _title(console, "Push it all the same, for a reason that is kept")
    root = configuration.infrastructure.root
    print_command(console, "approve", record.run_id, "--root", root, "--reason", "…")


def _print_run(console: Console, record: RunRecord, overrides: Sequence[str]) -> None:
    settings = [word for override in overrides for word in ("--set", override)]
    print_command(console, "run", Path(record.config_path), *settings)


def _readable_image(configuration: Configuration) -> Path | None:
    """A photograph that opens: the example's first ones may be flawed on purpose."""
    from PIL import Image

    for path in some_images(configuration.data, _NUM_TRIED):
        try:
            with Image.open(path) as image:
                image.load()
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
        return path
    return None
