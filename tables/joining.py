"""Joining: two golden records turn out to be one: what the winner makes of what the loser handed over (tables/handover.py).

Promises: registers and liveness join by version, so it does not matter in which order losers, changes and reports arrive,
nor how often; a system is told nothing of the winner while a wish of the loser may still be under way there, so that
nothing older is written after something newer and nothing is created twice. No clock, no chance, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from isthmus.codecs.change import Value
from isthmus.codecs.events import Changed, Source
from isthmus.codecs.identities import question_id
from isthmus.codecs.linked import Absorb, Linked, Part, Settled
from isthmus.codecs.reviews import Review, Side
from isthmus.config.mapping import EntityMapping
from isthmus.tables import dangling
from isthmus.tables.alive import unread
from isthmus.tables.deletes import NEW, living
from isthmus.tables.folded import Folded, canonical_event
from isthmus.tables.golden import GOLDEN, DesiredWrite, Ending, Golden
from isthmus.tables.handover import busy, withdraw
from isthmus.tables.intents import KEPT, REVISION, VALUE, Intents, refuse
from isthmus.tables.liveness import Liveness, later
from isthmus.tables.precedence import choose, rank, same
from isthmus.tables.quality import inherited, judged_anew
from isthmus.tables.registering import find, held_of
from isthmus.tables.registers import Held, Register, Visible
from isthmus.tables.showing import hide_all
from isthmus.tables.wishes import told, wishes


def absorb(golden: Golden, item: Absorb, mapping: EntityMapping) -> Folded:
    """Take in what a loser held, and choose every field anew."""
    if item.parted:
        return _take_in(golden, item, mapping)
    if item.loser in golden.merged:
        return Folded(golden, None)
    other, before = GOLDEN.decode(bytes(item.state)), golden.values()
    if item.ended:
        _silence(other, item.cause.system, item.cause.native_id)
    homeless = [system for system in mapping.systems if golden.primary(system) is None]
    seen = seen_of(golden, other)
    lived = living(golden, mapping.followed)
    _join(golden, other)
    golden.reasons |= other.reasons
    golden.pinned = {**other.pinned, **golden.pinned}
    golden.merged += [item.loser, *(one for one in other.merged if one not in golden.merged)]
    choose_all(golden, mapping, seen)
    cause = cause_of(item)
    changed, asides = judged_anew(golden, cause, mapping, differences(golden, before), lived)
    asides = inherited(golden, other, cause, mapping, asides)
    golden.revision += 1
    settled = [system for system in homeless if golden.primary(system) is not None]
    back = tuple(withdraw(golden, busy(golden, settled), golden.revision, item.correlation))
    lacking = wishes(golden, mapping.followed, mapping.systems, item.correlation)
    event = canonical_event(golden, "merged", item.correlation, item.cause, changed, absorbed=item.loser)
    doubles = list(_doubles(golden, other, item, mapping))
    ends = [one for double in doubles if (one := _end(golden, item, mapping, *double)) is not None]
    asked = [_ask(golden, item, *one) for one in doubles if mapping.systems[one[0]].on_merge == "review"]
    writes = (*back, *told(golden, lacking), *ends)
    return Folded(golden, None, event, writes, tuple(asked), asides)


def _silence(golden: Golden, system: str, native: str) -> None:
    """A record that was merged into another where it lives: people decided there which of its values go on."""
    dangling.parted(golden, system, native)
    natives = golden.registers.get(system, {})
    if native in natives:
        natives[native] = held_of({n: replace(one, derived=True) for n, one in natives[native].items()})


def _doubles(golden: Golden, other: Golden, item: Absorb, mapping: EntityMapping) -> Iterator[tuple[str, str]]:
    """The loser's records in systems where the winner has one; not the one that was merged away there already."""
    for system, natives in other.living.items():
        for native in natives if system in mapping.systems else ():
            gone = item.ended and (system, native) == (item.cause.system, item.cause.native_id)
            if golden.living[system][native].alive and native != golden.primary(system) and not gone:
                yield system, native


def _end(golden: Golden, item: Absorb, mapping: EntityMapping, system: str, native: str) -> DesiredWrite | None:
    """Make a second record inactive, or part of the first one, by the policy; under the loser's name, so that no wish for
    the first one takes its place."""
    policy = mapping.systems[system].on_merge
    version = golden.living[system][native].newest or None
    end = DesiredWrite(system, item.loser, golden.entity, golden.revision, native, {}, version, item.correlation)
    if policy == "deactivate":
        return replace(end, action="deactivate")
    if policy == "merge":
        return replace(end, action="merge", known_version=None, into=golden.primary(system))
    return None


def _ask(golden: Golden, item: Absorb, system: str, native: str) -> Review:
    """Two records of one system are one customer: somebody has to merge them there."""
    first = golden.primary(system) or ""
    sides = (Side(system, first, counts=True), Side(system, native))
    why = f"both are {golden.canonical}: merge them in {system}"
    id_ = question_id(golden.entity, (system, first), (system, native))
    return Review(id_, "match", golden.entity, golden.canonical, item.cause.changed_at, "", sides, (why,))


def cause_of(item: Absorb | Part) -> Linked:
    """The change that led to it, as far as it explains a value."""
    of = item.cause
    return Linked(
        of.system, of.native_id, item.entity, item.canonical, "update", {}, (), "", of.changed_at, of.change_id,
        item.correlation,
    )  # fmt: skip


