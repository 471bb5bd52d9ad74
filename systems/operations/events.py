"""Events of Finance & Operations: which record does one hint at (dynamics.md §5.1, §5.2)?

Promises: pure; an event is never believed beyond the record that it names, because it carries no version, comes twice
and out of order. An event about an entity that nothing is mapped to hints at nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.codecs.operations_events import STANDARD, Known, Subject, decode
from isthmus.config.mapping import SystemMapping
from isthmus.systems.plain import moment


@dataclass(frozen=True, slots=True)
class Hint:
    """Look at this record. `change_id` is the same on every delivery of one event: its EventId, where it has one. `at` is
    when it happened, RFC 3339; rows do not tell."""

    object: str
    record_id: str
    correlation: str
    change_id: str
    at: str | None


def known(objects: Mapping[str, SystemMapping]) -> Known:
    """What the mappings say of an environment's keys and business events, over what everybody knows."""
    keys = {name: mapping.key_columns for name, mapping in objects.items()}
    subjects = {event: Subject(name, key) for name, mapping in objects.items() for event, key in mapping.events.items()}
    return Known({**STANDARD.keys, **keys}, {**STANDARD.subjects, **subjects})


def hint(body: bytes, objects: Mapping[str, SystemMapping]) -> Hint | None:
    """The record to read for an event; None where nothing is mapped to its entity. DecodeError where it names none."""
    (change,) = decode(body, known(objects))
    if change.entity not in objects:
        return None
    correlation = change.transaction or change.change_id
    return Hint(change.entity, change.record_id, correlation, change.change_id, moment(change.changed_at))
