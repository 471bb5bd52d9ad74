"""identities: links records that were matched before the first sync, holds back those of which a person is asked, and does
what people say of who is who.

Promises: part of identify, in the same partition, so it contradicts nothing that is decided there; saying a thing twice
does no harm. A record that is held back is in the books as parked until it is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from msgspec.structs import replace

from isthmus.codecs.arrival import EXTERNAL, Link, Unlinked, native_key
from isthmus.codecs.audit import CONTENT_TYPE, Audit
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.events import Source
from isthmus.codecs.frames import encode
from isthmus.codecs.identities import Ask, Decision, Load, Native, Word, settled
from isthmus.codecs.linked import Linked, Loaded, Part, Yield
from isthmus.config.errors import PlatformError
from isthmus.config.mapping import Mappings
from isthmus.tables.claims import IDENTITY, Claim
from isthmus.tables.held import HELD, Held
from isthmus.tables.identity import (
    Find,
    apart_key,
    barred,
    canonical_id,
    joined,
    kept_apart,
    link,
    root,
)
from isthmus.tables.sharing import is_open, key_of, question
from isthmus.tables.unit import Record, Unit

TOPIC = "identities"
Identify = Callable[[Unit, Unlinked, Mappings], None]


def hear(unit: Unit, word: Word, mappings: Mappings, identify: Identify) -> None:
    """Do what one word says."""
    match word:
        case Load():
            _load(unit, word, mappings)
        case Ask():
            _ask(unit, word)
        case Decision():
            _decide(unit, word, mappings, identify)


def ask(unit: Unit, key: bytes, at: str) -> None:
    """Ask whether those that share a match key are the same, unless that was said of all of them."""
    if is_open(_finder(unit), key):
        review = question(_finder(unit), key, at)
        unit.send("reviews", review.id.encode(), review)


def hold(unit: Unit, linked: Linked, held: Held) -> None:
    """A change of a record that is held back waits with it."""
    unit.count(linked.system, linked.entity, "parked")
    later = replace(held, changes=(*held.changes, linked))
    unit.put(HELD, native_key(linked.system, linked.native_id), later)


# -- before the first sync


def _load(
    unit: Unit, word: Load, mappings: Mappings, evidence: Iterable[str] = (), apart: Iterable[Native] = ()
) -> None:
    """Link records that are one, and hand them to merge at once. `evidence`: golden records that they are said to be;
    `apart`: records that they are said not to be."""
    find, said = _finder(unit), list(evidence)
    others = set(_golden(find, apart)) - set(said)
    losers: list[str] = []
    shared: dict[bytes, str] = {}
    for row, external in zip(word.rows, word.externals, strict=True):
        mapping = mappings.entities[row.entity]
        decided = link(find, mapping, row.system, row.native_id, row.values(), external, said, others)
        _keep(unit, decided.keys)
        shared |= dict.fromkeys(decided.shared, row.changed_at)
        said, losers = [decided.canonical], [*losers, *decided.losers]
    canonical, first = said[0], word.rows[0]
    for loser in dict.fromkeys(losers):
        _yield(unit, loser, canonical, first)
    for other in sorted(others):
        _keep(unit, kept_apart(find, canonical, other))
    for key, at in shared.items():
        ask(unit, key, at)
    _hand_over(unit, word, canonical)


def _hand_over(unit: Unit, word: Load, canonical: str) -> None:
    """To merge, and to intake's xref."""
    first, rows = word.rows[0], tuple(row.at(canonical) for row in word.rows)
    unit.send("merge", canonical.encode(), Loaded(canonical, first.entity, rows, first.correlation))
    for row, external in zip(word.rows, word.externals, strict=True):
        key = native_key(row.system, row.native_id)
        known = unit.get(IDENTITY, key) or Claim(canonical)
        told = {**known.said, **({EXTERNAL: external} if external else {})}
        unit.send("links", key, Link(row.system, row.native_id, row.entity, canonical, told))


