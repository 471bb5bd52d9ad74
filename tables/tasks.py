"""Tasks for stewards: one a record and rule, opened when the rule is broken and closed when it is repaired.

Promises: a task is a record like any other, whose author is the steward: its id follows from the record and the rule, so it
is opened once however many changes break the rule, and what a write of it comes to is merge's and deliver's to say.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from isthmus.codecs.change import Value
from isthmus.codecs.linked import Linked
from isthmus.codecs.reviews import STEWARD
from isthmus.config.mapping import EntityMapping
from isthmus.config.quality import Stewards
from isthmus.tables.golden import Golden
from isthmus.tables.identity import NAMESPACE
from isthmus.tables.rejection import Rejection

OPEN, DONE = "open", "done"
LONGEST = 200  # characters; Dynamics takes no more for a subject


def task_id(canonical: str, rule: str) -> str:
    """The canonical id of the task for a record that breaks a rule."""
    return str(uuid.uuid5(NAMESPACE, f"task:{canonical}:{rule}"))


def tasks(
    golden: Golden, held: Rejection, before: Mapping[str, str], cause: Linked, mapping: EntityMapping
) -> tuple[Linked, ...]:
    """A change of the task of each rule that was whole and is broken now, or the other way round."""
    to = mapping.stewards
    if to is None:
        return ()
    opened = [
        _task(golden, held, rule, cause, to, _opened(golden, held, rule, to))
        for rule in sorted(held.spoken.keys() - before.keys())
    ]
    closed = [
        _task(golden, held, rule, cause, to, {"status": DONE}) for rule in sorted(before.keys() - held.spoken.keys())
    ]
    return (*opened, *closed)


def _opened(golden: Golden, held: Rejection, rule: str, to: Stewards) -> dict[str, Value]:
    fields: dict[str, Value] = {
        "subject": to.subject.format(entity=golden.entity, rule=rule)[:LONGEST],
        "description": f"{rule}: {held.broken[rule]} ({golden.entity} {golden.canonical})",
        "status": OPEN,
    }
    about = {name: golden.primary(system) for name, system in to.about.items()}
    there = {name: golden.canonical for name, system in to.regarding.items() if golden.primary(system) is not None}
    return fields | {name: it for name, it in {**about, **there, "owner": to.owner}.items() if it is not None}


def _task(
    golden: Golden, held: Rejection, rule: str, cause: Linked, to: Stewards, fields: Mapping[str, Value]
) -> Linked:
    native, version = f"{golden.canonical}/{rule}", f"{held.words:020d}"
    return Linked(
        system=STEWARD,
        native_id=native,
        entity=to.tasks,
        canonical=task_id(golden.canonical, rule),
        operation="update",
        fields=fields,
        cleared=(),
        version=version,
        changed_at=cause.changed_at,
        change_id=f"quality {rule}#{native}@{version}",
        correlation=cause.correlation,
    )
