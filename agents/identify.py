"""identify: says which golden record a native record is that intake has not met before, or that says of itself what it did
not say before.

Promises: one partition an entity family, so decisions are serial and cannot contradict; each is published on `links`,
which feeds intake's xref, and the change goes on to merge. Golden records that turn out to be one are told to yield, each
once and only to one that has not yielded itself, so redirects have no circles.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from isthmus.agents.identities import TOPIC, ask, hear, hold, merged
from isthmus.codecs.arrival import EXTERNAL, Link, Unlinked, native_key
from isthmus.codecs.dead import called, dead_letter, described
from isthmus.codecs.events import Source
from isthmus.codecs.frames import Elements
from isthmus.codecs.identities import Word
from isthmus.codecs.linked import Linked, Yield
from isthmus.config.mapping import Mappings
from isthmus.tables.claims import IDENTITY
from isthmus.tables.held import HELD
from isthmus.tables.identity import Linking, link
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Unit


def stage(mappings: Mappings) -> Stage:
    """The stage over all families."""

    def fold(unit: Unit, batches: Sequence[Batch]) -> None:
        for batch in batches:
            for told in batch.elements:
                if batch.topic == TOPIC:
                    hear(unit, told, mappings, identify)
                else:
                    identify(unit, told, mappings)

    # What was matched before the first sync comes before the records' own changes, or those would make them anew.
    inputs = (Input("identify", Elements(Unlinked)), Input(TOPIC, Elements(Word), first=True))
    return Stage("identify", inputs, (IDENTITY, HELD), fold, _bury, at_once=True)


def identify(unit: Unit, unlinked: Unlinked, mappings: Mappings) -> None:
    """Link one change's record and send the change on."""
    linked = unlinked.linked
    native = native_key(linked.system, linked.native_id)
    if held := unit.get(HELD, native):
        hold(unit, linked, held)
        return
    if unlinked.merged_into is not None:
        merged(unit, linked, unlinked.merged_into)
    if linked.operation == "delete" and unlinked.external_id is None and unit.get(IDENTITY, native) is None:
        unit.count(linked.system, linked.entity, "unchanged")
        return
    mapping = mappings.entities[linked.entity]
    find = partial(unit.get, IDENTITY)
    decided = link(find, mapping, linked.system, linked.native_id, linked.values(), unlinked.external_id)
    for key, value in decided.keys.items():
        unit.put(IDENTITY, key, value)
    for key in decided.shared:
        ask(unit, key, linked.changed_at)
    for loser in decided.losers:
        _yield(unit, loser, decided.canonical, linked)
    # Behind what is handed over: a loser's own changes go by it, so none overtakes what its echo is known by.
    unit.send("merge", decided.at.encode(), linked.at(decided.at))
    if decided.new and decided.at == decided.canonical:  # elsewhere it is told by what forwards the change
        unit.send("links", native, _link(linked, decided, native, unlinked.external_id))


def _link(linked: Linked, decided: Linking, native: bytes, external: str | None) -> Link:
    said = {**decided.keys[native].said, **({EXTERNAL: external} if external else {})}
    return Link(linked.system, linked.native_id, linked.entity, decided.at, said)


def _yield(unit: Unit, loser: str, winner: str, linked: Linked) -> None:
    cause = Source(linked.system, linked.native_id, linked.changed_at, linked.change_id)
    unit.send("merge", loser.encode(), Yield(loser, winner, linked.entity, linked.correlation, cause))


def _bury(unit: Unit, raw: bytes, fault: Exception) -> None:
    """A change that cannot be linked is counted as dead; what a stranger wrote was never received."""
    linked = described(raw).get("linked")
    told = linked if isinstance(linked, dict) else {}
    context = {name: told[name] for name in ("system", "entity", "correlation") if name in told}
    system, entity = called(told.get("system")), called(told.get("entity"))
    counted = f"{system}/{entity}" if told else ""
    if counted:
        unit.count(system, entity, "dead")
    context["record_id"] = told.get("native_id")
    unit.bury(dead_letter(fault, stage="identify", original=raw, topic="identify", counted=counted, **context))