def _ask(unit: Unit, word: Ask) -> None:
    """Hold both records back, unless they are known already, and ask, unless that was answered."""
    find, (one, other) = _finder(unit), [(row.system, row.native_id) for row in word.rows]
    known = _golden(find, (one, other))
    if len(known) == 2 and (known[0] == known[1] or barred(find, known[0], known[1])):
        return
    if _is_apart(unit, one, other) or _is_apart(unit, other, one):
        return
    for row, external, native, its in zip(word.rows, word.externals, (one, other), (other, one), strict=True):
        key = native_key(*native)
        if find(key) is None:
            held = unit.get(HELD, key) or Held(row, external, ())
            unit.put(HELD, key, replace(held, against=tuple(dict.fromkeys((*held.against, its)))))
    unit.send("reviews", word.review.id.encode(), word.review)


def _is_apart(unit: Unit, native: Native, other: Native) -> bool:
    """Has somebody said of a record that is held back that it is not the other?"""
    held = unit.get(HELD, native_key(*native))
    return held is not None and other in held.apart


# -- what people say


def _decide(unit: Unit, word: Decision, mappings: Mappings, identify: Identify) -> None:
    if (fault := _fault(unit, word, mappings)) is not None:
        unit.bury(dead_letter(fault, stage="identify", original=encode(word), entity=word.entity))
        return
    match word.action:
        case "link":
            _link(unit, word, mappings, identify)
        case "apart":
            _apart(unit, word, mappings, identify)
        case "unmerge":
            _unmerge(unit, word)
    told = ", ".join(":".join(native) for native in word.records)
    what = f"{word.action} {told} by {word.by}" + (f": {word.why}" if word.why else "")
    record = Audit("identity", word.records[0][0], word.at, what, {"order": word.id})
    unit.publish(Record("audit", word.records[0][0].encode(), record.value(), [CONTENT_TYPE]))


def _fault(unit: Unit, word: Decision, mappings: Mappings) -> PlatformError | None:
    """Why it cannot be done."""
    if word.entity not in mappings.entities or len(word.records) != (1 if word.action == "unmerge" else 2):
        return PlatformError(f"{word.action} of {word.records}", code="ORDER", hint="name an entity and its records")
    for native in word.records:
        key = native_key(*native)
        if unit.get(IDENTITY, key) is None and (word.action == "unmerge" or unit.get(HELD, key) is None):
            return PlatformError(f"nobody knows {':'.join(native)}", code="UNKNOWN", hint="is its id right?")
    return None


def _link(unit: Unit, word: Decision, mappings: Mappings, identify: Identify) -> None:
    find = _finder(unit)
    known = _golden(find, word.records)
    for canonical in known:  # the newest word counts
        if apart := find(apart_key(canonical)):
            others = tuple(other for other in apart.systems if root(find, other) not in known)
            unit.put(IDENTITY, apart_key(canonical), Claim(canonical, others))
    held = [free for native in word.records if (free := _let_go(unit, native))]
    if held:
        load = Load(tuple(one.row for one in held), tuple(one.external for one in held))
        _load(unit, load, mappings, known, [native for one in held for native in one.apart])
    elif len(set(known)) == 2:
        _keep(unit, joined(find, known[0], known[1:]))
        _yield(unit, known[1], known[0], _as_change(word))
    _close(unit, word)
    _go_on(unit, held, mappings, identify)


def _apart(unit: Unit, word: Decision, mappings: Mappings, identify: Identify) -> None:
    find, (one, other) = _finder(unit), word.records
    free = [held for native, its in ((one, other), (other, one)) if (held := _asked_less(unit, native, its))]
    for held in free:
        _load(unit, Load((held.row,), (held.external,)), mappings, apart=held.apart)
    known = _golden(find, word.records)
    if len(set(known)) == 2:
        _keep(unit, kept_apart(find, known[0], known[1]))
    _close(unit, word)
    _go_on(unit, free, mappings, identify)


