"""Rules: by which mapping a partition of merge decides, and the change from one to the next.

Promises: what was activated last, else what the worker's own files say; both are part of what merge recorded, or of how it
was started. Live records are chosen anew a few at a time, so that changes go on coming in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from msgspec.structs import replace

from isthmus.codecs.activation import mapping_of
from isthmus.codecs.linked import Activate, Reevaluate
from isthmus.config.mapping import EntityMapping, Mappings
from isthmus.tables.activations import IN_FORCE, InForce
from isthmus.tables.folded import Folded
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.reevaluation import reevaluate
from isthmus.tables.unit import Unit

AT_ONCE = 200
NOTES = b"\xff"

Publish = Callable[[Unit, Folded], None]


class Versions:
    """The files' mappings, and those that were activated, each read once. A node intends nothing for a system that it does
    not talk to, whatever a version says of it."""

    def __init__(self, files: Mappings) -> None:
        self.files: Mapping[str, EntityMapping] = files.entities
        self._systems = {system for entity in self.files.values() for system in entity.systems}
        self._read: dict[str, EntityMapping] = {}

    def read(self, held: InForce) -> EntityMapping:
        """The mapping of a version."""
        if held.version not in self._read:
            (joined,) = Mappings([mapping_of(held.document)]).joining(self._systems).entities.values()
            self._read[held.version] = joined
        return self._read[held.version]


class Rules:
    """By which mapping a unit of work decides, entity by entity."""

    def __init__(self, unit: Unit, versions: Versions) -> None:
        self._unit = unit
        self._versions = versions
        self._known: dict[str, EntityMapping] = {}

    def __getitem__(self, entity: str) -> EntityMapping:
        known = self._known.get(entity)
        if known is None:
            held = self._unit.get(IN_FORCE, entity.encode())
            known = self._versions.files[entity] if held is None else self._versions.read(held)
            self._known[entity] = known
        return known

    def activate(self, order: Activate) -> None:
        """From here on this version; its live records are to be looked at."""
        held = InForce(order.version, order.document, order.at)
        self._unit.put(IN_FORCE, order.entity.encode(), held)
        self._known[order.entity] = self._versions.read(held)
        self._unit.send("merge", order.seat.encode(), Reevaluate(order.entity, order.version, order.seat))

    def reevaluate(self, order: Reevaluate, publish: Publish) -> None:
        """Look at the next few; what comes of each goes to `publish`. An order that another has overtaken is over."""
        held = self._unit.get(IN_FORCE, order.entity.encode())
        if held is None or held.version != order.version:
            return
        keys = list(islice(self._records(order.after), AT_ONCE + 1))
        for key in keys[:AT_ONCE]:
            golden = self._unit.get(GOLDEN, key)
            if golden is not None and golden.entity == order.entity:
                self._again(golden, held, publish)
        if len(keys) > AT_ONCE:
            rest = replace(order, after=keys[AT_ONCE - 1].decode())
            self._unit.send("merge", order.seat.encode(), rest)

    def _records(self, after: str) -> Iterator[bytes]:
        start = after.encode() + b"\x00" if after else b""
        return (key for key in self._unit.keys(GOLDEN.name, b"", start) if not key.startswith(NOTES))

    def _again(self, golden: Golden, held: InForce, publish: Publish) -> None:
        before = dict(golden.whys())
        folded = reevaluate(golden, self[golden.entity], held.version, held.at)
        if folded.event is not None or folded.writes or folded.asides or dict(folded.state.whys()) != before:
            publish(self._unit, folded)
