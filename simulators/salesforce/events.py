"""Change events of the simulated org, in the form that CometD delivers (salesforce.md §1.7-1.9).

Promises: compound fields nested, nulls only where a field was cleared, DELETE and GAP_* header only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.simulators.salesforce.schema import Object


@dataclass(frozen=True)
class Transaction:
    """What the events of one transaction share."""

    key: str
    number: int
    at: int
    user: str
    origin: str


@dataclass(frozen=True)
class Event:
    """An event on the bus: `message` is what a subscriber gets as `data`."""

    replay_id: int
    entity: str
    message: Mapping[str, Any] = field(repr=False)


def header(
    one: Object, ids: Iterable[str], kind: str, transaction: Transaction, sequence: int, changed: Iterable[str] = ()
) -> dict[str, Any]:
    """A ChangeEventHeader."""
    return {
        "entityName": one.name,
        "recordIds": list(ids),
        "changeType": kind,
        "changeOrigin": transaction.origin,
        "transactionKey": transaction.key,
        "sequenceNumber": sequence,
        "commitTimestamp": transaction.at // 1000 * 1000,
        "commitNumber": transaction.number,
        "commitUser": transaction.user,
        "changedFields": list(changed),
    }


def body(one: Object, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values under the names of change events: parts of compounds nested."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        part = one.fields[name].part_of
        if part is None:
            nested[name] = value
        else:
            nested.setdefault(part[0], {})[part[1]] = value
    return nested


def event_name(one: Object, name: str) -> str:
    """A field's name in changedFields."""
    part = one.fields[name].part_of
    return name if part is None else ".".join(part)


def channel_of(entity: str) -> str:
    """The channel of one entity."""
    return f"/data/{entity.removesuffix('__c') + '__' if entity.endswith('__c') else entity}ChangeEvent"
