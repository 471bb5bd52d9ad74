"""`isthmus trace ID...`: whole histories of records, from source change to target write, read from Kafka's topics.

Promises: read committed, and nothing is written; as many ids at once as are asked for, for one reading; prints a timeline,
or JSON; 0 where every id was found, 1 where one was not.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from isthmus.codecs.frames import encode
from isthmus.config.errors import IsthmusError
from isthmus.config.mapping import ENTITIES, load_mappings
from isthmus.config.settings import NodeSettings, Settings
from isthmus.node.hints import Name
from isthmus.node.steps import HintedAt, Seen, Step, steps
from isthmus.node.trail import Trail, waits
from isthmus.node.webhooks import name_reader
from isthmus.tables.unit import partition_of

FEW = 8
FETCH_BYTES = 16 << 20


def run_trace(settings: Settings, ids: Sequence[str], *, as_json: bool) -> int:
    """Trace; the exit code."""
    trail = Trail(list(dict.fromkeys(ids)))
    try:
        asyncio.run(_trace(settings, trail))
    except KafkaError as fault:
        hint = "is Kafka running, and is `kafka.url` right?"
        raise IsthmusError(f"{settings.kafka.bootstrap} cannot be read: {fault!r}", hint=hint) from None
    tell = _print if as_json else _show
    tell(trail)
    return 1 if trail.missing() else 0


async def _trace(settings: Settings, trail: Trail) -> None:
    mappings = load_mappings(settings.entities_dir or ENTITIES)
    hinted = {name: partial(_named, name_reader(name, mappings)) for name in ("dynamics", "operations")}
    async with _log(settings, hinted) as log:
        await _identify(log, trail)
        trail.begin()
        records = trail.records()
        if not records:
            return
        # What merge has seen says which native records there are to look for.
        async for step in log.read(("merge", "events.", "writes.", "deliveries-"), needles=records, places=records):
            trail.keep(step)
        natives = trail.natives()
        async for step in log.read(("hints.", "rereads.", "changes.", "links"), needles=natives, places=natives):
            trail.keep(step)
        async for step in log.read(("dead", "letters")):
            trail.keep(step)


def _named(name: Name, body: bytes) -> str | None:
    found = name(body)
    return None if found is None else found.record_id


async def _identify(log: Log, trail: Trail) -> None:
    """Which records are meant? Merge knows nearly all of them; what never came so far is on a topic before it."""
    for topics in (("links", "merge"), ("changes.", "events.", "dead")):
        if missing := trail.missing():
            async for step in log.read(topics, needles=missing):
                trail.look(step)
    if strangers := [one for one in trail.natives() if one not in trail.canonicals]:
        async for step in log.read(("links",), needles=strangers, places=strangers):
            trail.learn(step)


class Log:
    """The node's topics, read from their beginning to what is committed now."""

    def __init__(
        self, consumer: AIOKafkaConsumer, node: NodeSettings, hinted: Mapping[str, HintedAt], shown: Progress
    ) -> None:
        self._consumer = consumer
        self._node = node
        self._hinted = hinted
        self._shown = shown

    async def read(
        self, topics: Collection[str], needles: Collection[str] = (), places: Collection[str] = ()
    ) -> AsyncIterator[Step]:
        """The steps that topics tell of (those of a name that ends in . or - all), one topic after another. `needles`:
        records without any of these ids may be passed over; `places`: only the partitions of these keys."""
        found = [needle(one) for one in needles] if len(needles) <= FEW else []
        for name in await self._named(topics):
            async for seen in self._records(name, places):
                if not found or any(one in (seen.value or b"") for one in found):
                    for step in steps(seen, self._hinted):
                        yield step

    async def _named(self, topics: Collection[str]) -> list[str]:
        there = await self._consumer.topics()
        before = self._node.namespace
        own = sorted(name.removeprefix(before) for name in there if name.startswith(before))
        return [name for one in topics for name in own if name == one or (one[-1] in ".-" and name.startswith(one))]

    async def _records(self, name: str, places: Collection[str]) -> AsyncIterator[Seen]:
        consumer, count = self._consumer, self._node.partitions
        numbers = {partition_of(one.encode(), count) for one in places} if places else range(count)
        parts = [TopicPartition(f"{self._node.namespace}{name}", number) for number in sorted(numbers)]
        consumer.assign(parts)
        ends, begins = await consumer.end_offsets(parts), await consumer.beginning_offsets(parts)
        for part in parts:
            consumer.seek(part, begins[part])
        task = self._shown.add_task(name, total=sum(ends[part] - begins[part] for part in parts))
        while left := [part for part in parts if await consumer.position(part) < ends[part]]:
            for part, records in (await consumer.getmany(*left, timeout_ms=100)).items():
                self._shown.update(task, advance=records[-1].offset + 1 - records[0].offset)
                for one in records:
                    yield Seen(name, part.partition, one.offset, one.timestamp, one.key, one.value, one.headers)
        self._shown.remove_task(task)


def needle(id: str) -> bytes:
    """The bytes that are in every record that holds an id, be it whole or as a system's native id."""
    return encode(id.partition(":")[2] or id)[1:-1]


@asynccontextmanager
async def _log(settings: Settings, hinted: Mapping[str, HintedAt]) -> AsyncIterator[Log]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=50,
    )
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as shown:
        try:
            await consumer.start()
            yield Log(consumer, settings.node, hinted, shown)
        finally:
            await consumer.stop()


# -- telling


def _print(trail: Trail) -> None:
    told = {"records": [_told(trail, key) for key in trail.records()], "missing": trail.missing()}
    sys.stdout.write(orjson.dumps(told).decode() + "\n")


def _told(trail: Trail, key: str) -> dict[str, Any]:
    history = trail.history(key)
    took = waits(history)
    steps_ = [asdict(one) | {"seconds": took.get(one.place)} for one in history]
    asked = [one for one in trail.wanted if key in trail.keys.get(one, ())]
    return {"id": key, "natives": _natives(trail, key), "asked": asked, "steps": steps_}


def _natives(trail: Trail, key: str) -> list[str]:
    return sorted(native for native, canonical in trail.canonicals.items() if canonical == key)


def _show(trail: Trail) -> None:
    screen = Console()
    for key in trail.records():
        screen.print(Text(" ".join([key, *_natives(trail, key)]), style="bold"))
        screen.print(_timeline(trail, key))
    for asked in trail.missing():
        print(f"error: no topic knows {asked}", file=sys.stderr)


def _timeline(trail: Trail, key: str) -> Table:
    history = trail.history(key)
    took = waits(history)
    table = Table(box=None, header_style="bold")
    for name in ("time", "step", "where", "what"):
        table.add_column(name, no_wrap=name in ("time", "step"), overflow="fold")
    changes = {one for one in trail.wanted if key in trail.keys.get(one, ())} - {key, *_natives(trail, key)}
    for one in history:
        after = f", {took[one.place]} s after the change came" if one.place in took else ""
        style = "bold" if any(one.concerns(asked) for asked in changes) else ""
        table.add_row(one.at, one.step, one.native or one.system, Text(one.what + after), style=style)
    return table
