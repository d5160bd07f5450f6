"""The commands that speak to Kubeflow Pipelines, and what they take; each imports what it needs when it is called."""

from pathlib import Path
from typing import Annotated

import typer

_EXIT_STATUSES_OF_RUNS = (
    "[bold]Exit status[/bold]: 0 pushed · 3 refused by the gate · 2 wrong use or configuration · 1 failed · "
    "75 still running"
)
_EXIT_STATUSES = "[bold]Exit status[/bold]: 0 done · 2 wrong use or configuration · 1 failed"

Pipeline = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG|PIPELINE", help="Configuration, or what `thaw compile` made of one.", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the configuration.", show_default=False),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Give a parameter.", show_default=False),
]
PipelineRoot = Annotated[
    str | None,
    typer.Option("--pipeline-root", metavar="URL", help="Where artifacts go: s3://…, gs://…", show_default=False),
]
Experiment = Annotated[
    str | None,
    typer.Option("--experiment", metavar="NAME", help="Groups runs; else the pipeline's name.", show_default=False),
]
ServiceAccount = Annotated[
    str | None,
    typer.Option("--service-account", metavar="NAME", help="That the steps run as.", show_default=False),
]
Host = Annotated[
    str | None,
    typer.Option("--host", metavar="URL", help="Of the API; else by kubeconfig.", envvar="KF_PIPELINES_ENDPOINT"),
]
Namespace = Annotated[str, typer.Option("--namespace", metavar="NAME", help="Of Kubeflow Pipelines, or of a profile.")]
KubeContext = Annotated[
    str | None, typer.Option("--kube-context", metavar="NAME", help="Of the kubeconfig.", show_default=False)
]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates to trust.", show_default=False)
]
ScheduleName = Annotated[str, typer.Argument(metavar="NAME", help="Of the schedule.", show_default=False)]

schedule = typer.Typer(
    name="schedule",
    help="Run on a schedule, on Kubeflow Pipelines.",
    epilog=_EXIT_STATUSES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def submit(
    pipeline: Pipeline,
    overrides: Overrides = None,
    parameters: Parameters = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Of the run.", show_default=False)] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show the steps, and end with the verdict.")] = False,
    pipeline_root: PipelineRoot = None,
    experiment: Experiment = None,
    service_account: ServiceAccount = None,
    host: Host = None,
    namespace: Namespace = "kubeflow",
    kube_context: KubeContext = None,
    ca_file: CaFile = None,
) -> int:
    """Start a run on Kubeflow Pipelines.

    Credentials come from THAW_KFP_TOKEN or THAW_KFP_TOKEN_FILE, a kubeconfig, or as `kfp.Client` finds them.

    [bold]Example[/bold]: thaw submit pipeline.yaml --host http://localhost:8888 --wait
    """
    from pipeline.cli.submit import submit as command
    from pipeline.kubeflow.connection import Connection
    from pipeline.kubeflow.submission import RunSettings

    settings = RunSettings({}, pipeline_root, experiment, service_account)
    connection = Connection(host, namespace, kube_context, ca_file)
    return command(connection, pipeline, overrides or [], parameters or [], settings, name, wait)


def status(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or last.")] = "last",
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until it has ended.")] = True,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="How long to wait.", show_default=False)
    ] = None,
    poll_s: Annotated[float, typer.Option("--poll", metavar="SECONDS", min=0.05, help="How often to ask.")] = 5.0,
    root: Annotated[
        str | None,
        typer.Option("--root", metavar="URL", help="Artifact store, if the run does not say.", show_default=False),
    ] = None,
    host: Host = None,
    namespace: Namespace = "kubeflow",
    kube_context: KubeContext = None,
    ca_file: CaFile = None,
) -> int:
    """Follow a run on Kubeflow Pipelines to the gate's verdict.

    [bold]Example[/bold]: thaw status last --host http://localhost:8888
    """
    from pipeline.cli.status import status as command
    from pipeline.kubeflow.connection import Connection

    return command(Connection(host, namespace, kube_context, ca_file), run, wait, timeout_s, poll_s, root)


