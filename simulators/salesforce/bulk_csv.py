"""CSV as the Bulk API 2.0 reads and writes it (salesforce.md §4.7).

Promises: an empty cell says nothing, `#N/A` is null, `Parent.Key__c` is a reference by external id.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

from isthmus.simulators.salesforce.faults import Refused, refused
from isthmus.simulators.salesforce.schema import Object
from isthmus.simulators.salesforce.store import Row

NULL = "#N/A"
NUMBERS = ("int", "currency", "double")


def values_of(one: Object, record: Row) -> dict[str, Any]:
    """What a CSV record says: an empty cell nothing, `#N/A` null, `Parent.Key__c` a reference."""
    values: dict[str, Any] = {}
    for name, cell in record.items():
        if cell in ("", None):
            continue
        relation, dot, key = name.partition(".")
        if dot:
            values[relation] = {key: cell}
        else:
            values[name] = None if cell == NULL else _typed(one, name, cell)
    return values


def _typed(one: Object, name: str, cell: str) -> Any:
    kind = one.fields[name].type
    if kind == "boolean":
        return cell.lower() == "true"
    if kind not in NUMBERS:
        return cell
    try:
        return int(cell) if kind == "int" else float(cell)
    except ValueError:
        raise refused(400, "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{name}: value not of required type: {cell}") from None


def known(one: Object, name: str) -> bool:
    """Is this a column that the object can take?"""
    relation = name.partition(".")[0]
    return name in one.fields or (
        "." in name and {f"{relation}Id", relation.replace("__r", "__c")} & set(one.fields) != set()
    )


def error_of(fault: Refused) -> str:
    """`CODE:message:fields --`."""
    (one, *_) = fault.body
    if isinstance(one, str):
        return f"DUPLICATE_EXTERNAL_ID:more than one record found for external id field: {one}:--"
    return f"{one['errorCode']}:{one['message']}:{','.join(one['fields'])} --"


def columns_of(content: str) -> list[str]:
    """The header of an upload."""
    return next(csv.reader(io.StringIO(content, newline="")), [])


def cell_of(value: Any) -> str:
    """A value in a query's results."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_csv(columns: Iterable[str], rows: Iterable[Row], headers: Mapping[str, str] | None = None) -> web.Response:
    """A file of results."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), quoting=csv.QUOTE_ALL, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return web.Response(text=text.getvalue(), content_type="text/csv", headers=headers)
