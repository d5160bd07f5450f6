"""`thaw schedule`."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rich import box
from rich.table import Table

from pipeline.cli.screen import stdout_console
from pipeline.cli.submit import packaged
from pipeline.kubeflow import schedules
from pipeline.kubeflow.connection import Connection, connected
from pipeline.kubeflow.cron import Cron, parse_cron
from pipeline.kubeflow.package import arguments
from pipeline.kubeflow.submission import RunSettings
from pipeline.kubeflow.window import window
from trainer.errors import ConfigurationError

_NUM_FIRINGS_SHOWN = 3


@dataclass(frozen=True)
class Wish:
    """What the user asks for; see `thaw schedule create --help`."""

    pipeline: Path
    overrides: Sequence[str]
    parameters: Sequence[str]
    cron: str
    time_zone: str
    name: str | None
    catch_up: bool
    while_running: bool
    run: RunSettings


def create(connection: Connection, wish: Wish) -> int:
    """Makes the schedule what is wished.

    Returns:
        The exit status.
    """
    cron, zone = parse_cron(wish.cron), _zone(wish.time_zone)
    with packaged(wish.pipeline, wish.overrides) as (package, root):
        given = arguments(package, wish.parameters)
        wanted = schedules.ScheduleSettings(
            name=wish.name or package.name,
            cron=cron.text,
            time_zone=wish.time_zone,
            run=dataclasses.replace(wish.run, arguments=given, pipeline_root=wish.run.pipeline_root or root),
            catch_up=wish.catch_up,
            window=window(package, given),
        )
        with connected(connection) as client:
            made, change = schedules.apply(client, package, wanted, while_running=wish.while_running)
    console = stdout_console()
    paused = "" if made.is_enabled else ", and paused; `thaw schedule resume` lets it fire"
    console.print(f"Schedule {made.name} {change}{paused}", style="bold")
    console.print(f"cron {made.cron}, {made.words}", soft_wrap=True)
    for line in _firings(cron, zone) if made.is_enabled else ():
        console.print(f"  {line}")
    return 0


def list_(connection: Connection) -> int:
    """Lists all schedules.

    Returns:
        The exit status.
    """
    with connected(connection) as client:
        found = schedules.listed(client)
    console = stdout_console()
    if not found:
        console.print("no schedules")
        return 0
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("schedule", "state", "cron", "what it says", "id"):
        table.add_column(column, overflow="fold")
    for item in found:
        maker = "" if item.digest else "not thaw's; "
        table.add_row(
            item.name, "enabled" if item.is_enabled else "paused", item.cron, f"{maker}{item.words}", item.schedule_id
        )
    console.print(table)
    twice = sorted({one.name for one in found if sum(one.name == other.name for other in found) > 1})
    if twice:
        console.print(f"! more than one: {', '.join(twice)}; `thaw schedule create` leaves one", style="yellow")
    return 0


def change_mode(connection: Connection, name: str, *, enable: bool) -> int:
    """Pauses or resumes a schedule.

    Returns:
        The exit status.
    """
    with connected(connection) as client:
        schedules.change_mode(client, name, enable=enable)
    print(f"Schedule {name} {'resumed' if enable else 'paused'}")
    return 0


def delete(connection: Connection, name: str) -> int:
    """Deletes a schedule.

    Returns:
        The exit status.
    """
    with connected(connection) as client:
        schedules.delete(client, name)
    print(f"Schedule {name} deleted; its runs are kept")
    return 0


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigurationError(f"--time-zone {name}: there is no such time zone; such as Europe/Berlin") from None


def _firings(cron: Cron, zone: ZoneInfo) -> list[str]:
    times = itertools.islice(cron.firings(datetime.now(UTC), zone), _NUM_FIRINGS_SHOWN)
    return [
        f"{time.astimezone(zone):%a %Y-%m-%d %H:%M:%S %Z}" + ("" if zone.key == "UTC" else f" ({time:%H:%M} UTC)")
        for time in times
    ]