@schedule.command(name="create", epilog=_EXIT_STATUSES)
def create(
    pipeline: Pipeline,
    cron: Annotated[
        str, typer.Option("--cron", metavar="CRON", help="As in a crontab: '0 3 * * 1'.", show_default=False)
    ],
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="ZONE", help="Of the cluster's scheduler: it has one for all.")
    ] = "UTC",
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Of the schedule; else the pipeline's.", show_default=False),
    ] = None,
    overrides: Overrides = None,
    parameters: Parameters = None,
    catch_up: Annotated[bool, typer.Option("--catch-up", help="Make up for each missed firing.")] = False,
    while_running: Annotated[
        bool, typer.Option("--while-running", help="Change it even though a run of it is active.")
    ] = False,
    pipeline_root: PipelineRoot = None,
    experiment: Experiment = None,
    service_account: ServiceAccount = None,
    host: Host = None,
    namespace: Namespace = "kubeflow",
    kube_context: KubeContext = None,
    ca_file: CaFile = None,
) -> int:
    """Make a schedule, or make the one of that name what is said.

    Called twice, there is one schedule. No firing begins while a run of the schedule is active.

    [bold]Example[/bold]: thaw schedule create pipeline.yaml --cron '0 3 * * 1'
    """
    from pipeline.cli.schedule import Wish
    from pipeline.cli.schedule import create as command
    from pipeline.kubeflow.connection import Connection
    from pipeline.kubeflow.submission import RunSettings

    wish = Wish(
        pipeline, overrides or [], parameters or [], cron, time_zone, name, catch_up, while_running,
        RunSettings({}, pipeline_root, experiment, service_account),
    )  # fmt: skip
    return command(Connection(host, namespace, kube_context, ca_file), wish)


@schedule.command(name="list", epilog=_EXIT_STATUSES)
def list_(
    host: Host = None, namespace: Namespace = "kubeflow", kube_context: KubeContext = None, ca_file: CaFile = None
) -> int:
    """List schedules, with what each firing takes.

    [bold]Example[/bold]: thaw schedule list
    """
    from pipeline.cli.schedule import list_ as command
    from pipeline.kubeflow.connection import Connection

    return command(Connection(host, namespace, kube_context, ca_file))


@schedule.command(epilog=_EXIT_STATUSES)
def pause(
    name: ScheduleName,
    host: Host = None,
    namespace: Namespace = "kubeflow",
    kube_context: KubeContext = None,
    ca_file: CaFile = None,
) -> int:
    """Let a schedule fire no more, until it is resumed; an active run goes on.

    [bold]Example[/bold]: thaw schedule pause pets
    """
    from pipeline.cli.schedule import change_mode as command
    from pipeline.kubeflow.connection import Connection

    return command(Connection(host, namespace, kube_context, ca_file), name, enable=False)


@schedule.command(epilog=_EXIT_STATUSES)
def resume(
    name: ScheduleName,
    host: Host = None,
    namespace: Namespace = "kubeflow",
    kube_context: KubeContext = None,
    ca_file: CaFile = None,
) -> int:
    """Let a paused schedule fire again.

    [bold]Example[/bold]: thaw schedule resume pets
    """
    from pipeline.cli.schedule import change_mode as command
    from pipeline.kubeflow.connection import Connection

    return command(Connection(host, namespace, kube_context, ca_file), name, enable=True)


@schedule.command(epilog=_EXIT_STATUSES)
def delete(
    name: ScheduleName,
    host: Host = None,
    namespace: Namespace = "kubeflow",
    kube_context: KubeContext = None,
    ca_file: CaFile = None,
) -> int:
    """Delete a schedule; an active run goes on.

    [bold]Example[/bold]: thaw schedule delete pets
    """
    from pipeline.cli.schedule import delete as command
    from pipeline.kubeflow.connection import Connection

    return command(Connection(host, namespace, kube_context, ca_file), name)


def manifest(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration file (YAML).", show_default=False)],
    version: Annotated[str, typer.Option("--version", metavar="NUMBER", help="Of a pushed version.")] = "newest",
    overrides: Overrides = None,
) -> int:
    """Print the InferenceService with which KServe serves a pushed version.

    Each version has its own beside it; this is for an older one, or where the configuration has changed since.

    [bold]Example[/bold]: thaw manifest pets.yaml --version 3 | kubectl apply -f -
    """
    from pipeline.cli.manifest import manifest_ as command

    return command(config, version, overrides or [])


def add_to(app: typer.Typer) -> None:
    """Makes them commands of `thaw`."""
    app.command(epilog=_EXIT_STATUSES_OF_RUNS)(submit)
    app.command(epilog=_EXIT_STATUSES_OF_RUNS)(status)
    app.command(epilog=_EXIT_STATUSES)(manifest)
    app.add_typer(schedule)
