"""When a schedule fires: cron as the scheduler of Kubeflow Pipelines 2.16 reads it (robfig/cron 1.2.0).

It takes six fields, the first of them seconds. Five it takes too, but as seconds to months: `0 3 * * *`, daily at
three in a crontab, fires every hour there. So five fields are read here as a crontab means them, and six are sent. A
time zone cannot be sent: `TZ=` and `CRON_TZ=` are refused, and all schedules of a cluster follow one zone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

from trainer.errors import ConfigurationError

# Not those of `calendar`, which follow the locale.
_MONTHS = {"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6}
_MONTHS |= {"jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12}
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
# name, least, greatest, names
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("seconds", 0, 59, {}),
    ("minutes", 0, 59, {}),
    ("hours", 0, 23, {}),
    ("days of the month", 1, 31, {}),
    ("months", 1, 12, _MONTHS),
    ("days of the week", 0, 6, _DAYS),
)
_RANGE = re.compile(r"(?P<first>\*|\?|\w+)(-(?P<last>\w+))?(/(?P<step>\d+))?")
_MAX_DAYS_AHEAD = 5 * 366  # as far as the scheduler looks


@dataclass(frozen=True)
class Cron:
    """A parsed cron expression.

    Attributes:
        text: the six fields that are sent.
        fields: for each field the values at which it fires.
        any_day: whether the days of the month, and those of the week, begin with a star.
    """

    text: str
    fields: tuple[frozenset[int], ...]
    any_day: tuple[bool, bool]

    def firings(self, after: datetime, time_zone: ZoneInfo) -> Iterator[datetime]:
        """The times at which it fires, in UTC; a time that a change of clocks skips is left out."""
        seconds, minutes, hours, *_ = (sorted(values) for values in self.fields)
        first = after.astimezone(time_zone).date()
        for num_days in range(_MAX_DAYS_AHEAD):
            day = first + timedelta(days=num_days)
            if not self._is_day(day):
                continue
            instants = {
                instant
                for hour in hours
                for minute in minutes
                for second in seconds
                for instant in _instants(day, time_of_day(hour, minute, second), time_zone)
            }
            yield from (instant for instant in sorted(instants) if instant > after)

    def _is_day(self, day: date) -> bool:
        *_, days, months, weekdays = self.fields
        if day.month not in months:
            return False
        matches = day.day in days, day.isoweekday() % 7 in weekdays
        # Two restricted fields mean either; a star leaves the decision to the other one.
        return all(matches) if any(self.any_day) else any(matches)


def parse_cron(text: str) -> Cron:
    """Reads a crontab's five fields, or six with seconds first.

    Raises:
        ConfigurationError: the scheduler would refuse it, or it never fires.
    """
    words = text.split()
    if words and "=" in words[0]:
        raise ConfigurationError(
            f"cron {text!r} begins with {words[0]!r}, which Kubeflow Pipelines refuses: all schedules of a cluster "
            "follow one zone; leave it out, and say with --time-zone which one that is"
        )
    if len(words) not in (5, 6):
        raise ConfigurationError(
            f"cron {text!r} has {len(words)} fields; a crontab has five, such as '0 3 * * 1' for Mondays at three, "
            "and seconds may come before them"
        )
    words = ["0", *words] if len(words) == 5 else words
    fields = tuple(_field(word, *field, text) for word, field in zip(words, _FIELDS, strict=True))
    any_day = tuple(any(part[0] in "*?" for part in words[index].split(",")) for index in (3, 5))
    cron = Cron(" ".join(words), fields, (any_day[0], any_day[1]))
    if next(cron.firings(datetime.now(UTC), ZoneInfo("UTC")), None) is None:
        raise ConfigurationError(f"cron {text!r} never fires within five years; is there such a day?")
    return cron


def _field(word: str, name: str, least: int, greatest: int, names: dict[str, int], text: str) -> frozenset[int]:
    values: set[int] = set()
    for part in word.split(","):
        try:
            values |= _values(part, least, greatest, names)
        except ValueError as error:
            hint = "; Sunday is 0" if name == "days of the week" and "7" in part else ""
            raise ConfigurationError(f"cron {text!r}: {part!r} among the {name} {error}{hint}") from None
    return frozenset(values)


def _values(part: str, least: int, greatest: int, names: dict[str, int]) -> set[int]:
    match = _RANGE.fullmatch(part)
    if match is None:
        raise ValueError("is no number, range or step, such as 5, 1-5 or */10")
    step = int(match["step"] or 1)
    if step == 0:
        raise ValueError("has a step of 0")
    if match["first"] in "*?":
        if match["last"]:
            raise ValueError("is no range")
        first, last = least, greatest
    else:
        first = _number(match["first"], names)
        last = _number(match["last"], names) if match["last"] else (greatest if match["step"] else first)
    if not least <= first <= last <= greatest:
        raise ValueError(f"does not lie between {least} and {greatest}, the smaller first")
    return set(range(first, last + 1, step))


def _number(word: str, names: dict[str, int]) -> int:
    if word.lower() in names:
        return names[word.lower()]
    if not (word.isascii() and word.isdecimal()):
        raise ValueError("is no number" + (f", nor one of {', '.join(names)}" if names else ""))
    return int(word)


def _instants(day: date, time: time_of_day, time_zone: ZoneInfo) -> Iterator[datetime]:
    """In UTC: one; two where clocks are set back over it; none where they are set forward over it."""
    for fold in (0, 1):
        instant = datetime.combine(day, time.replace(fold=fold), time_zone).astimezone(UTC)
        if instant.astimezone(time_zone).replace(tzinfo=None) == datetime.combine(day, time):
            yield instant