def _unmerge(unit: Unit, word: Decision) -> None:
    find, (system, native) = _finder(unit), word.records[0]
    key = native_key(system, native)
    claim = find(key)
    if claim is None:
        return
    old, new = root(find, claim.canonical), canonical_id(system, f"{native}#{word.id}")
    unit.put(IDENTITY, key, Claim(new, (), claim.said))
    _keep(unit, kept_apart(find, old, new))
    cause = Source("steward", word.by, word.at, word.id)
    unit.send("merge", old.encode(), Part(old, new, system, native, word.entity, word.id, cause))


def _finder(unit: Unit) -> Find:
    return partial(unit.get, IDENTITY)


def _keep(unit: Unit, keys: Mapping[bytes, Claim]) -> None:
    for key, claim in keys.items():
        unit.put(IDENTITY, key, claim)


def _golden(find: Find, records: Iterable[Native]) -> list[str]:
    """The golden records of these records, of those that have one."""
    claims = [find(native_key(*native)) for native in records]
    return [root(find, claim.canonical) for claim in claims if claim is not None]


# -- holding and letting go


def _let_go(unit: Unit, native: Native) -> Held | None:
    """Take a record out, whatever else is asked of it."""
    key = native_key(*native)
    held = unit.get(HELD, key)
    if held is not None:
        unit.put(HELD, key, None)
    return held


def _asked_less(unit: Unit, native: Native, other: Native) -> Held | None:
    """A record that is not the same as the other; taken out where nothing more is asked of it."""
    key = native_key(*native)
    held = unit.get(HELD, key)
    if held is None:
        return None
    against = tuple(one for one in held.against if one != other)
    told = replace(held, against=against, apart=tuple(dict.fromkeys((*held.apart, other))))
    unit.put(HELD, key, told if against else None)
    return None if against else told


def _go_on(unit: Unit, held: Iterable[Held], mappings: Mappings, identify: Identify) -> None:
    """What records said while they were held back."""
    for one in held:
        for change in one.changes:
            unit.count(change.system, change.entity, "parked", -1)
            identify(unit, Unlinked(change, None), mappings)


def _close(unit: Unit, word: Decision) -> None:
    """What it answers needs nobody any more; but of those that share a match key the others are still asked of."""
    for review in settled(word):
        key = key_of(review.id)
        if key is not None and is_open(_finder(unit), key):
            review = replace(question(_finder(unit), key, word.at), decided=review.decided)
        unit.send("reviews", review.id.encode(), review)


def _as_change(word: Decision) -> Linked:
    """A person's word as the cause of what follows."""
    return Linked("steward", word.by, word.entity, "", "update", {}, (), "", word.at, word.id, word.id)


def merged(unit: Unit, linked: Linked, master: str) -> None:
    """A platform says that it merged a record into another: what the loser's golden record was, the master's is."""
    find, native = _finder(unit), native_key(linked.system, linked.native_id)
    key = native_key(linked.system, master)
    mine, theirs = find(native), find(key)
    if mine is None and theirs is not None and linked.operation != "delete":
        unit.put(IDENTITY, native, Claim(root(find, theirs.canonical)))
    if mine is None or (theirs is None and unit.get(HELD, key) is not None):
        return
    loser = root(find, mine.canonical)
    if theirs is None:
        unit.put(IDENTITY, key, Claim(loser))
        unit.send("links", key, Link(linked.system, master, linked.entity, loser))
        return
    winner = root(find, theirs.canonical)
    if winner != loser and not barred(find, winner, loser):
        _keep(unit, joined(find, winner, [loser]))
        _yield(unit, loser, winner, linked, ended=True)


def _yield(unit: Unit, loser: str, winner: str, linked: Linked, *, ended: bool = False) -> None:
    cause = Source(linked.system, linked.native_id, linked.changed_at, linked.change_id)
    unit.send("merge", loser.encode(), Yield(loser, winner, linked.entity, linked.correlation, cause, ended))
