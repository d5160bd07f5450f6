"""The commands of `thaw` that make pages about runs, and what they take."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.arguments import Opened, OptionalConfig, Root


def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run as `thaw runs` lists it, or last.")] = "last",
    config: OptionalConfig = None,
    root: Root = None,
    is_opened: Opened = True,
    pdf: Annotated[
        Path | None, typer.Option("--pdf", metavar="FILE", help="Print it, too.", show_default=False)
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Take a picture of it, too.", show_default=False)
    ] = None,
) -> int:
    """Open the report of a run.

    One HTML file with the verdict, every rule, curves, confusions, and the images whose answer changed. PDF and PNG are
    made by Chromium.

    [bold]Example[/bold]: thaw report last --pdf report.pdf
    """
    from pipeline.cli.run_report import report as command

    return command(run, config, root, is_opened=is_opened, pdf=pdf, png=png)


def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="A run as `thaw runs` lists it, or last.")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="Another one.")],
    config: OptionalConfig = None,
    root: Root = None,
    is_opened: Opened = True,
) -> int:
    """Set two runs side by side.

    Verdicts, metrics with intervals, photographs, and what differs in the configurations; also of runs that failed.

    [bold]Example[/bold]: thaw compare 2026-11-22T15-04-05 last
    """
    from pipeline.cli.compare import compare as command

    return command(first, second, config, root, is_opened=is_opened)
