"""Reading records of Finance & Operations by OData (dynamics.md §5.3).

Promises: a read answers for every id that it was asked for; what F&O shows for empty (an empty text, 1900-01-01) is
None. A row's version is its ETag, which tells equal from different and nothing more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from isthmus.codecs.change import Value
from isthmus.codecs.operations_keys import COMPANY, key_of, literal, record_id
from isthmus.config.errors import DecodeError, PermanentError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.operations.session import EVERY_COMPANY, Session
from isthmus.systems.plain import plain
from isthmus.systems.protocol import Row

URL_BYTES = 6_000
IDS_A_REQUEST = 100
EMPTY = ("", "1900-01-01T12:00:00Z", "1900-01-01T00:00:00Z")

Found = Mapping[str, Any]


async def read(environment: Session, mapping: SystemMapping, record_ids: Sequence[str]) -> list[Row]:
    """The mapped columns of these records, one Row an id in the order asked."""
    asked = list(dict.fromkeys(record_ids))
    found: dict[str, Found] = {}
    for condition in conditions(mapping, asked):
        async for one in pages(environment, query(mapping, condition)):
            found[folded(mapping, one)] = one
    return [row(mapping, one, found.get(_folded(mapping, one))) for one in asked]


async def scan(environment: Session, mapping: SystemMapping) -> AsyncIterator[Row]:
    """Every record of the company, each once, by pages. Pages are counted, so a record that is deleted meanwhile may
    hide another: what is missing is to be confirmed id by id."""
    company = environment.config.company
    condition = f"{COMPANY} eq {literal(COMPANY, company)}" if company and COMPANY in mapping.key_columns else None
    seen: set[int] = set()
    ordered = f"&$orderby={','.join(mapping.key_columns)}"
    async for found in pages(environment, query(mapping, condition) + ordered):
        one = record_id(found, mapping.key_columns)
        if hash(one) not in seen:
            seen.add(hash(one))
            yield row(mapping, one, found)


# -- asking


def conditions(mapping: SystemMapping, record_ids: Sequence[str]) -> Iterator[str]:
    """$filter expressions, each short enough for a URL, that find these records; ids that are none are left out.
    There is no `in`: keys that differ in their last column alone share the rest."""
    groups: dict[str, list[str]] = {}
    for one in record_ids:
        parts = _parts(mapping, one)
        if parts:
            groups.setdefault(" and ".join(parts[:-1]), []).append(parts[-1])
    room = URL_BYTES - len(query(mapping, None))
    for shared, last in groups.items():
        for some in _chunks(last, max(room - len(quote(shared)), 1)):
            either = " or ".join(some)
            yield f"{shared} and ({either})" if shared else either


def _parts(mapping: SystemMapping, one: str) -> list[str]:
    try:
        key = key_of(one)
        return [f"{name} eq {literal(name, key.get(name))}" for name in mapping.key_columns]
    except DecodeError:
        return []


def _chunks(parts: Sequence[str], room: int) -> Iterator[list[str]]:
    some: list[str] = []
    size = 0
    for part in parts:
        width = len(quote(part)) + len(quote(" or "))
        if some and (size + width > room or len(some) == IDS_A_REQUEST):
            yield some
            some, size = [], 0
        some.append(part)
        size += width
    if some:
        yield some


def query(mapping: SystemMapping, condition: str | None) -> str:
    """The request for the records of a condition, below the environment's root, percent-encoded."""
    columns = ",".join(dict.fromkeys((*mapping.key_columns, *mapping.columns)))
    chosen = f"&$filter={quote(condition, safe='')}" if condition else ""
    return f"/data/{collection(mapping)}?{EVERY_COMPANY}&$select={columns}{chosen}"


async def pages(environment: Session, path: str) -> AsyncIterator[Found]:
    """The rows of a request, page by page as they are asked for."""
    following: str | None = path
    while following:
        page = await environment.get(following)
        for one in page["value"]:
            yield one
        link = page.get("@odata.nextLink")
        following = environment.below(str(link)) if link else None


def collection(mapping: SystemMapping) -> str:
    """The entity set; PermanentError where the mapping names none."""
    if mapping.collection is None:
        raise PermanentError(
            f"operations {mapping.object} has no collection", code="UNMAPPED", hint="name it in the mapping"
        )
    return mapping.collection


# -- answering


def row(mapping: SystemMapping, one: str, found: Found | None) -> Row:
    """A row as a Row; None is one that is not there."""
    if found is None:
        return Row(one, exists=False, fields={})
    fields = {name: _value(found.get(name)) for name in mapping.columns}
    return Row(one, exists=True, fields=fields, version=str(found.get("@odata.etag") or "") or None)


def _value(told: Any) -> Value:
    value = plain(told)
    return None if isinstance(value, str) and value in EMPTY else value


def folded(mapping: SystemMapping, found: Found) -> str:
    """A row's id as the database compares it, without regard to case."""
    return record_id(found, mapping.key_columns).casefold()


def _folded(mapping: SystemMapping, one: str) -> str:
    try:
        return record_id(key_of(one), mapping.key_columns).casefold()
    except DecodeError:
        return ""
