"""`thaw submit`, and from a configuration or a compiled pipeline to the latter."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.cli.screen import print_command, stdout_console
from pipeline.kubeflow.connection import Connection, connected
from pipeline.kubeflow.package import Package, arguments, is_package, read_package
from pipeline.kubeflow.submission import RunSettings
from pipeline.kubeflow.submission import submit as start
from trainer.errors import ConfigurationError


def submit(
    connection: Connection,
    pipeline: Path,
    overrides: Sequence[str],
    parameters: Sequence[str],
    settings: RunSettings,
    name: str | None,
    wait: bool,
) -> int:
    """Starts a run.

    Returns:
        The exit status.
    """
    from pipeline.cli.status import status

    console = stdout_console()
    with packaged(pipeline, overrides) as (package, root):
        root = settings.pipeline_root or root
        given = dataclasses.replace(settings, arguments=arguments(package, parameters), pipeline_root=root)
        with connected(connection) as client:
            run_id = start(client, package, given, name)
    console.print(f"Run {run_id} of {package.name} submitted", style="bold")
    if wait:
        return status(connection, run_id, True, None, 5.0, root)
    console.print("Follow it to the verdict")
    print_command(console, "status", run_id, *_place(connection))
    return 0


@contextlib.contextmanager
def packaged(pipeline: Path, overrides: Sequence[str]) -> Iterator[tuple[Package, str | None]]:
    """The compiled pipeline of a file: itself, or what its configuration is compiled to; and where artifacts go.

    Raises:
        ConfigurationError: the file is neither, or overrides are given for what is compiled already.
    """
    if is_package(pipeline):
        if overrides:
            raise ConfigurationError(
                f"{pipeline} is compiled already, and --set changes nothing in it; give its configuration, or use "
                "--parameter"
            )
        yield read_package(pipeline), None
        return
    from pipeline.kubeflow.compiling import compile_to

    with tempfile.TemporaryDirectory(prefix="thaw-") as folder:
        path = Path(folder, "pipeline.yaml")
        root = compile_to(pipeline, overrides, path)
        yield read_package(path), root


def _place(connection: Connection) -> list[str]:
    namespace = ["--namespace", connection.namespace] if connection.namespace != "kubeflow" else []
    return [*(["--host", connection.host] if connection.host else []), *namespace]
