"""Metrics: what the markers and lanes say, read at each scrape; nothing is counted twice.

Promises: counters survive restarts (they are the ledger's), labels hold no ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from isthmus.node.delivering import ORDER, BudgetView
from isthmus.node.reading import Reading
from isthmus.tables.echoes import ECHO

# Outcomes that a later one takes back; what is dead waits for a person.
WAITING = ("parked", "dead", "delivery_parked", "delivery_dead", "rereads_waiting")


class Collector:
    """A prometheus-client collector over this worker's lanes."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        """All series of this worker."""
        yield from self._changes()
        yield from self._lanes()
        yield from self._breakers()
        yield from budgets(self._reading.delivering.budgets())
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


def budgets(standings: Iterable[BudgetView]) -> Iterator[Metric]:
    """What platforms tell of their limits, as each one's last answer did, and how each use stands with them."""
    of_limit, of_use = ("system", "limit"), ("system", "limit", "use")
    used = GaugeMetricFamily("isthmus_calls_used", "Of a limit that a platform tells of, by everybody", labels=of_limit)
    allowed = GaugeMetricFamily("isthmus_calls_allowed", "What the limit allows within its window", labels=of_limit)
    may = GaugeMetricFamily("isthmus_budget_may", "Up to how much of a limit a use goes now", labels=of_use)
    waits = GaugeMetricFamily("isthmus_budget_waits", "1 where a use has no room and waits", labels=of_use)
    out = GaugeMetricFamily(
        "isthmus_budget_runs_out_timestamp_seconds", "When a use has used that up, at the present pace", labels=of_use
    )
    for one in standings:
        labels = [one.system, one.limit, one.use]
        if one.use == "interactive":
            used.add_metric(labels[:2], one.used)
            allowed.add_metric(labels[:2], one.allowed)
        may.add_metric(labels, one.may)
        waits.add_metric(labels, float(one.state == "waits"))
        if one.runs_out is not None:
            out.add_metric(labels, datetime.fromisoformat(one.runs_out).timestamp())
    yield from (used, allowed, may, waits, out)
