"""Metrics: what the markers and lanes say, read at each scrape; nothing is counted twice.

Promises: counters survive restarts (they are the ledger's), labels hold no ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from isthmus.node.delivering import ORDER
from isthmus.node.reading import Reading
from isthmus.systems.protocol import System
from isthmus.tables.echoes import ECHO

# Outcomes that a later one takes back; what is dead waits for a person.
WAITING = ("parked", "dead", "delivery_parked", "delivery_dead")


class Collector:
    """A prometheus-client collector over this worker's lanes."""

    def __init__(self, reading: Reading, systems: Sequence[System] = ()) -> None:
        self._reading = reading
        self._systems = systems

    def collect(self) -> Iterator[Metric]:
        """All series of this worker."""
        yield from self._changes()
        yield from self._lanes()
        yield from self._breakers()
        yield from budgets(self._systems)
        ready = GaugeMetricFamily("isthmus_ready", "1 when this worker can do its work")
        ready.add_metric([], float(self._reading.health().ok))
        yield ready

    def _changes(self) -> Iterator[Metric]:
        labels = ("system", "entity", "outcome")
        done = CounterMetricFamily("isthmus_changes", "Changes by what became of them", labels=labels)
        waiting = GaugeMetricFamily("isthmus_waiting", "Changes and writes that wait for something now", labels=labels)
        echoes = CounterMetricFamily(
            "isthmus_echoes",
            "Values by the layer that knew them, or nearly, as ours",
            labels=("system", "entity", "layer"),
        )
        for subject, outcomes in self._reading.tally().counts.items():
            for outcome, number in outcomes.items():
                family = waiting if outcome in WAITING else echoes if outcome.startswith(ECHO) else done
                family.add_metric([*subject.split("/", 1), outcome.removeprefix(ECHO)], number)
        yield done
        yield waiting
        yield echoes

    def _breakers(self) -> Iterator[Metric]:
        labels = ("system", "partition")
        state = GaugeMetricFamily(
            "isthmus_breaker_state",
            "0 closed, 1 draining, 2 half open, 3 open: the target is left alone",
            labels=labels,
        )
        opened = CounterMetricFamily("isthmus_breaker_opened", "How often it opened", labels=labels)
        for one in self._reading.delivering.own():
            state.add_metric([one.system, str(one.partition)], ORDER.index(one.state))
            opened.add_metric([one.system, str(one.partition)], one.opened)
        yield state
        yield opened

    def _lanes(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily(
            "isthmus_lane_waiting_frames", "Frames in a lane's queue", labels=("stage", "partition")
        )
        idle = GaugeMetricFamily("isthmus_lane_idle_seconds", "Since a lane's last unit", labels=("stage", "partition"))
        for (stage, partition), lane in self._reading.runtime.lanes.items():
            waiting.add_metric([stage, str(partition)], lane.queue.qsize())
            idle.add_metric([stage, str(partition)], lane.idle_for())
        yield waiting
        yield idle


def budgets(systems: Sequence[System]) -> Iterator[Metric]:
    """The calls that platforms count and tell of, as each one's last answer did."""
    used = GaugeMetricFamily("isthmus_calls_used", "API calls of the last 24 hours, by everybody", labels=("system",))
    allowed = GaugeMetricFamily("isthmus_calls_allowed", "API calls that 24 hours may have", labels=("system",))
    for system in systems:
        told = getattr(system, "usage", None)
        if told is not None:
            used.add_metric([system.name], told.used)
            allowed.add_metric([system.name], told.allowed)
    yield used
    yield allowed
