"""Dead letters as people see them: found over all workers, and orders for them put on Kafka.

Promises: what another worker holds is asked there, and an answer says so when it is not the whole truth; an order is
answered when the owner of the letter's partition has carried it out, or says that it is under way still.
"""

from __future__ import annotations

import asyncio
import heapq
import time
import uuid
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import urlencode

import aiohttp

from isthmus.codecs.letters import Action, Order, partition_named
from isthmus.config.errors import IsthmusError
from isthmus.node.letters_views import DeedView, LetterLine, LetterList, LetterView, Wanted, line, whole
from isthmus.node.orders import Orders
from isthmus.node.reading import Reading
from isthmus.tables.letters import LETTERS, Letter, letters_of, timestamp
from isthmus.tables.unit import View

STAGE = "letters"
PATIENCE = 10.0


class NotHere(IsthmusError):
    """No worker holds the letter's partition now."""

    code = "NOT_HERE"
    retryable = True
    hint = "try again in a few seconds"


class Letters:
    """Of this worker, and through it of all."""

    def __init__(self, reading: Reading, orders: Orders) -> None:
        self._reading = reading
        self._orders = orders

    # -- reading

    async def find_all(self, wanted: Wanted, limit: int, before: str, *, everywhere: bool) -> LetterList:
        """The newest that match, of all workers or of this one only; `before`: the `next` of an earlier list."""
        lists = [await self._here(wanted, limit, before)]
        if everywhere:
            asked = {**wanted.model_dump(exclude_none=True), "limit": limit, "before": before}
            told = await self._reading.members.ask_all(f"/v1/dead?{urlencode(asked)}")
            lists += map(LetterList.model_validate_json, told)
        lines = heapq.nlargest(limit, (line for one in lists for line in one.letters), key=_place)
        total, held = sum(one.total for one in lists), sum(one.partitions for one in lists)
        more = any(one.next for one in lists) or sum(len(one.letters) for one in lists) > len(lines)
        following = _mark(lines[-1]) if more and lines else None
        complete = held == self._reading.runtime.topics.partitions
        return LetterList(letters=lines, total=total, next=following, partitions=held, complete=complete)

    async def _here(self, wanted: Wanted, limit: int, before: str) -> LetterList:
        now, total, views = time.time(), 0, self._views()
        newest: list[LetterLine] = []
        after = 0
        for view in views:
            found = list(wanted.among(letters_of(view), now))
            total += len(found)
            rest = [line(one) for one in found if not before or _mark(one) < before]
            after += len(rest)
            newest = heapq.nlargest(limit, [*newest, *rest], key=_place)
            await asyncio.sleep(0)  # a table may be large, and others wait for this worker
        following = _mark(newest[-1]) if after > len(newest) and newest else None
        return LetterList(letters=newest, total=total, next=following, partitions=len(views), complete=False)

    def _views(self) -> list[View]:
        runtime = self._reading.runtime
        if not runtime.ready.is_set():
            return []
        return [lane.stores[LETTERS.name] for (stage, _), lane in runtime.lanes.items() if stage == STAGE]

    async def find(self, letter: str, *, everywhere: bool = True) -> LetterView | None:
        """One letter; None where there is none. NotHere where nobody holds its partition."""
        partition, runtime = partition_named(letter), self._reading.runtime
        if partition is None or partition >= runtime.topics.partitions:
            return None
        if (STAGE, partition) in runtime.lanes and runtime.ready.is_set():
            return whole(runtime.lanes[STAGE, partition].stores[LETTERS.name], letter)
        if not everywhere:
            raise NotHere("no worker holds this partition yet")
        return await self._elsewhere(partition, letter)

    async def _elsewhere(self, partition: int, letter: str) -> LetterView | None:
        members = self._reading.members
        owner = members.owner(self._reading.runtime.topics.topic("dead"), partition)
        if owner is None or owner == members.own_url:
            raise NotHere("no worker holds this partition yet")
        try:
            status, body = await members.ask(owner, f"/v1/dead/{letter}")
        except (aiohttp.ClientError, TimeoutError):
            raise NotHere(f"the worker that holds it does not answer: {owner}") from None
        if status not in (200, 404):
            raise NotHere(f"the worker that holds it is not ready: {owner}")
        return LetterView.model_validate_json(body) if status == 200 else None

    # -- orders

    async def order(
        self, action: Action, letters: Sequence[str], by: str, payload: str | None
    ) -> dict[str, DeedView | None]:
        """Have it done; what was done by letter, None where it is under way still. Letters that are not there are left
        out. NotHere, KafkaError: nothing is known of it."""
        ids = list(dict.fromkeys(letters))
        there = [one for one, found in zip(ids, await asyncio.gather(*map(self.find, ids)), strict=True) if found]
        at = timestamp(time.time())
        orders = [Order(uuid.uuid4().hex, one, action, by, at, payload) for one in there]
        frames: dict[int, list[Order]] = defaultdict(list)
        for order in orders:
            frames[partition_named(order.letter) or 0].append(order)
        await self._orders.send(STAGE, frames)
        deeds = await asyncio.gather(*map(self._deed, orders))
        return dict(zip(there, deeds, strict=True))

    async def _deed(self, order: Order) -> DeedView | None:
        """What came of an order, as soon as something has."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    if (deed := await self._noted(order)) is not None:
                        return deed
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return None

    async def _noted(self, order: Order) -> DeedView | None:
        try:
            found = await self.find(order.letter)
        except NotHere:
            return None
        return next((deed for deed in found.deeds if deed.order == order.id), None) if found else None


def _place(one: LetterLine | Letter) -> tuple[str, str]:
    return one.last, one.id


def _mark(one: LetterLine | Letter) -> str:
    return " ".join(_place(one))
