"""The golden record as a value: what each system said, what counts and why, what each system was told.

Promises: it survives its JSON, and the forms that it was stored in before are read too; the rules that change it are in
tables/fold.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec
from msgspec.structs import replace

from isthmus.codecs.change import Value
from isthmus.codecs.limits import Use
from isthmus.codecs.linked import Action
from isthmus.tables import showing
from isthmus.tables.alive import alive, links, primary, unread
from isthmus.tables.intents import Intents
from isthmus.tables.liveness import Liveness, Mark, later
from isthmus.tables.pointers import Pointer
from isthmus.tables.registering import held_by, held_of
from isthmus.tables.registers import Held, Register, Visible
from isthmus.tables.rejection import Rejection
from isthmus.tables.unit import Table


class Ending(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a record was last to become, by which revision, and what came of that. `deleting`: a delete may still come."""

    action: Action
    revision: int
    state: Literal["asked", "done", "held", "refused"] = "asked"
    deleting: bool = False


class DesiredWrite(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A wish: bring a system's record to these canonical values (None clears). `native_id` None: it has none yet.
    `action`: what else is to become of it; `released`: a person said so, however many are to go. `withdrawn`: it takes
    back every earlier wish of the record, and wishes nothing itself. `runaway`: what it says went round too often, so it is
    not to be written (tables/echoes.py). `use`: of whose budget it is. `into`: the record that it is to be merged into."""

    system: str
    canonical: str
    entity: str
    revision: int
    native_id: str | None
    fields: Mapping[str, Value]
    known_version: str | None
    correlation: str
    action: Action = "upsert"
    released: bool = False
    withdrawn: bool = False
    runaway: bool = False
    use: Use = "interactive"
    into: str | None = None


class Overruled(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A golden value that counted until a version of the mapping was put in force, and when that was (RFC 3339)."""

    value: Value
    version: str
    at: str


class Known(msgspec.Struct):
    """What is known of one canonical record. The order of its fields is the stored form: new ones come last.

    `registers` and `living` are by system, then native id; `intents` by system, then field; `endings` by system, then
    native id ("": one that is to be made anew).

    `redirect`: it turned out to be that golden record, and holds nothing itself. `merged`: the golden records that turned
    out to be this one. `awaits`: systems that are told nothing as long as wishes of these golden records may be under
    way there. `hops`: by system/field, how often in a row, and when last, a system contradicted what it was told.
    `pointing`: references that have to exist (tables/dangling.py).
    `reasons`: what stewards said why, by the change that each of their decisions is. `overruled`: what another version of
    the mapping took the place of, by field.
    """

    canonical: str
    entity: str
    revision: int = 0
    registers: dict[str, dict[str, Held]] = {}
    living: dict[str, dict[str, Liveness]] = {}
    intents: dict[str, Intents] = {}
    endings: dict[str, dict[str, Ending]] = {}
    pinned: dict[str, Value] = {}
    asked: list[str] = []
    rejection: Rejection | None = None
    redirect: str | None = None
    merged: list[str] = []
    awaits: dict[str, list[str]] = {}
    hops: dict[str, tuple[int, str]] = {}
    pointing: list[Pointer] = []
    reasons: dict[str, str] = {}
    overruled: dict[str, Overruled] = {}


class Golden(Known, array_like=True):
    """One canonical record, and what is done with it."""

    @property
    def rejected(self) -> bool:
        """Does it break a rule, so that nothing is told of it?"""
        return self.rejection is not None and bool(self.rejection.broken)

    def held(self, system: str, native_id: str) -> Held:
        """The registers of a record, to be changed in place."""
        return held_by(self.registers, system, native_id)

    def says(self, system: str, native_id: str, name: str) -> Register | None:
        """A record's register of a field; None where it has said nothing of it."""
        held = self.registers.get(system, {}).get(native_id)
        return None if held is None else held.get(name)

    def why(self, name: str) -> Visible | None:
        """Why a field's golden value is what it is; None where nobody has said anything of it."""
        return showing.why(self.registers, name)

    def whys(self) -> Iterator[tuple[str, Visible]]:
        """Every golden field, and why its value is what it is."""
        for system, natives in self.registers.items():
            for native_id, held in natives.items():
                for name in held.shown:
                    yield name, showing.ground(system, native_id, held, name)

    def seen(self, name: str) -> Register | None:
        """The register that a field's golden value is taken from; None where nobody has said anything of it."""
        why = self.why(name)
        if why is None:
            return None
        return self.registers[why.system][why.native_id].get(name) if why.own is None else why.own

    def value(self, name: str) -> Value:
        """A field's golden value."""
        return showing.value_at(self.registers, name)

    def values(self) -> dict[str, Value]:
        """The golden values."""
        shown = [held for natives in self.registers.values() for held in natives.values()]
        return {name: showing.value_of(held, name) for held in shown for name in held.shown}

    def show(self, name: str, system: str, native_id: str, rule: str, own: Register | None) -> None:
        """A field's golden value is taken from this record; `own` where that is not what it says of it now."""
        showing.show(self.registers, name, Visible(system, native_id, rule, own))

    def keep_seen(self, name: str, system: str, native_id: str, known: Register | None) -> None:
        """That record's register of a field is about to become another, and is no opinion any more."""
        why = self.why(name)
        if why is not None and why.own is None and (why.system, why.native_id) == (system, native_id):
            self.show(name, system, native_id, why.rule, known)

    @property
    def links(self) -> dict[str, dict[str, bool]]:
        """Per system, its records and whether each still exists."""
        return links(self.living)

    def primary(self, system: str) -> str | None:
        """The record of a system that is kept equal to the golden one: of the living, the first known."""
        return primary(self.living, system)

    def live(
        self,
        system: str,
        native_id: str,
        alive: bool,
        version: str,
        *,
        died: Mark | None = None,
        undone: Mark | None = None,
        made: bool = False,
    ) -> bool:
        """Join a record's liveness; was it a change of life?"""
        natives = self.living.setdefault(system, {})
        known = natives.get(native_id)
        if known is None:
            natives[native_id] = Liveness(alive, version, died, undone, made)
            return not alive
        told = died is not None or undone is not None
        newer = version > (known.version if told else known.newest)
        if newer or told or made:
            now, as_of = (alive, version) if newer else (known.alive, known.version)
            marks = (later(known.died, died), later(known.undone, undone))
            natives[native_id] = Liveness(now, as_of, *marks, known.made or made, unread(known.left, as_of))
        return newer and known.alive != alive

    def wrote(self, system: str, native_id: str, version: str) -> None:
        """A write of ours left a record in this version. Of its life that says nothing newer than what is told: who reads
        that it is gone may never have read this version."""
        known = self.living[system][native_id]
        if version > known.newest:
            self.living[system][native_id] = replace(known, left=version)

    def alive(self) -> frozenset[tuple[str, str]]:
        """The records of it that still exist, each with its system."""
        return alive(self.living)

    def is_alive(self) -> bool:
        """Does any record of it still exist?"""
        return any(known.alive for natives in self.living.values() for known in natives.values())


class Former(Known):
    """A golden record as it was stored before: fields by name, and apart from the registers why each field counts, or
    which of `grounds` is why; at first each field with a register of its own."""

    registers: dict[str, dict[str, Held | dict[str, Register]]] = {}  # type: ignore[assignment]
    visible: dict[str, int | Visible] = {}
    grounds: list[Visible] = []


def former(raw: bytes) -> Golden:
    """A golden record that was stored like that. ValidationError where it was not."""
    told = msgspec.json.decode(raw, type=Former)
    golden = Golden(**{name: getattr(told, name) for name in Golden.__struct_fields__} | {"registers": {}})
    for system, natives in told.registers.items():
        golden.registers[system] = {
            native: said if isinstance(said, Held) else held_of(said) for native, said in natives.items()
        }
    for name, why in told.visible.items():
        showing.show(golden.registers, name, told.grounds[why] if isinstance(why, int) else why)
    return golden


GOLDEN: Table[Golden] = Table("golden", Golden, as_bytes=True, former=former)
