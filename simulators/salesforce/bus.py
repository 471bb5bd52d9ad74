"""The org's event bus, as both ways of subscribing see it: which channels there are, what each carries, and where a replay
id goes on (salesforce.md §1.5, §1.6, §1.13).

Promises: pure over the org; the CometD server and the Pub/Sub server tell the same story, because they ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from isthmus.simulators.salesforce.events import Event, channel_of
from isthmus.simulators.salesforce.org import SalesforceOrg

ALL = "/data/ChangeEvents"
NEW, KEPT = -1, -2


def also(before: Callable[[], None], now: Callable[[], None]) -> Callable[[], None]:
    """Wake both: whoever listened before, and whoever listens now."""

    def both() -> None:
        before()
        now()

    return both


def exists(org: SalesforceOrg, channel: str) -> bool:
    """Is there such a channel? Names are case-sensitive."""
    return channel == ALL or channel in org.channels or entity_of(org, channel) is not None


def entity_of(org: SalesforceOrg, channel: str) -> str | None:
    """The one entity of a channel that has only one."""
    return next((name for name in org.objects if channel_of(name) == channel), None)


def may_subscribe(org: SalesforceOrg, channel: str) -> bool:
    """A channel of one entity is refused to who may not see it all; any other is accepted and tells less."""
    return entity_of(org, channel) not in org.unseen


def place_after(org: SalesforceOrg, replay_id: int) -> int:
    """Where in the list of events a replay id goes on; KeyError where it is not kept any more."""
    if replay_id == NEW:
        return len(org.events)
    if replay_id == KEPT:
        return 0
    if replay_id < org.oldest_replay:
        raise KeyError(replay_id)
    for place in range(len(org.events), 0, -1):  # mostly it is one of the last
        if org.events[place - 1].replay_id == replay_id:
            return place
    if replay_id != org.oldest_replay:
        raise KeyError(replay_id)
    return 0


def told(org: SalesforceOrg, channel: str, event: Event) -> Iterator[Mapping[str, Any]]:
    """An event as a channel tells it: once, or not at all, or enriched and then once for each of its records, with the
    same replay id (§1.13)."""
    if event.entity in org.unseen or not _carries(org, channel, event.entity):
        return
    enriched = org.channels.get(channel, {}).get(event.entity, ())
    kind = event.message["payload"]["ChangeEventHeader"]["changeType"]
    if not enriched or kind not in ("UPDATE", "DELETE"):
        yield event.message
        return
    for record_id in event.message["payload"]["ChangeEventHeader"]["recordIds"]:
        yield _enriched(org, event, record_id, enriched)


def _carries(org: SalesforceOrg, channel: str, entity: str) -> bool:
    return channel == ALL or entity in org.channels.get(channel, ()) or channel == channel_of(entity)


def _enriched(org: SalesforceOrg, event: Event, record_id: str, fields: tuple[str, ...]) -> dict[str, Any]:
    """With the values of now, nulls left out."""
    payload = event.message["payload"]
    row = org.rows(event.entity).get(record_id, {})
    more = {name: row[name] for name in fields if name not in payload and row.get(name) is not None}
    header = {**payload["ChangeEventHeader"], "recordIds": [record_id]}
    return {**event.message, "payload": {**more, **payload, "ChangeEventHeader": header}}
