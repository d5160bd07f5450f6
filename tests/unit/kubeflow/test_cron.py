"""Cron is read as the scheduler of Kubeflow Pipelines reads it.

The expected times are those of robfig/cron 1.2.0, the library of that scheduler, for the same expressions.
"""

import itertools
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from pipeline.kubeflow.cron import parse_cron
from trainer.errors import ConfigurationError

# (expression, zone, after, the next firings in UTC)
FIRINGS = [
    ("0 0 3 * * *", "UTC", "2026-03-27T10", ["2026-03-28T03", "2026-03-29T03", "2026-03-30T03"]),
    ("0 0 3 * * 1", "UTC", "2026-03-27T10", ["2026-03-30T03", "2026-04-06T03", "2026-04-13T03"]),
    ("0 0 3 ? * MON-FRI", "UTC", "2026-03-27T10", ["2026-03-30T03", "2026-03-31T03", "2026-04-01T03"]),
    # Clocks are set forward over half past two, and in autumn back over it.
    ("0 30 2 * * *", "Europe/Berlin", "2026-03-27T10", ["2026-03-28T01:30", "2026-03-30T00:30", "2026-03-31T00:30"]),
    ("0 30 2 * * *", "Europe/Berlin", "2026-10-24T00", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-25T01:30"]),
    ("0 30 * * * *", "Europe/Berlin", "2026-10-24T23", ["2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30"]),
    ("0 0/5 14,18 * * *", "UTC", "2026-03-27T10", ["2026-03-27T14:00", "2026-03-27T14:05", "2026-03-27T14:10"]),
    ("0 0 0 1 * *", "America/New_York", "2026-01-15T00", ["2026-02-01T05", "2026-03-01T05", "2026-04-01T04"]),
    ("0 0 12 13 * 5", "UTC", "2026-03-27T10", ["2026-03-27T12", "2026-04-03T12", "2026-04-10T12", "2026-04-13T12"]),
    ("15 10 4 29 2 *", "UTC", "2026-03-27T10", ["2028-02-29T04:10:15"]),
    ("0 0 6-22/8 * JAN,jul *", "Asia/Kolkata", "2026-03-27T10", ["2026-07-01T00:30", "2026-07-01T08:30"]),
    ("0 */20 * * * 0", "UTC", "2026-03-28T23", ["2026-03-29T00:00", "2026-03-29T00:20", "2026-03-29T00:40"]),
    ("0 0 9 */10 * MON", "UTC", "2026-03-27T10", ["2026-05-11T09", "2026-06-01T09", "2026-08-31T09"]),
    ("0 0 9 ? * ?", "UTC", "2026-03-27T10", ["2026-03-28T09", "2026-03-29T09"]),
]
REFUSED = [
    "0 0 3 * * 7",
    "60 0 3 * * *",
    "0 0 3 L * *",
    "CRON_TZ=Europe/Berlin 0 0 3 * * *",
    "0 0 5-3 * * *",
    "0 0 */0 * * *",
    "0 0 1-2-3 * * *",
    "0 0 3 0 * *",
]


@pytest.mark.parametrize(("text", "zone", "after", "expected"), FIRINGS)
def test_firings_are_those_of_the_scheduler(text: str, zone: str, after: str, expected: list[str]) -> None:
    start = datetime.fromisoformat(after).replace(tzinfo=UTC)
    found = itertools.islice(parse_cron(text).firings(start, ZoneInfo(zone)), len(expected))
    assert list(found) == [datetime.fromisoformat(time).replace(tzinfo=UTC) for time in expected]


@pytest.mark.parametrize("text", REFUSED)
def test_what_the_scheduler_refuses_is_refused_before_it_is_sent(text: str) -> None:
    with pytest.raises(ConfigurationError, match="cron"):
        parse_cron(text)


@pytest.mark.parametrize(("crontab", "sent"), [("0 3 * * *", "0 0 3 * * *"), ("*/15 6 1 1 1", "0 */15 6 1 1 1")])
def test_a_crontab_of_five_fields_gets_its_seconds(crontab: str, sent: str) -> None:
    """The scheduler would take the five as they are, and fire every hour."""
    assert parse_cron(crontab).text == sent


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 0 3 31 2 *", "never fires"),
        ("", "has 0 fields"),
        ("@daily", "has 1 fields"),
        ("0 3 * *", "has 4 fields"),
        ("0 0 3 * * 7", "Sunday is 0"),
        ("0 0 3 * * mo", "nor one of sun, mon"),
        ("TZ=UTC 0 3 * * *", "--time-zone"),
    ],
)
def test_a_refusal_says_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        parse_cron(text)
