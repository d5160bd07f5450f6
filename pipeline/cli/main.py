"""The commands of `thaw` and what they take; each imports what it needs when it is called."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from pipeline.cli import kubeflow_commands
from pipeline.cli.arguments import EXIT_STATUSES_OF_QUESTIONS, OptionalConfig, Root
from pipeline.cli.exit_status import FAILED, INTERRUPTED, WRONG_USE, Interrupted
from pipeline.cli.report_commands import compare, report
from trainer.errors import ConfigurationError, ThawError

_EXIT_STATUSES = (
    "[bold]Exit status[/bold]: 0 pushed · 3 refused by the gate · 2 wrong use or configuration · "
    "1 failed · 130 interrupted"
)

app = typer.Typer(
    name="thaw",
    help="Retrains image classifiers, and lets a new model out only if it beats its frozen baseline.",
    epilog=_EXIT_STATUSES,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration file (YAML).", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one key, such as model.phases.1.learning_rate=1e-5. May be given several times.",
        show_default=False,
    ),
]


@app.command(epilog=_EXIT_STATUSES)
def run(config: Config, overrides: Overrides = None) -> int:
    """Train, compare with the frozen baseline, push what is better.

    [bold]Example[/bold]: thaw run examples/digits/config.yaml --set model.seed=1
    """
    from pipeline.cli.run import run as command

    return command(config, overrides or [])


@app.command(epilog=EXIT_STATUSES_OF_QUESTIONS)
def data(config: Config, overrides: Overrides = None) -> int:
    """Look at the photographs before training on them.

    Takes them in, or reads what was taken in last if nothing has changed; shows classes, splits, refusals and
    duplicates, and draws a report with pictures.

    [bold]Example[/bold]: thaw data examples/digits/config.yaml
    """
    from pipeline.cli.data import data as command

    return command(config, overrides or [])


@app.command(epilog=EXIT_STATUSES_OF_QUESTIONS)
def lr(config: Config, overrides: Overrides = None) -> int:
    """Find a learning rate for each phase.

    Begins each phase at rising rates, draws the loss against them, and suggests a rate; phases before the last are
    trained as planned on the way.

    [bold]Example[/bold]: thaw lr examples/digits/config.yaml
    """
    from pipeline.cli.learning_rates import learning_rates as command

    return command(config, overrides or [])


@app.command(epilog="[bold]Exit status[/bold]: 0 trained · 2 wrong use or configuration · 1 failed")
def worker(config: Config, overrides: Overrides = None) -> int:
    """Train with other machines, one of which runs the pipeline.

    TF_CONFIG names the machines, and says which of them this one is. The one that is the chief runs `thaw run`.

    [bold]Example[/bold]: thaw worker pets.yaml
    """
    from pipeline.cli.worker import worker as command

    return command(config, overrides or [])


@app.command(epilog=EXIT_STATUSES_OF_QUESTIONS)
def runs(
    config: OptionalConfig = None,
    root: Root = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to list at most.")] = 20,
) -> int:
    """List runs, newest first.

    Those of a configuration, of a pipeline root, or of all roots below this folder.

    [bold]Example[/bold]: thaw runs examples/digits/config.yaml
    """
    from pipeline.cli.runs import runs as command

    return command(config, root, limit)


@app.command(epilog=EXIT_STATUSES_OF_QUESTIONS)
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run as `thaw runs` lists it, or last.")] = "last",
    config: OptionalConfig = None,
    root: Root = None,
) -> int:
    """Say what a run did, and why it was or was not pushed.

    With both models side by side, the reasons, and where things are.

    [bold]Example[/bold]: thaw show last
    """
    from pipeline.cli.show import show as command

    return command(run, config, root)


@app.command(epilog="[bold]Exit status[/bold]: 0 pushed · 2 wrong use, or not a refused run · 1 failed")
def approve(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="A refused run as `thaw runs` lists it, or last.", show_default=False)
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept.", show_default=False)],
    config: OptionalConfig = None,
    root: Root = None,
    who: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who says so, if not the user.", show_default=False)
    ] = None,
) -> int:
    """Push a model that the gate has refused.

    Who did so, when and why is kept in the metadata and in the verdict.

    [bold]Example[/bold]: thaw approve last --reason "the old camera is gone"
    """
    from pipeline.cli.approve import approve as command

    return command(run, reason, who, config, root)


@app.command(epilog=EXIT_STATUSES_OF_QUESTIONS)
def predict(
    model_dir: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL_DIR",
            help="A SavedModel, or a folder of numbered versions of one.",
            show_default=False,
        ),
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Image files.", show_default=False)],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object per line, with the scores of all classes.")
    ] = False,
) -> int:
    """Ask a model what it sees in photographs.

    [bold]Example[/bold]: thaw predict examples/digits/serving/digits photographs/5/0001.png
    """
    from pipeline.cli.predict import predict as command

    return command(model_dir, images, as_json)


@app.command(epilog=EXIT_STATUSES_OF_QUESTIONS)
def config(
    config: OptionalConfig = None,
    overrides: Overrides = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema, for editors.")] = False,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="PLAN",
            help="Print a configuration to begin from: linear_probe, two_phase, gradual, full or from_scratch.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Check a configuration and print it with every default.

    Or print one to begin from, with a plan of phases by its name. Or print the JSON Schema of configurations, which
    lets editors complete and check them.

    [bold]Example[/bold]: thaw config examples/digits/config.yaml · thaw config --preset gradual > pets.yaml
    """
    from pipeline.cli.config import config as command

    return command(config, overrides or [], schema, preset)


