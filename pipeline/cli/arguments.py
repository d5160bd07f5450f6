"""What several commands of `thaw` take."""

from pathlib import Path
from typing import Annotated

import typer

EXIT_STATUSES_OF_QUESTIONS = "[bold]Exit status[/bold]: 0 answered · 2 wrong use or configuration · 1 failed"

OptionalConfig = Annotated[
    Path | None, typer.Argument(metavar="CONFIG", help="Configuration file (YAML).", show_default=False)
]
Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Pipeline root whose runs are meant.", show_default=False),
]
Opened = Annotated[bool, typer.Option("--open/--no-open", help="Show it in a browser, where there is one.")]
