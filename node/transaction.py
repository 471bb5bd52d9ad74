"""One Kafka transaction after another, spoken to the brokers in as few words as the protocol allows.

Promises: `run` returns when everything it was given is on the brokers and committed; whatever it raises, nothing of it is
ever visible to read-committed readers unless the commit itself was already asked for, so after a raise the process must
not go on. A request that a broker's death or a moved leader swallowed is said again, and can do no harm twice: records
carry their sequence numbers, and the other requests change nothing the second time. aiokafka's own producer waits 20 ms
between two transactions, adds partitions one by one and sends one batch after another; this takes four requests.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka import errors as kafka
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest

from isthmus.config.errors import IsthmusError
from isthmus.node.packing import Cargo, Target
from isthmus.node.parcel import Parcel
from isthmus.tables.stage import Step, no_step

ALL_REPLICAS = -1
SEQUENCES = 2**31
NOBODY = -1
FIRST_WAIT, LONGEST_WAIT = 0.001, 0.1
TRANSACTION_MS = 60_000

# What the same request, said again, may be answered better (error codes of the Kafka protocol).
PASSING = (
    kafka.ConcurrentTransactions,
    kafka.CoordinatorLoadInProgressError,
    kafka.CoordinatorNotAvailableError,
    kafka.NotCoordinatorError,
    kafka.NotLeaderForPartitionError,
    kafka.LeaderNotAvailableError,
    kafka.UnknownTopicOrPartitionError,
    kafka.RequestTimedOutError,
    kafka.NodeNotReadyError,
    kafka.KafkaConnectionError,
    kafka.NotEnoughReplicasError,
    kafka.NotEnoughReplicasAfterAppendError,
    kafka.KafkaStorageError,
    kafka.CorrelationIdError,
)
FENCING = (kafka.InvalidProducerEpoch, kafka.ProducerFenced)


class FencedError(IsthmusError):
    """Another worker has taken over what this one wrote for."""

    code = "FENCED"
    hint = "this worker was held up for longer than the session timeout; its restart is the cure"


class Placed(NamedTuple):
    """A batch on its partition: the number of its first entry among the target's, and that entry's offset."""

    first: int
    offset: int


class Batch(NamedTuple):
    """A batch of records as it goes over the wire, and how many records it has."""

    first: int
    records: int
    value: bytes


class Transactions:
    """The transactions of one transactional id; `at` hears "begun" and "sent"."""

    def __init__(self, bootstrap: str, transactional_id: str, at: Step = no_step) -> None:
        self.transactional_id = transactional_id
        self._client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
        self._at = at
        self._producer = (-1, -1)
        self._sequences: dict[Target, int] = defaultdict(int)
        self._coordinators: dict[str, int] = {}

    async def open(self) -> None:
        """Connect, and take the id over from whoever used it before."""
        await self._client.bootstrap()
        self._producer = await self.take(self.transactional_id)

    async def close(self) -> None:
        """Give the connections back; an unfinished transaction is aborted by the broker or whoever fences the id."""
        await self._client.close()

    async def take(self, transactional_id: str) -> tuple[int, int]:
        """Take an id: whoever used it is fenced, its open transaction aborted. The new producer id and epoch."""
        request = InitProducerIdRequest(transactional_id, TRANSACTION_MS)

        async def once() -> tuple[int, int]:
            told = await self._ask_coordinator(transactional_id, request, ConnectionGroup.DEFAULT)
            _refuse(told.error_code)
            return told.producer_id, told.producer_epoch

        producer: tuple[int, int] = await self._again_and_again(once)
        return producer

    async def run(self, cargo: Cargo) -> dict[Target, list[Placed]]:
        """Write this in one transaction, of a target its entries first, all in order; where each of its batches begins."""
        targets = dict.fromkeys((*cargo.entries, *cargo.parcels))
        await self._leaders(targets)
        await self._again_and_again(lambda: self._add(targets))
        self._at("begun")
        batches = {target: self._batches(target, cargo) for target in targets}
        placed: dict[Target, list[Placed]] = {target: [] for target in targets}
        for turn in range(max(map(len, batches.values()))):
            await self._send({target: some[turn] for target, some in batches.items() if turn < len(some)}, placed)
        self._at("sent")
        await self._again_and_again(self._end)
        return placed

    # -- saying a thing until it is heard

    async def _again_and_again(self, once: Callable[[], Awaitable[Any]]) -> Any:
        wait = FIRST_WAIT
        while True:
            try:
                return await once()
            except FENCING as fault:
                raise FencedError(f"{self.transactional_id} was taken over") from fault
            except PASSING as fault:
                if not isinstance(fault, kafka.ConcurrentTransactions):  # the one before is still being marked
                    self._coordinators.clear()
                    self._client.force_metadata_update()
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _ask_coordinator(
        self, transactional_id: str, request: Any, group: ConnectionGroup = ConnectionGroup.COORDINATION
    ) -> Any:
        node = self._coordinators.get(transactional_id)
        if node is None:
            node = await self._client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
            self._coordinators[transactional_id] = node
        return await self._client.send(node, request, group=group)

    # -- the four requests

    async def _leaders(self, targets: Collection[Target]) -> None:
        """Wait until the leader of every target is known."""
        for topic in {topic for topic, _ in targets}:
            if not self._client.cluster.partitions_for_topic(topic):
                self._client.add_topic(topic)
        wait = FIRST_WAIT
        while any(self._leader(target) is None for target in targets):
            self._client.force_metadata_update()
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def _leader(self, target: Target) -> int | None:
        leader: int | None = self._client.cluster.leader_for_partition(TopicPartition(*target))
        return None if leader == NOBODY else leader

    async def _add(self, targets: Iterable[Target]) -> None:
        by_topic: dict[str, list[int]] = defaultdict(list)
        for topic, partition in targets:
            by_topic[topic].append(partition)
        request = AddPartitionsToTxnRequest(self.transactional_id, *self._producer, list(by_topic.items()))
        told = await self._ask_coordinator(self.transactional_id, request)
        codes = {code for _, partitions in told.errors for _, code in partitions}
        for code in sorted(codes - {0, kafka.OperationNotAttempted.errno}) or sorted(codes):
            _refuse(code)

    def _batches(self, target: Target, cargo: Cargo) -> list[Batch]:
        """What goes to a target, as batches; takes their sequence numbers."""
        made = batches_of(target, cargo, self._producer, self._sequences[target])
        self._sequences[target] = (self._sequences[target] + sum(batch.records for batch in made)) % SEQUENCES
        return made

    async def _send(self, batches: Mapping[Target, Batch], placed: dict[Target, list[Placed]]) -> None:
        left = dict(batches)

        async def once() -> None:
            by_leader: dict[int, list[Target]] = defaultdict(list)
            for target in left:
                leader = self._leader(target)
                by_leader[NOBODY if leader is None else leader].append(target)
            faults = [
                fault
                for faults in await asyncio.gather(*(self._produce(*one, left, placed) for one in by_leader.items()))
                for fault in faults
            ]
            # What will not pass is what to say.
            for fault in sorted(faults, key=lambda fault: isinstance(fault, PASSING)):
                raise fault

        await self._again_and_again(once)

    async def _produce(
        self, leader: int, targets: Sequence[Target], left: dict[Target, Batch], placed: dict[Target, list[Placed]]
    ) -> list[Exception]:
        by_topic: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for topic, partition in targets:
            by_topic[topic].append((partition, left[topic, partition].value))
        request = ProduceRequest(self.transactional_id, ALL_REPLICAS, 10_000, list(by_topic.items()))
        try:
            told = await self._client.send(leader, request)
        except PASSING as fault:
            return [fault]
        faults: list[Exception] = []
        for topic, partitions in told.topics:
            for partition, code, offset, *_ in partitions:
                if code:
                    faults.append(kafka.for_code(code)(f"{topic}/{partition}"))
                else:
                    placed[topic, partition].append(Placed(left.pop((topic, partition)).first, offset))
        return faults

    async def _end(self) -> None:
        told = await self._ask_coordinator(
            self.transactional_id, EndTxnRequest(self.transactional_id, *self._producer, True)
        )
        _refuse(told.error_code)


def batches_of(target: Target, cargo: Cargo, producer: tuple[int, int], sequence: int) -> list[Batch]:
    """What goes to a target, its entries first, as batches of this producer (id and epoch) from this sequence number on."""
    entries = Parcel()
    for entry in cargo.entries.get(target, ()):
        entries.add(*entry)
    made: list[Batch] = []
    first = 0
    for parcel in (entries, *cargo.parcels.get(target, ())):
        for number, count in enumerate(parcel.counts):
            value = parcel.close(number, *producer, (sequence + first) % SEQUENCES)
            made.append(Batch(first, count, value))
            first += count
    return made


def _refuse(code: int) -> None:
    if code:
        raise kafka.for_code(code)()
