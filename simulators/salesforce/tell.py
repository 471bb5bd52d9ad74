"""Events of every form that an org can tell, made on purpose: merged ones, transactions of several records, gaps,
overflows, a geocoding, a text sent as a difference (salesforce.md §1.7 to §1.11).

Promises: the records themselves stay as they are; what is told goes to every subscriber, by whichever way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.simulators.salesforce.events import Transaction, body, event_name, header
from isthmus.simulators.salesforce.news import UI
from isthmus.simulators.salesforce.org import SalesforceOrg


@dataclass(frozen=True)
class Told:
    """One event of a transaction. `fields` are named as records name them, `parts` as change events do; `changed` says
    what changedFields names (None: all of it). A text `{"diff": …}` is a difference."""

    object: str
    kind: str
    ids: Iterable[str]
    fields: Mapping[str, Any] | None = None
    parts: Mapping[str, Any] | None = None
    changed: Iterable[str] | None = None


def tell(org: SalesforceOrg, *events: Told, origin: str = UI) -> Transaction:
    """Tell of these events as one transaction, in order."""
    transaction = org.transaction(origin=origin)
    for sequence, event in enumerate(events, start=1):
        one, fields = org.object(event.object), event.fields or {}
        named = [event_name(one, name) for name in fields] + _names(event.parts or {})
        changed = named if event.changed is None else event.changed
        head = header(one, event.ids, event.kind, transaction, sequence, changed if event.kind == "UPDATE" else ())
        org.publish(one, {**body(one, fields), **(event.parts or {}), "ChangeEventHeader": head})
    return transaction


def _names(parts: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}.{part}" if isinstance(value, Mapping) and value.keys() != {"diff"} else name
        for name, value in parts.items()
        for part in (value if isinstance(value, Mapping) and value.keys() != {"diff"} else (name,))
    ]
