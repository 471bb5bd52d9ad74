"""The delta feed: every change of the mapped tables, by Dataverse's change tracking (dynamics.md §4).

It is the truth beside the webhooks' hints: what they lost is found here. What it promises:
- a page is given with the position after it, so that whoever stores both together misses nothing and may stop anywhere;
- at first it goes through each table once, quietly: only what changes from then on is news (matching what was there
  before is not a feed's work);
- a link that the platform refuses as expired, and columns that were not read before, make a full read, told as one, so
  that what it does not meet can be looked for;
- a deletion names no version and no user: it is a hint to look, like a webhook;
- intermediate values are lost, and a row that was made and deleted between two looks is never seen.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec
import structlog

from isthmus.codecs.arrival import Found, Reread
from isthmus.codecs.dynamics_delta import Page, decode_page
from isthmus.codecs.limits import Use
from isthmus.config.errors import DecodeError, PermanentError, PlatformError, ReplayLost, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics import records
from isthmus.systems.dynamics.errors import EXPIRED_LINK, web_api_error
from isthmus.systems.dynamics.session import UNCACHED, Session
from isthmus.systems.protocol import Delivery

LONGEST_WAIT = 300.0

log = structlog.get_logger()


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a table was read. `link`: where to go on, below the API's root; empty: at its start. `full`: the number of
    the full read that this belongs to, the first of which is quiet but for rows changed at `since` or later. `nonce`:
    given to rows of a full read that is to be heard whatever is known. `columns`: a digest of what is read."""

    columns: str
    link: str = ""
    full: int = 1
    reading: bool = True
    since: str = ""
    nonce: str | None = None

    def again(self, columns: str) -> Place:
        """The start of the next full read."""
        if self.full == 1 and self.reading:
            return Place(columns, since=self.since)
        return Place(columns, full=self.full + 1, nonce=None if columns == self.columns else columns)


class Position(msgspec.Struct, frozen=True):
    """How far an organisation's tables were read, by logical name."""

    organization: str
    tables: dict[str, Place]

    def text(self) -> str:
        """As `Delivery.position`."""
        return msgspec.json.encode(self).decode()

    def at(self, table: str, place: Place) -> Position:
        """The same with one table further on."""
        return Position(self.organization, {**self.tables, table: place})


class LinkLost(PlatformError):
    """The platform no longer knows what comes after a link."""

    code = EXPIRED_LINK


async def follow(
    environment: Session, objects: Mapping[str, SystemMapping], stored: str | None, seconds: float
) -> AsyncGenerator[Delivery, None]:
    """Every page after a stored position, for ever, with a look every so many seconds. ReplayLost where this is another
    organisation than the one that the position is of: its versions cannot be compared."""
    position = await _start(environment, stored)
    while True:
        for mapping in (one for one in objects.values() if one.listened):
            async for reached, delivery in _catch_up(environment, mapping, position):
                position = reached
                yield delivery
        await asyncio.sleep(seconds)


async def _start(environment: Session, stored: str | None) -> Position:
    told = await environment.get("WhoAmI")
    here = str(told.get("OrganizationId"))
    try:
        position = msgspec.json.decode(stored or "", type=Position)
    except msgspec.DecodeError:
        return Position(here, {})
    if position.organization != here:
        raise ReplayLost(
            f"the environment is organisation {here}, its changes were followed in {position.organization}",
            hint="point the node at the environment it knows, or give it a new namespace",
        )
    return position


async def _catch_up(
    environment: Session, mapping: SystemMapping, position: Position
) -> AsyncIterator[tuple[Position, Delivery]]:
    """The pages of one table up to now."""
    columns = digest(mapping)
    place = position.tables.get(mapping.object) or Place(columns)
    if place.columns != columns:
        place = place.again(columns)
    while True:
        try:
            page, at = await _ask(environment, mapping, place)
        except LinkLost as fault:
            log.warning("change tracking has expired: a full read begins", table=mapping.object, fault=str(fault))
            place = place.again(columns)
            continue
        except PermanentError as fault:
            log.error("a table cannot be followed", table=mapping.object, fault=str(fault), hint=fault.hint)
            return
        place = place if place.since or place.full > 1 else msgspec.structs.replace(place, since=at)
        reads = tuple(reads_of(mapping, place, page))
        place = msgspec.structs.replace(
            place,
            link=page.delta_link or page.next_link or "",
            reading=place.reading and page.delta_link is None,
        )
        position = position.at(mapping.object, place)
        yield position, Delivery((), position.text(), b"", reads=reads)
        if page.delta_link is not None:
            return


async def _ask(environment: Session, mapping: SystemMapping, place: Place) -> tuple[Page, str]:
    """The page at a place, and the platform's time; waits where it says how long to."""
    path = place.link or f"{records.collection(mapping)}?$select={records.select(mapping)}"
    prefer = f"odata.track-changes,odata.maxpagesize={environment.config.page_rows}"
    while True:
        answer = await environment.call("GET", path, headers={**UNCACHED, "Prefer": prefer})
        if answer.status == 200:
            return _page(answer.json()), _moment(answer.headers.get("date"))
        fault = web_api_error(answer.status, answer.json(), answer.retry_after)
        if place.link and (fault.code == EXPIRED_LINK or answer.status == 410):
            raise LinkLost(str(fault))
        if not isinstance(fault, TransientError) or fault.retry_after is None:
            raise fault
        await asyncio.sleep(min(fault.retry_after, LONGEST_WAIT))


def _page(told: object) -> Page:
    try:
        return decode_page(told)
    except DecodeError as fault:
        raise PermanentError(f"Dynamics answers no page of changes: {fault}", code="CHANGE_TRACKING") from fault


def _moment(date: str | None) -> str:
    """The Date header in the form of `modifiedon`."""
    at = parsedate_to_datetime(date) if date else datetime.now(UTC)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def reads_of(mapping: SystemMapping, place: Place, page: Page) -> list[Reread]:
    """What a page says, in the order in which it is to be heard."""
    full = place.full if place.reading else 0
    said = [_said(mapping, place, full, found) for found in page.rows]
    gone = [Reread(mapping.object, record_id, f"feed:{record_id}") for record_id in page.deleted]
    ends = page.delta_link is not None and full > 1
    last = (
        [Reread(mapping.object, "", f"feed:{mapping.object}/{full}", full=full, swept=True, use="batch")]
        if ends
        else []
    )
    return [*said, *gone, *last]


def _said(mapping: SystemMapping, place: Place, full: int, found: records.Found) -> Reread:
    record_id = str(found[mapping.primary_key]).lower()
    row = records.row(mapping, record_id, found)
    quiet = full == 1 and (row.changed_at or "") < place.since
    told = Found(row.fields, row.version or "", row.changed_at)
    nonce = place.nonce if place.reading else None
    correlation = f"feed:{record_id}@{row.version}"
    use: Use = "batch" if full > 1 else "interactive"
    return Reread(mapping.object, record_id, correlation, nonce=nonce, found=told, quiet=quiet, full=full, use=use)


def digest(mapping: SystemMapping) -> str:
    """Of what is read; rows are heard anew when it changes."""
    return hashlib.sha256(records.select(mapping).encode()).hexdigest()[:16]
