"""Writing records of Finance & Operations, where number sequences make a POST not repeatable (dynamics.md §5.3).

Promises: a record that carries our reference is never created again. A create searches for the reference first; where
its answer is lost it searches again, and until the lost request can no longer be under way nothing is created for that
reference. An update never creates.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from weakref import WeakValueDictionary

from isthmus.codecs.change import Value
from isthmus.codecs.operations_keys import COMPANY, key_of, literal, record_id
from isthmus.config.errors import ConflictError, DecodeError, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.http import Answer
from isthmus.systems.operations.errors import odata_error
from isthmus.systems.operations.records import Found, collection, pages
from isthmus.systems.operations.session import EVERY_COMPANY, Session
from isthmus.systems.plain import plain
from isthmus.systems.protocol import Write, Written

ETAG = re.compile(r'W/"[^"]*"')
# A version of our own numbering ends so where the entity gives no ETag (tables/rows.py).
UNTAGGED = re.compile(r" #\w+")
# Refused before anything was done, or undone by the database.
UNTOUCHED = ("HTTP_429", "DEADLOCK")
PATH_SAFE = "=,()'"


class Writer:
    """Writes to one environment; holds which creates are in doubt, and nothing else."""

    def __init__(self, environment: Session) -> None:
        self._environment = environment
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._doubts: dict[str, float] = {}

    async def write(self, mapping: SystemMapping, wish: Write) -> Written:
        """Update or delete by id; else find by our reference and update, or create."""
        if wish.record_id is not None and wish.delete:
            return await self._delete(mapping, wish, wish.record_id)
        if wish.record_id is not None:
            return await self._update(mapping, wish, wish.record_id)
        name = f"{mapping.object}/{self._company(wish)}/{wish.external_id}"
        turn = self._turns.setdefault(name, asyncio.Lock())
        # Two creates of one reference at once would both find nothing.
        async with turn:
            known = await self._find(mapping, wish)
            if known is not None:
                self._doubts.pop(name, None)
                return await self._update(mapping, wish, known)
            return await self._create(mapping, wish, name)

    async def named(self, mapping: SystemMapping, reference: str) -> Value:
        """How other records name the one that carries a reference: by the one column of its key that is no company.
        TransientError where there is none yet, PermanentError where its key is of several columns."""
        own = [name for name in mapping.key_columns if name != COMPANY]
        if len(own) != 1:
            raise PermanentError(f"{mapping.object} is named by {', '.join(own)} together", code="UNSUPPORTED")
        known = await self._find(mapping, Write(mapping.object, reference, None, {}))
        if known is None:
            text = f"no {mapping.object} carries the reference {reference} yet"
            raise TransientError(text, code="PARENT_MISSING", of_record=True)
        return plain(key_of(known)[own[0]])

    # -- create

    async def _create(self, mapping: SystemMapping, wish: Write, name: str) -> Written:
        self._wait_out(name)
        try:
            answer = await self._environment.call("POST", _path(mapping), json=self._body(mapping, wish))
            if answer.status == 201:
                return _created(mapping, wish, answer.json())
            raise odata_error(answer.status, answer.json(), answer.retry_after)
        except ConflictError as fault:
            # There is nothing to read again.
            raise TransientError(str(fault), code=fault.code, of_record=True) from fault
        except TransientError as fault:
            if fault.code in UNTOUCHED:
                raise
            return await self._found_after(mapping, wish, name, fault)

    async def _found_after(self, mapping: SystemMapping, wish: Write, name: str, fault: TransientError) -> Written:
        """Nobody knows whether it was created: look; where it is not there now, it may still come."""
        self._doubts[name] = time.monotonic() + self._environment.config.settle
        known = await self._find(mapping, wish)
        if known is None:
            raise TransientError(
                f"{fault}; nobody knows whether the record was created",
                code="IN_DOUBT",
                retry_after=max(fault.retry_after or 0.0, self._environment.config.settle),
                of_record=fault.of_record,
            ) from fault
        self._doubts.pop(name, None)
        return Written(known, None, created=True)

    def _wait_out(self, name: str) -> None:
        until = self._doubts.get(name)
        if until is None:
            return
        left = until - time.monotonic()
        if left > 0:
            text = "an earlier create may still be under way"
            raise TransientError(text, code="IN_DOUBT", retry_after=left, of_record=True)
        del self._doubts[name]

    async def _find(self, mapping: SystemMapping, wish: Write) -> str | None:
        """The record that carries our reference; PermanentError where several do."""
        keys = mapping.key_columns
        condition = f"{mapping.external_id} eq {literal(mapping.external_id, wish.external_id)}"
        if COMPANY in keys and self._company(wish):
            condition = f"{COMPANY} eq {literal(COMPANY, self._company(wish))} and {condition}"
        columns = ",".join(dict.fromkeys((*keys, mapping.external_id)))
        path = f"{_path(mapping)}&$select={columns}&$filter={quote(condition, safe='')}"
        # The database compares without regard to case and trailing blanks.
        found = [
            record_id(row, keys)
            async for row in pages(self._environment, path)
            if _same(row.get(mapping.external_id), wish.external_id)
        ]
        if len(found) > 1:
            raise PermanentError(
                f"{len(found)} {mapping.object} carry the reference {wish.external_id}",
                code="MULTIPLE_MATCHES",
                hint="find out which one is right and empty the reference of the others",
            )
        return found[0] if found else None

    def _company(self, wish: Write) -> str:
        return str(wish.fields.get(COMPANY) or self._environment.config.company).lower()

    def _body(self, mapping: SystemMapping, wish: Write) -> dict[str, Any]:
        body = {name: value for name, value in wish.fields.items() if value is not None}
        if COMPANY in mapping.key_columns and self._company(wish):
            body[COMPANY] = self._company(wish)
        return {**body, mapping.external_id: wish.external_id}

    # -- update

    async def _update(self, mapping: SystemMapping, wish: Write, one: str) -> Written:
        condition = _condition(wish.if_version)
        headers = {"If-Match": condition} if condition else {}
        path = f"/data/{collection(mapping)}({_predicate(mapping, one)})?{EVERY_COMPANY}"
        answer = await self._environment.call("PATCH", path, json=_changed(mapping, wish), headers=headers)
        if answer.status not in (200, 204):
            raise _refusal(answer, wish)
        # An ETag has no order, so none is told: the version comes with the next read.
        return Written(one, None, created=False)

    async def _delete(self, mapping: SystemMapping, wish: Write, one: str) -> Written:
        condition = _condition(wish.if_version)
        headers = {"If-Match": condition} if condition else {}
        path = f"/data/{collection(mapping)}({_predicate(mapping, one)})?{EVERY_COMPANY}"
        answer = await self._environment.call("DELETE", path, headers=headers)
        # What is not there any more was deleted.
        if answer.status not in (200, 204, 404):
            raise _refusal(answer, wish)
        return Written(one, None, created=False)


def _condition(version: str | None) -> str | None:
    """The If-Match header: the ETag of the version that must still be there."""
    if not version:
        return None
    tag = ETAG.search(version)
    if version.endswith(".deleted") or not (tag or UNTAGGED.search(version)):
        raise ConflictError(f"{version!r} is the version of no live record")
    return tag[0] if tag else None


def _changed(mapping: SystemMapping, wish: Write) -> Mapping[str, Any]:
    keys = mapping.key_columns
    return {name: value for name, value in wish.fields.items() if name not in keys}


def _predicate(mapping: SystemMapping, one: str) -> str:
    try:
        return quote(record_id(key_of(one), mapping.key_columns), safe=PATH_SAFE)
    except DecodeError:
        raise ConflictError(f"{one!r} is the id of no {mapping.object}") from None


def _path(mapping: SystemMapping) -> str:
    return f"/data/{collection(mapping)}?{EVERY_COMPANY}"


def _created(mapping: SystemMapping, wish: Write, told: Any) -> Written:
    """What a 201 says. A reference that was not kept as given could never be found again."""
    found: Found = told if isinstance(told, dict) else {}
    try:
        one = record_id(found, mapping.key_columns)
    except DecodeError:
        raise TransientError("Operations does not say which record it made", code="ANSWER") from None
    if not _same(found.get(mapping.external_id), wish.external_id):
        raise PermanentError(
            f"{one} was made, but {mapping.external_id} does not keep our reference",
            code="REFERENCE_LOST",
            hint="map a reference column that is long enough and that nothing in Finance & Operations overwrites",
        )
    return Written(one, None, created=True)


def _same(told: Any, reference: str) -> bool:
    return isinstance(told, str) and told.rstrip() == reference.rstrip()


def _refusal(answer: Answer, wish: Write) -> PlatformError:
    """Why an update was refused. A record that is not there is read again, where it was known before."""
    fault = odata_error(answer.status, answer.json(), answer.retry_after)
    if answer.status == 404:
        fault = ConflictError(str(fault), code=fault.code)
    if wish.record_id is None and wish.if_version is None and isinstance(fault, ConflictError):
        return TransientError(str(fault), code=fault.code, of_record=True)
    return fault
