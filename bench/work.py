"""The work itself, the same for every contender: drop a repeat, keep each field's newest value, say what changed.

Promises: exactly one event per change id, as long as a repeat comes within the last KEPT changes of its record.
"""

from __future__ import annotations

from typing import Any

KEPT = 64
Json = dict[str, Any]


def empty() -> Json:
    """The state of a record that nothing is known of."""
    return {"ids": [], "fields": {}}


def apply(state: Json, key: str, arrival: Json) -> Json | None:
    """Work the change into the state; the event that it makes, or None where it is a repeat."""
    change = arrival["change"]
    change_id, ids = change["change_id"], state["ids"]
    if change_id in ids:
        return None
    ids.append(change_id)
    if len(ids) > KEPT:
        del ids[0]
    return {"id": change_id, "key": key, "version": change["version"], "changed": _newer(state["fields"], change)}


def _newer(held: Json, change: Json) -> Json:
    change_id, version, when = change["change_id"], change["version"], change["changed_at"]
    changed: Json = {}
    for name, value in change["fields"].items():
        was = held.get(name)
        if was is None or version > was[1]:
            changed[name] = [value, was[0] if was else None, change_id]
            held[name] = [value, version, when, change_id]
    return changed
