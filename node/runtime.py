"""The runtime: which lanes live here. Faust says which partitions are ours; this opens, recovers and closes them.

Promises: a lane works only when its tables are whole and nobody else can write for them (node/owners.py); a partition
taken away is finished and closed before Kafka gives it to another worker.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from faust.types import TP

from isthmus.codecs.frames import FRAME_BYTES, Stamp
from isthmus.config.errors import IsthmusError
from isthmus.node.ending import end
from isthmus.node.feeding import Feed
from isthmus.node.following import Neighbours
from isthmus.node.lane import Lane
from isthmus.node.owners import take
from isthmus.node.recovery import extents, recover
from isthmus.node.standby import Copies, Standby
from isthmus.node.topics import Topics
from isthmus.node.writer import Writer
from isthmus.tables.stage import Stage, Step, no_step
from isthmus.tables.store import Store, rooms, shared_cache

log = structlog.get_logger()
STALL_SECONDS = 10.0
STUCK_SECONDS = 120.0


class StuckError(IsthmusError):
    """Nothing goes on although there is something to do."""

    code = "STUCK"
    retryable = True
    hint = "the supervisor's restart is the cure; if it comes again, look at Kafka's own log"


class Runtime:
    """All lanes of this worker, by stage name and partition."""

    def __init__(
        self,
        app: Any,
        topics: Topics,
        bootstrap: str,
        data_dir: Path,
        die: Callable[[BaseException], None],
        *,
        deadline: float = 30.0,
        frame_bytes: int = FRAME_BYTES,
        cache_bytes: int = 256 << 20,
        standby: bool = False,
        at: Step = no_step,
    ) -> None:
        self.topics = topics
        self.stages: dict[str, Stage] = {}
        self.lanes: dict[tuple[str, int], Lane] = {}
        self.ready = asyncio.Event()
        self._app = app
        self._bootstrap = bootstrap
        self._data_dir = data_dir
        self._die = die
        self._frame_bytes = frame_bytes
        # A name that no other process ever has, so that fencing it hits nobody else.
        self._writer = Writer(bootstrap, f"{app.conf.id}-{secrets.token_hex(8)}", deadline, at)
        self._at = at
        self._cache = shared_cache(cache_bytes)
        self._standby = Standby(bootstrap, self._cache) if standby else None
        self._turning = asyncio.Lock()
        self._turning_since: float | None = None
        self._opening: asyncio.Task[None] | None = None
        self._stalled: dict[tuple[str, int], int] = {}
        self._positions: dict[TP, tuple[int, float]] = {}
        self._feed = Feed(app, lambda stage, partition: self.lanes.get((stage, partition)))
        app.on_partitions_assigned.connect(self._assigned)
        app.on_partitions_revoked.connect(self._revoked)

    def add(self, stage: Stage) -> None:
        """Let Faust feed a stage: one agent, named after it."""
        self.stages[stage.name] = stage
        names = [self.topics.topic(name) for name in stage.topics]
        raw = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
        channel = self._app.topic(*names, **raw)

        async def drive(stream: Any) -> None:
            async for event in stream.noack().events():
                await self._feed.offer(stage, event)

        self._app.agent(channel, name=stage.name)(drive)

    # -- partitions come and go

    async def _assigned(self, app: Any, assigned: set[TP], **_: Any) -> None:
        await asyncio.shield(asyncio.create_task(self._turn_over(assigned), name="partitions come"))

    async def _revoked(self, app: Any, revoked: set[TP], **_: Any) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish and close every lane; safe to call twice, and finished even where nobody waits for it any more."""
        await asyncio.shield(asyncio.create_task(self._turn_over(None), name="partitions go"))

    async def _turn_over(self, assigned: set[TP] | None) -> None:
        """Close what is open, then open what is ours now (None: nothing more), one such change after another."""
        async with self._turning:
            self._turning_since = time.monotonic()
            await self._shut()
            self._turning_since = None
            if assigned is None:
                return
            ours = {(tp.topic, tp.partition) for tp in assigned}
            for stage, partition in self._everything():
                if (self.topics.topic(stage.topics[0]), partition) in ours:
                    self.lanes[stage.name, partition] = self._lane(stage, partition)
            self._opening = asyncio.create_task(self._open(list(self.lanes.values())), name="opening lanes")

    async def _shut(self) -> None:
        self.ready.clear()
        if self._opening is not None:
            await end([self._opening])
            self._opening = None
        if self._standby is not None:
            await self._standby.stop()
        lanes, self.lanes = self.lanes, {}
        self._feed.forget()
        await asyncio.gather(*(lane.stop() for lane in lanes.values()))

    async def stop(self) -> None:
        """Close, and never begin again."""
        await self.close()
        await self._writer.close()

    def _lane(self, stage: Stage, partition: int) -> Lane:
        rooms = self._rooms()
        stores = {
            table.name: Store(self._folder(table.name, partition), self._cache, room=rooms[table.name])
            for table in stage.tables
        }
        return Lane(
            stage, partition, self.topics, self._writer, stores, self._feed.seek, self._die, self._frame_bytes, self._at,
            self._neighbours,
        )  # fmt: skip

    def _rooms(self) -> dict[str, int]:
        tables = (table for stage in self.stages.values() for table in stage.tables)
        return rooms(tables, self.topics.partitions)

    def _neighbours(self, lane: Lane) -> Neighbours:
        """Lanes follow each other where this worker has every lane there is: it knows of every frame under way."""
        if len(self.lanes) < len(self.stages) * self.topics.partitions:
            return Neighbours()
        names = list(self.stages)
        swift = [name for name in names if self.stages[name].at_once]
        later = swift[sum(names.index(name) <= names.index(lane.stage.name) for name in swift) :]
        return Neighbours(self._of(later), self._of(swift))

    def _of(self, names: Iterable[str]) -> list[Lane]:
        return [self.lanes[name, partition] for name in names for partition in range(self.topics.partitions)]

    def _introduce(self, lanes: Iterable[Lane]) -> None:
        """Tell the lanes that may follow what was committed for them before."""
        for lane in lanes:
            for follower in self._neighbours(lane).all:
                for topic in follower.topics:
                    sent = lane.marker.outputs.get(f"{topic}/{follower.partition}", 0)
                    if sent:
                        follower.expect(topic, Stamp(str(lane), sent - 1))

    def _everything(self) -> Iterable[tuple[Stage, int]]:
        """Every partition of every stage, ours or not."""
        return ((stage, partition) for stage in self.stages.values() for partition in range(self.topics.partitions))

    def _folder(self, table: str, partition: int) -> Path:
        return self._data_dir / table / str(partition)

    def _copies(self) -> Copies:
        """The changelogs of what others hold, and where their copies are kept."""
        return {
            (self.topics.changelog(table.name), partition): self._folder(table.name, partition)
            for stage, partition in self._everything()
            if (stage.name, partition) not in self.lanes
            for table in stage.tables
        }

    async def _open(self, lanes: Sequence[Lane]) -> None:
        try:
            await self._writer.open()
            applied = await take(self._writer, lanes, partial(recover, self._bootstrap, dict(self._stores(lanes))))
            logs = await extents(self._bootstrap, self._inputs(lanes))
            log.info("tables are whole", lanes=len(lanes), changelog_records=applied)
            while self._app.rebalancing:  # Faust has no event for it
                await asyncio.sleep(0.01)
            for lane in lanes:
                lane.load()
                self._examine(lane, logs)
            self._introduce(lanes)
            for lane in lanes:
                if lane.alarm is None:
                    first = self._first(lane, logs)
                    lane.put_first(first, partial(self._resume, lane, set(lane.topics) - set(first)))
                    lane.begin()
                    await self._resume(lane, first or lane.topics)
            self.ready.set()
            if self._standby is not None:
                self._standby.start(self._copies(), min(self._rooms().values()))
        except asyncio.CancelledError:
            raise
        except BaseException as fault:
            self._die(fault)

    def _stores(self, lanes: Iterable[Lane]) -> Iterable[tuple[tuple[str, int], Store]]:
        for lane in lanes:
            for table, store in lane.stores.items():
                yield (self.topics.changelog(table), lane.partition), store

    # -- where work resumes

    def _examine(self, lane: Lane, logs: Mapping[tuple[str, int], range]) -> None:
        """A lane whose logs do not hold any more what its marker has still to do stands still."""
        for topic, partition in self._inputs([lane]):
            offset, log_ = lane.marker.resume_at(topic), logs[topic, partition]
            if offset is not None and not log_.start <= offset <= log_.stop:
                lane.stand_still(
                    f"{topic}/{partition} is done up to {offset}, but holds {log_.start} to {log_.stop}: it was trimmed"
                    " or made anew, and changes may be lost"
                )

    def _first(self, lane: Lane, logs: Mapping[tuple[str, int], range]) -> dict[str, int]:
        """The topics that come before the others, and up to where; those in which nothing is left to do are none."""
        ends = {topic: logs[topic, lane.partition] for topic in map(self.topics.topic, lane.stage.first)}
        return {
            topic: log_.stop
            for topic, log_ in ends.items()
            if log_.stop > max(log_.start, lane.marker.resume_at(topic) or 0)
        }

    async def _resume(self, lane: Lane, topics: Iterable[str]) -> None:
        """Let these topics come; what was fetched of them before is passed over."""
        for topic in topics:
            await self._feed.seek(topic, lane.partition, lane.marker.resume_at(topic) or 0)

    def _inputs(self, lanes: Iterable[Lane]) -> list[tuple[str, int]]:
        return [(self.topics.topic(name), lane.partition) for lane in lanes for name in lane.stage.topics]

    async def watch(self) -> None:
        """Read again where Kafka has more for an idle lane than arrived: the last frame may have been dropped. End the
        process where the consumer stays behind what is committed and brings nothing, or where lanes are ours and nobody
        opens them: a new one will."""
        while True:
            await asyncio.sleep(STALL_SECONDS / 2)
            self._watch_opening()
            for lane in list(self.lanes.values()):
                for name in lane.stage.topics:
                    await self._nudge(lane, self.topics.topic(name))

    def _watch_opening(self) -> None:
        if self._turning_since is not None and time.monotonic() - self._turning_since > STUCK_SECONDS:
            self._die(StuckError("partitions were to be given up, and that comes to no end"))
        opening = self._opening is not None and not self._opening.done()
        if self.lanes and not (self.ready.is_set() or opening or self._turning.locked()):
            self._die(StuckError("partitions were assigned, but their opening was given up"))

    async def _nudge(self, lane: Lane, topic: str) -> None:
        where, at = TP(topic, lane.partition), lane.marker.resume_at(topic)
        consumer = self._app.consumer
        if not self.ready.is_set() or lane.alarm is not None or where not in consumer.assignment():
            return
        end = consumer.highwater(where)
        if end is None or end <= (at or 0) or not lane.queue.empty() or lane.idle_for() < STALL_SECONDS:
            return
        position = await consumer.position(where) or 0
        if at is not None and position > at and self._stalled.get((topic, lane.partition)) != end:
            self._stalled[topic, lane.partition] = end
            await self._feed.seek(topic, lane.partition, at)
        self._watch_position(where, position, end)

    def _watch_position(self, where: TP, position: int, end: int) -> None:
        """End the process where the consumer's position has not moved for long although there is more."""
        before, since = self._positions.get(where, (None, 0.0))
        now = time.monotonic()
        if before != position or position >= end:
            self._positions[where] = (position, now)
        elif now - since > STUCK_SECONDS:
            self._die(StuckError(f"{where.topic}/{where.partition}: {end - position} records are there, none came"))

    def alarms(self) -> list[str]:
        """Why lanes stand still until a person has looked."""
        return [f"{lane}: {lane.alarm}" for lane in self.lanes.values() if lane.alarm is not None]

    def behind(self, lane: Lane, topic: str) -> int:
        """How many offsets of an input topic this lane has not done; exact for a topic without control records."""
        where = TP(topic, lane.partition)
        end = self._app.consumer.highwater(where) if where in self._app.consumer.assignment() else None
        return max(0, (end or 0) - (lane.marker.resume_at(topic) or 0))
