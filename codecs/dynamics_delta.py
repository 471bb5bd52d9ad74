"""A page of Dataverse's change tracking, to rows and deletions and back (dynamics.md §4).

Promises: pure; rows come by version and deletions after them, whatever the order on the page, because the platform only
says that it "usually" is so; links are opaque and are given as what stands below the Web API's root.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.codecs.dynamics_values import guid_of
from isthmus.config.errors import DecodeError

API_ROOT = re.compile(r"^.*?/api/data/v\d+\.\d+/")
ETAG = re.compile(r'W/"(\d+)"')
DELETED = "/$deletedEntity"


@dataclass(frozen=True, slots=True)
class Page:
    """`rows`: as the Web API shows them; `deleted`: the ids of rows that are gone; either `next_link` leads on, or
    `delta_link` to what changes after this."""

    rows: tuple[Mapping[str, Any], ...]
    deleted: tuple[str, ...]
    next_link: str | None
    delta_link: str | None


def decode_page(told: Any) -> Page:
    """The page of a JSON answer; DecodeError where it is none, or leads nowhere."""
    if not isinstance(told, Mapping) or not isinstance(told.get("value"), list):
        raise DecodeError("is no list of rows", place="value")
    entries = [_entry(one, number) for number, one in enumerate(told["value"])]
    rows = sorted((row for row in entries if isinstance(row, Mapping)), key=version_number)
    next_link, delta_link = (_path(told.get(f"@odata.{name}Link")) for name in ("next", "delta"))
    if next_link is None and delta_link is None:
        raise DecodeError("has no link: change tracking is not on", place="@odata.deltaLink")
    return Page(tuple(rows), tuple(one for one in entries if isinstance(one, str)), next_link, delta_link)


def version_number(row: Mapping[str, Any]) -> int:
    """A row's version, from the column, else from the ETag; 0 where neither is there."""
    number = row.get("versionnumber")
    if number is None and (tag := ETAG.fullmatch(str(row.get("@odata.etag")))):
        number = tag[1]
    return int(number or 0)


def _entry(one: Any, number: int) -> Mapping[str, Any] | str:
    place = f"value[{number}]"
    if not isinstance(one, Mapping):
        raise DecodeError("is no row", place=place)
    if not str(one.get("@odata.context", "")).endswith(DELETED) and one.get("reason") != "deleted":
        return one
    known = guid_of(one.get("id"))
    if known is None:
        raise DecodeError("names no record", place=f"{place}.id")
    return known


def _path(link: Any) -> str | None:
    return API_ROOT.sub("", link) if isinstance(link, str) and link else None
