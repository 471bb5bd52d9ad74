"""Days and moments, out of whatever a system writes them in.

Promises: as codecs/transforms.py; a time without a zone is one of the declared zone, or of UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from isthmus.codecs.change import Value
from isthmus.codecs.transforms import Way, text
from isthmus.config.transforms import Date, Datetime, Zoned


def days(spec: Date) -> Way:
    """The two ways of a day."""
    zone = _zone(spec)

    def inward(value: Any, _: str | None) -> Value:
        told = text(value)
        if told is None:
            return None
        if spec.format is None and spec.form == "date":
            return _day(told).isoformat()
        return _read(told, spec, zone).astimezone(zone).date().isoformat()

    def outward(value: Any) -> Value:
        day = _day(value)
        midnight = datetime.combine(day, time(), zone)
        if spec.format is not None:
            return midnight.strftime(_strict(spec.format, day))
        return _utc(midnight) if spec.form == "datetime" else day.isoformat()

    return Way(inward, outward)


def moments(spec: Datetime) -> Way:
    """The two ways of a moment."""
    zone = _zone(spec)

    def inward(value: Any, _: str | None) -> Value:
        told = text(value)
        return None if told is None else _utc(_read(told, spec, zone))

    def outward(value: Any) -> Value:
        at = _read(value, Zoned(), UTC)
        if spec.format is None:
            return _utc(at)
        there = at.astimezone(zone)
        return there.strftime(_strict(spec.format, there.date()))

    return Way(inward, outward)


def _zone(spec: Zoned) -> tzinfo:
    return UTC if spec.zone is None else ZoneInfo(spec.zone)


def _day(told: Any) -> date:
    try:
        day = date.fromisoformat(told)
    except (TypeError, ValueError):
        raise ValueError("is no day, such as 2026-11-24") from None
    return day


def _read(told: Any, spec: Zoned, zone: tzinfo) -> datetime:
    try:
        at = datetime.strptime(told, spec.format) if spec.format else datetime.fromisoformat(told)
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"is no time written as {spec.format or '2026-11-24T08:30:00Z'}") from None


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _strict(form: str, day: date) -> str:
    """%Y with four digits, which the C library leaves out in years before 1000."""
    return form.replace("%Y", f"{day.year:04d}")