@app.command(name="compile", epilog="[bold]Exit status[/bold]: 0 written · 2 wrong use or configuration · 1 failed")
def compile_(
    config: Config,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The YAML to write; - for standard output.")
    ] = Path("pipeline.yaml"),
    overrides: Overrides = None,
) -> int:
    """Compile the pipeline for Kubeflow Pipelines.

    [bold]Example[/bold]: thaw compile pets.yaml -o pipeline.yaml
    """
    from pipeline.cli.compile import compile_ as command

    return command(config, output, overrides or [])


@app.command(epilog="[bold]Exit status[/bold]: 0 `thaw run` can work · 1 it cannot · 2 wrong use or configuration")
def doctor(
    config: OptionalConfig = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do not try to start TensorFlow and TFX.")] = False,
) -> int:
    """Find what keeps `thaw run` from working, and how to mend it.

    With a configuration, its photographs, weights and folders are looked at, too.

    [bold]Example[/bold]: thaw doctor examples/digits/config.yaml
    """
    from pipeline.cli.doctor import doctor as command

    return command(config, quick)


for _command in (report, compare):
    app.command(epilog=EXIT_STATUSES_OF_QUESTIONS)(_command)
kubeflow_commands.add_to(app)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs `thaw` and exits with its status."""
    status = _status(list(sys.argv[1:] if arguments is None else arguments))
    if status == INTERRUPTED:
        # Worker threads of Beam do not hear of an interrupt; a regular exit would wait for them.
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _status(arguments: list[str]) -> int:
    from pipeline.cli.screen import command_name, tell_error

    try:
        status = app(arguments or ["--help"], prog_name=command_name(), standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        return _wrong_use(error)
    except ConfigurationError as error:
        tell_error(error)
        return WRONG_USE
    except ThawError as error:
        tell_error(error)
        return FAILED
    except Interrupted as error:
        tell_error(error)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has had enough; Python must not try to write the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status or 0


def _wrong_use(error: TyperException) -> int:
    from pipeline.cli.screen import command_name, tell_error

    context = getattr(error, "ctx", None)
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    path = context.command_path if context else command_name()
    tell_error(f"{message[:1].lower()}{message[1:].rstrip('.')}; `{path} --help` explains")
    return WRONG_USE
