"""Reviews as people see them: what waits for a steward, found over all workers, and decisions put on Kafka.

Promises: what other workers hold is asked of them, and an answer says so when it is not the whole truth; a decision is
durable when it is answered.
"""

from __future__ import annotations

import asyncio
import heapq
import time
import uuid
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
from pydantic import BaseModel, Field

from isthmus.codecs import identities
from isthmus.codecs.decisions import Decision, Verb
from isthmus.codecs.identities import Native, is_held
from isthmus.codecs.reviews import Review, Side
from isthmus.config.errors import IsthmusError
from isthmus.node.letters import NotHere
from isthmus.node.orders import Orders
from isthmus.node.reading import Reading
from isthmus.node.who import Who
from isthmus.tables.letters import timestamp
from isthmus.tables.reviews import REVIEWS
from isthmus.tables.unit import partition_of

STAGE, DECISIONS = "review", "decisions"
MOST = 500


class SideView(BaseModel):
    """One of the values, or of the records, that are held against each other."""

    system: str
    native_id: str
    value: Any = None
    when: str = Field("", description="When it was said there, RFC 3339; empty where it is not known.")
    change_id: str = ""
    counts: bool = Field(False, description="It counted when the question was asked.")


class DecidedView(BaseModel):
    """What a person decided."""

    verb: str
    by: str
    at: str
    value: Any = None
    why: str = ""


class ReviewView(BaseModel):
    """A question for a steward."""

    id: str
    kind: Literal["conflict", "rejected", "match"]
    entity: str
    canonical: str
    at: str = Field(description="When it came about, by the source's clock; empty where it is not known.")
    field: str = ""
    sides: list[SideView] = Field(default_factory=list)
    reasons: list[str] = Field(default_factory=list)
    score: float | None = None
    closed: bool = False
    decided: list[DecidedView] = Field(default_factory=list)
    deeds: list[str] = Field(default_factory=list, description="What may be decided of it, by what verbs.")


class ReviewList(BaseModel):
    """Questions, the newest first."""

    reviews: list[ReviewView]
    total: int = Field(description="How many match.")
    partitions: int = Field(description="How many partitions answered.")
    complete: bool = Field(description="False while some partition's owner did not answer.")


class Sought(BaseModel):
    """Which questions; None: all."""

    kind: Literal["conflict", "rejected", "match"] | None = None
    entity: str | None = None
    state: Literal["open", "closed"] = "open"
    limit: int = Field(100, ge=1, le=MOST)

    def wants(self, review: Review) -> bool:
        """Is this one of them?"""
        return (
            (self.kind is None or review.kind == self.kind)
            and (self.entity is None or review.entity == self.entity)
            and review.closed == (self.state == "closed")
        )


class Undecidable(IsthmusError):
    """A decision that cannot be."""

    code = "UNDECIDABLE"


