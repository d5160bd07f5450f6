"""`thaw doctor`."""

from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.cli.exit_status import FAILED
from pipeline.cli.screen import command, counted, print_command, stdout_console
from pipeline.config import load_configuration
from pipeline.doctor import Finding, checks

_SYMBOLS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}
_WIDTH_OF_NAMES = 18


def doctor(config_path: Path | None, quick: bool) -> int:
    """Prints what each check finds, as it finds it.

    Returns:
        The exit status: failed if `thaw run` cannot work.
    """
    console = stdout_console()
    configuration = load_configuration(config_path) if config_path else None
    findings = []
    for what, check in checks(configuration, quick=quick):
        with console.status(f"looking at {what} …"):
            finding = check()
        findings.append(finding)
        _print(console, finding)
    _print_summary(console, findings, config_path)
    return FAILED if any(finding.status == "problem" for finding in findings) else 0


def _print(console: Console, finding: Finding) -> None:
    symbol, style = _SYMBOLS[finding.status]
    head = Text.assemble((symbol, style), f"  {finding.what:<{_WIDTH_OF_NAMES}}  ")
    indent = len(head)
    status = "" if finding.status == "ok" else f"{finding.status}: "
    fits = indent + len(status) + len(finding.found) <= console.width
    if not fits and "/" in finding.found:  # A path stays whole, on a line of its own.
        console.print(Text.assemble(head, (status or "ok", style)))
        console.print(f"   {finding.found}", soft_wrap=True)
    else:
        table = Table.grid()
        table.add_column(width=indent)
        table.add_column()
        table.add_row(head, Text.assemble((status, style), finding.found))
        console.print(table)
    if finding.remedy:
        console.print(Padding(f"→ {finding.remedy}", (0, 0, 0, indent), expand=False))


def _print_summary(console: Console, findings: list[Finding], config_path: Path | None) -> None:
    num_problems = sum(finding.status == "problem" for finding in findings)
    console.print()
    if num_problems:
        console.print(f"`{command('run')}` cannot work here: {counted(num_problems, 'problem')}.", style="bold")
    elif config_path:
        console.print("All that is needed is here:", style="bold")
        print_command(console, "run", config_path)
    else:
        console.print("All that is needed is here. With a configuration, its files are looked at, too.", style="bold")