def _take_in(golden: Golden, item: Absorb, mapping: EntityMapping) -> Folded:
    """Take in a record that was never the other's."""
    other, before = GOLDEN.decode(bytes(item.state)), golden.values()
    seen, lived = seen_of(golden, other), living(golden, mapping.followed)
    _join(golden, other)
    choose_all(golden, mapping, seen)
    changed, asides = judged_anew(golden, cause_of(item), mapping, differences(golden, before), lived)
    if golden.rejected:
        return Folded(golden, None, asides=asides)
    lacking = wishes(golden, mapping.followed, mapping.systems, item.correlation)
    golden.revision += 1
    kind = "created" if golden.revision == 1 else "updated"
    event = canonical_event(golden, kind, item.correlation, item.cause, changed)
    return Folded(golden, None, event, told(golden, lacking), asides=asides)


def settle(golden: Golden, item: Settled, mapping: EntityMapping) -> Folded:
    """What a loser wished of a system is not under way any more; with the last of them the system is told what it lacks."""
    waits = golden.awaits.get(item.system, [])
    if item.loser not in waits:
        return Folded(golden, None)
    refuse(golden.intents.get(item.system, {}), item.rev)
    endings = golden.endings.get(item.system, {})
    taken = {n: replace(one, state="refused") for n, one in endings.items() if _taken_back(one, item.rev)}
    endings.update(taken)
    waits.remove(item.loser)
    if waits:
        return Folded(golden, None)
    del golden.awaits[item.system]
    lacking = wishes(
        golden, mapping.followed, [item.system] if item.system in mapping.systems else [], item.correlation
    )
    golden.revision += bool(lacking)
    return Folded(golden, None, None, told(golden, lacking))


def _taken_back(ending: Ending, rev: int) -> bool:
    return ending.state == "asked" and ending.revision <= rev


# -- joins


def _join(golden: Golden, other: Golden) -> None:
    dangling.join(golden, other)
    for system, natives in other.living.items():
        held = golden.living.setdefault(system, {})
        for native, known in natives.items():
            held[native] = _lived(held[native], known) if native in held else known
    for system, said in other.registers.items():
        of = golden.registers.setdefault(system, {})
        for native, theirs in said.items():
            of[native] = _newer(of[native], theirs) if native in of else theirs
    for system, intents in other.intents.items():
        golden.intents[system] = _older_first(intents, golden.intents.get(system, {}))
    for system, endings in other.endings.items():
        ends = golden.endings.setdefault(system, {})
        ends |= {native: one for native, one in endings.items() if native != NEW and native not in ends}
    for system, losers in other.awaits.items():
        waits = golden.awaits.setdefault(system, [])
        waits += [loser for loser in losers if loser not in waits]


def _lived(one: Liveness, two: Liveness) -> Liveness:
    newest = max(one, two, key=lambda known: (known.version, not known.alive))
    died, undone = later(one.died, two.died), later(one.undone, two.undone)
    left = unread(max(one.left, two.left), newest.version)
    return replace(newest, died=died, undone=undone, made=one.made or two.made, left=left)


def _newer(one: Held, two: Held) -> Held:
    """Per field the newest version of what one record said."""
    newest = dict(one.items())
    for name, register in two.items():
        known = newest.get(name)
        newest[name] = register if known is None else max(known, register, key=_age)
    return held_of(newest)


def _age(register: Register) -> tuple[str, str, bool]:
    return register.version, register.change_id, register.derived


def _older_first(theirs: Intents, ours: Intents) -> Intents:
    """What the loser told counts as told before anything of ours, so that its echo is known when it comes."""
    joined = {name: list(some) for name, some in ours.items()}
    for name, some in theirs.items():
        known = joined.get(name, [])
        mine = {(intent[REVISION], repr(intent[VALUE])) for intent in known}
        joined[name] = [*(one for one in some if (one[REVISION], repr(one[VALUE])) not in mine), *known][-KEPT:]
    return joined


# -- what counts


Seen = dict[str, tuple[Visible, Register]]


def seen_of(*goldens: Golden) -> Seen:
    """What each field's value was, of these golden records: the newest."""
    newest: Seen = {}
    for golden in goldens:
        for name, visible in golden.whys():
            register = golden.seen(name)
            if register is not None and (name not in newest or _later((visible, register), newest[name])):
                newest[name] = (visible, register)
    return newest


def _later(one: tuple[Visible, Register], two: tuple[Visible, Register]) -> bool:
    ranks = [rank((visible.system, visible.native_id, register)) for visible, register in (one, two)]
    return ranks[0] > ranks[1]


def choose_all(golden: Golden, mapping: EntityMapping, seen: Seen) -> None:
    """Every field from all registers; where nobody has an opinion any more, what was seen last stays."""
    hide_all(golden.registers)
    for choice in dict.fromkeys(mapping.choices.values()):
        chosen = choose(choice, golden.registers)
        for name, system, native_id, register in chosen:
            own = None if find(golden.registers[system][native_id], name) else register
            golden.show(name, system, native_id, choice.rule, own)
        for name in () if chosen else choice.fields:
            if name in seen:
                visible, register = seen[name]
                of = golden.registers.get(visible.system, {}).get(visible.native_id, Held())
                golden.show(
                    name,
                    visible.system,
                    visible.native_id,
                    visible.rule,
                    None if of.get(name) == register else register,
                )


def differences(golden: Golden, before: Mapping[str, Value]) -> dict[str, Changed]:
    """The fields whose value is another than it was before."""
    changed: dict[str, Changed] = {}
    for name, visible in golden.whys():
        register, previous = golden.seen(name), before.get(name)
        if register is not None and not same(previous, register.value):
            source = Source(visible.system, visible.native_id, register.when, register.change_id)
            changed[name] = Changed(register.value, previous, visible.rule, source)
    return changed