class Reviews:
    """Of this worker, and through it of all."""

    def __init__(self, reading: Reading, orders: Orders, who: Who) -> None:
        self._reading = reading
        self._orders = orders
        self._who = who

    async def find_all(self, sought: Sought, *, everywhere: bool) -> ReviewList:
        """The newest that match, of all workers or of this one only."""
        lists = [await self._here(sought)]
        if everywhere:
            path = f"/v1/reviews?{urlencode(sought.model_dump(exclude_none=True))}"
            lists += map(ReviewList.model_validate_json, await self._reading.members.ask_all(path))
        newest = heapq.nlargest(sought.limit, (one for part in lists for one in part.reviews), key=_place)
        held = sum(one.partitions for one in lists)
        complete = held == self._reading.runtime.topics.partitions
        return ReviewList(reviews=newest, total=sum(one.total for one in lists), partitions=held, complete=complete)

    async def _here(self, sought: Sought) -> ReviewList:
        runtime, total = self._reading.runtime, 0
        stores = [lane.stores[REVIEWS.name] for (stage, _), lane in runtime.lanes.items() if stage == STAGE]
        newest: list[ReviewView] = []
        for store in stores if runtime.ready.is_set() else ():
            held = (REVIEWS.decode(raw) for key, raw in store.scan() if not key.startswith(b"\xff"))
            found = [view(review) for review in held if sought.wants(review)]
            total += len(found)
            newest = heapq.nlargest(sought.limit, [*newest, *found], key=_place)
            await asyncio.sleep(0)  # a table may be large, and others wait for this worker
        held_here = len(stores) if runtime.ready.is_set() else 0
        return ReviewList(reviews=newest, total=total, partitions=held_here, complete=False)

    async def find(self, id: str, *, everywhere: bool = True) -> ReviewView | None:
        """One question; None where there is none. NotHere where nobody holds its partition."""
        reading, key = self._reading, id.encode()
        if reading.holds(STAGE, key):
            held = reading.local(STAGE, REVIEWS, key)
            return None if held is None else view(held)
        owner = reading.owner(STAGE, key)
        if owner is None or owner == reading.members.own_url or not everywhere:
            raise NotHere("no worker holds this partition yet")
        try:
            status, body = await reading.members.ask(owner, f"/v1/review?{urlencode({'id': id})}")
        except (aiohttp.ClientError, TimeoutError):
            raise NotHere(f"the worker that holds it does not answer: {owner}") from None
        return ReviewView.model_validate_json(body) if status == 200 else None

    async def decide(self, verb: Verb, by: str, why: str, review: ReviewView | None, pin: Decision | None) -> Decision:
        """Have it done: the answer to a question, or a pin without one. Undecidable where that makes no sense."""
        at, id = timestamp(time.time()), uuid.uuid4().hex
        if review is None:
            if pin is None:
                raise Undecidable("neither a question nor a field is named", hint="name one")
            order = Decision(id, verb, by, at, "", pin.entity, pin.canonical, pin.field, pin.value, why)
        else:
            value = answer(verb, review, None if pin is None else pin.value)
            order = Decision(id, verb, by, at, review.id, review.entity, review.canonical, review.field, value, why)
        key = (order.canonical or order.review).encode()
        partition = partition_of(key, self._reading.runtime.topics.partitions)
        await self._orders.send(DECISIONS, {partition: [order]})
        return order

    async def identify(
        self, verb: Literal["link", "apart"], by: str, why: str, review: ReviewView | None, named: Sequence[Native]
    ) -> identities.Decision:
        """Have the records of a question be one, or apart. Undecidable where that makes no sense."""
        if review is None:
            raise Undecidable("no question is named", hint="isthmus identity says it of records of which nobody asked")
        return await self._who.say(verb, review.entity, records(review, named), by, why, review.id)


def records(review: ReviewView, named: Sequence[Native]) -> Sequence[Native]:
    """The two records that are to be one, or apart. Undecidable where there are none."""
    if review.kind != "match":
        raise Undecidable(
            f"a question of kind {review.kind} is about one record", hint=f"say {' or '.join(review.deeds)}"
        )
    if review.canonical:
        hint = f"merge them in {review.sides[0].system}, or let one leave by isthmus identity unmerge"
        raise Undecidable("both are one golden record already", hint=hint)
    asked = [(side.system, side.native_id) for side in review.sides]
    chosen = list(dict.fromkeys(named)) or asked
    if len(chosen) != 2 or not set(chosen) <= set(asked):
        told = ", ".join(":".join(native) for native in asked)
        raise Undecidable("it takes two of its records", hint=f"name two of {told}")
    return chosen


def answer(verb: Verb, review: ReviewView, value: Any) -> Any:
    """The value that a decision about a question is for. Undecidable where there is none."""
    if verb not in review.deeds:
        hint = "dismiss it, or mend the record" if review.kind == "rejected" else f"say {' or '.join(review.deeds)}"
        raise Undecidable(f"a question of kind {review.kind} is not answered by {verb}", hint=hint)
    if verb == "dismiss":
        return None
    if verb == "swap":
        others = [side.value for side in review.sides if not side.counts]
        if not others:
            raise Undecidable("there is no other value", hint="pin one")
        return others[0]
    return value


def view(review: Review) -> ReviewView:
    """A question as people see it."""
    return ReviewView(
        id=review.id,
        kind=review.kind,
        entity=review.entity,
        canonical=review.canonical,
        at=review.at,
        field=review.field,
        sides=[_side(side) for side in review.sides],
        reasons=list(review.reasons),
        score=review.score,
        closed=review.closed,
        deeds=list(deeds(review)),
        decided=[DecidedView(verb=o.verb, by=o.by, at=o.at, value=o.value, why=o.why) for o in review.decided],
    )


def deeds(review: Review) -> tuple[str, ...]:
    """What a question may be answered by."""
    if review.kind == "conflict":
        return "swap", "pin", "release", "undo", "dismiss"
    if review.kind == "rejected" or review.canonical:
        return ("dismiss",)
    return ("link", "apart") if is_held(review.id) else ("link", "apart", "dismiss")


def _side(side: Side) -> SideView:
    return SideView(**{name: getattr(side, name) for name in side.__struct_fields__})


def _place(one: ReviewView) -> tuple[str, str]:
    return one.at, one.id
