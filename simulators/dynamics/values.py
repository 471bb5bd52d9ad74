"""Column values: from Web API JSON to the stored form and back, and as people read them.

Promises: `to_json(parse(...))` is what a read shows; a value that does not fit raises the platform's own Fault
(dynamics.md §3.3). Stored forms: text, int, bool, Decimal for money and decimals, aware datetime, Reference, None.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.schema import Column, Table

GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
LARGEST_MONEY = 100_000_000_000


@dataclass(frozen=True, slots=True)
class Reference:
    """A lookup's value."""

    table: str
    id: str


Value = str | int | bool | Decimal | datetime | Reference | None


def parse(table: Table, column: Column, value: Any) -> Value:
    """The stored form of a JSON value. An empty text is null, as in the real thing."""
    if value is None or value == "":
        return None
    return _PARSERS.get(column.kind, _choice)(table, column, value)


def to_json(value: Value) -> Any:
    """As Web API JSON has it: money is a number, a lookup its id, a date ends in Z."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return value.id if isinstance(value, Reference) else value


def formatted(column: Column, value: Value) -> str | None:
    """As people read it; None where the platform shows the plain value."""
    if value is None:
        return None
    if column.is_choice and isinstance(value, int):
        return column.options.get(value, str(value))
    if isinstance(value, Decimal):
        return f"${value:,.2f}" if column.kind == "money" else str(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return f"{value:,}" if isinstance(value, int) else None


def comparable(value: Any) -> Any:
    """The form in which the database compares: text without regard to case, references and GUIDs by id."""
    if isinstance(value, Reference):
        return value.id
    return value.casefold() if isinstance(value, str) else value


def instant(text: str) -> datetime:
    """An ISO 8601 instant, to the second; ValueError where it is none."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).replace(microsecond=0)


def _wrong_type(table: Table, value: Any, edm: str) -> faults.Fault:
    return faults.payload(table.collection, f"Cannot convert the literal '{value}' to the expected type '{edm}'.")


def _text(table: Table, column: Column, value: Any) -> Value:
    if not isinstance(value, str):
        raise _wrong_type(table, value, "Edm.String")
    if len(value) > column.max_length:
        raise faults.too_long(table.name, column.name, column.max_length)
    return value


def _int(table: Table, column: Column, value: Any) -> Value:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(table, value, "Edm.Int32")
    if not column.low <= value <= column.high:
        raise faults.out_of_range(table.name, column.name, "0x80044330", f"{column.low}..{column.high}")
    return value


def _number(table: Table, column: Column, value: Any) -> Value:
    if not isinstance(value, int | float | Decimal) or isinstance(value, bool):
        raise _wrong_type(table, value, "Edm.Decimal")
    number = Decimal(str(value))
    if abs(number) > LARGEST_MONEY:
        raise faults.out_of_range(table.name, column.name, "0x80044330", f"-{LARGEST_MONEY}..{LARGEST_MONEY}")
    return number.quantize(Decimal("0.01")) if column.kind == "money" else number


def _bool(table: Table, column: Column, value: Any) -> Value:
    if not isinstance(value, bool):
        raise _wrong_type(table, value, "Edm.Boolean")
    return value


def _choice(table: Table, column: Column, value: Any) -> Value:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(table, value, "Edm.Int32")
    if value not in column.options:
        accepted = ",".join(map(str, column.options))
        raise faults.out_of_range(table.name, column.name, "0x8004431A", accepted)
    return value


def _datetime(table: Table, column: Column, value: Any) -> Value:
    try:
        return instant(value.isoformat() if isinstance(value, datetime) else value)
    except (TypeError, ValueError):
        raise _wrong_type(table, value, "Edm.DateTimeOffset") from None


def _guid(table: Table, column: Column, value: Any) -> Value:
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise _wrong_type(table, value, "Edm.Guid")
    return value.lower()


_PARSERS: dict[str, Callable[[Table, Column, Any], Value]] = {
    "string": _text,
    "int": _int,
    "bigint": _int,
    "decimal": _number,
    "money": _number,
    "bool": _bool,
    "datetime": _datetime,
    "guid": _guid,
}
