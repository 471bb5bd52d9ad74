"""identities: links records that were matched before the first sync, holds back those of which a person is asked, and does
what people say of who is who.

Promises: part of identify, in the same partition, so it contradicts nothing that is decided there; saying a thing twice
does no harm. A record that is held back is in the books as parked until it is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from isthmus.codecs.arrival import EXTERNAL, Link, Unlinked, native_key
from isthmus.codecs.audit import CONTENT_TYPE, Audit
from isthmus.codecs.dead import dead_letter
from isthmus.codecs.events import Source
from isthmus.codecs.frames import encode
from isthmus.codecs.identities import Ask, Decision, Load, Native, Word, settled
from isthmus.codecs.linked import Linked, Loaded, Part, Yield
from isthmus.config.errors import PlatformError
from isthmus.config.mapping import Mappings
from isthmus.tables.held import HELD, Held
from isthmus.tables.identity import (
    IDENTITY,
    Claim,
    Find,
    apart_key,
    barred,
    canonical_id,
    joined,
    kept_apart,
    link,
    root,
)
from isthmus.tables.sharing import question
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
    """Ask whether those that share a match key are the same."""
    review = question(_finder(unit), key, at)
    unit.send("reviews", review.id.encode(), review)


def hold(unit: Unit, linked: Linked, held: Held) -> None:
    """A change of a record that is held back waits with it."""
    unit.count(linked.system, linked.entity, "parked")
    later = Held(held.row, held.external, held.against, (*held.changes, linked))
    unit.put(HELD, native_key(linked.system, linked.native_id), later)


# -- before the first sync


def _load(unit: Unit, word: Load, mappings: Mappings, evidence: Iterable[str] = (), *, answered: bool = False) -> str:
    """Link records that are one, and hand them to merge at once; the canonical id that they have. `answered`: a person
    has just said who they are, who is not asked again."""
    find, said = _finder(unit), list(evidence)
    losers: list[str] = []
    for row, external in zip(word.rows, word.externals, strict=True):
        mapping = mappings.entities[row.entity]
        decided = link(find, mapping, row.system, row.native_id, row.values(), external, said)
        for key, value in decided.keys.items():
            unit.put(IDENTITY, key, value)
        for key in () if answered else decided.shared:
            ask(unit, key, row.changed_at)
        said, losers = [decided.canonical], [*losers, *decided.losers]
    canonical, first = said[0], word.rows[0]
    for loser in dict.fromkeys(losers):
        _yield(unit, loser, canonical, first)
    rows = tuple(row.at(canonical) for row in word.rows)
    unit.send("merge", canonical.encode(), Loaded(canonical, first.entity, rows, first.correlation))
    for row, external in zip(word.rows, word.externals, strict=True):
        key = native_key(row.system, row.native_id)
        known = unit.get(IDENTITY, key) or Claim(canonical)
        told = {**known.said, **({EXTERNAL: external} if external else {})}
        unit.send("links", key, Link(row.system, row.native_id, row.entity, canonical, told))
    return canonical


def _ask(unit: Unit, word: Ask) -> None:
    """Hold both records back, unless they are known already, and ask."""
    find, ids = _finder(unit), [(row.system, row.native_id) for row in word.rows]
    known = [find(native_key(*native)) for native in ids]
    roots = [root(find, one.canonical) for one in known if one]
    if len(roots) == 2 and (roots[0] == roots[1] or barred(find, roots[0], roots[1])):
        return
    for row, external, one, native, other in zip(word.rows, word.externals, known, ids, reversed(ids), strict=True):
        if one is None:
            held = unit.get(HELD, native_key(*native)) or Held(row, external, ())
            against = tuple(dict.fromkeys((*held.against, other)))
            unit.put(HELD, native_key(*native), Held(held.row, held.external, against, held.changes))
    unit.send("reviews", word.review.id.encode(), word.review)


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
    known = _known(find, word)
    for canonical in known:  # the newest word counts
        if apart := find(apart_key(canonical)):
            others = tuple(other for other in apart.systems if root(find, other) not in known)
            unit.put(IDENTITY, apart_key(canonical), Claim(canonical, others))
    held = [free for native in word.records if (free := _let_go(unit, native))]
    if held:
        load = Load(tuple(one.row for one in held), tuple(one.external for one in held))
        _load(unit, load, mappings, known, answered=True)
    elif len(set(known)) == 2:
        for key, value in joined(find, known[0], known[1:]).items():
            unit.put(IDENTITY, key, value)
        _yield(unit, known[1], known[0], _as_change(word))
    _close(unit, word)
    _go_on(unit, held, mappings, identify)


def _apart(unit: Unit, word: Decision, mappings: Mappings, identify: Identify) -> None:
    find, (one, other) = _finder(unit), word.records
    free = [held for native, its in ((one, other), (other, one)) if (held := _asked_less(unit, native, its))]
    for held in free:
        _load(unit, Load((held.row,), (held.external,)), mappings, answered=True)
    known = _known(find, word)
    if len(set(known)) == 2:
        for key, value in kept_apart(find, known[0], known[1]).items():
            unit.put(IDENTITY, key, value)
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
    for apart, value in kept_apart(find, old, new).items():
        unit.put(IDENTITY, apart, value)
    cause = Source("steward", word.by, word.at, word.id)
    unit.send("merge", old.encode(), Part(old, new, system, native, word.entity, word.id, cause))


def _finder(unit: Unit) -> Find:
    return partial(unit.get, IDENTITY)


def _known(find: Find, word: Decision) -> list[str]:
    """The golden records of its records, of those that have one."""
    claims = [find(native_key(*native)) for native in word.records]
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
    unit.put(HELD, key, Held(held.row, held.external, against, held.changes) if against else None)
    return None if against else held


def _go_on(unit: Unit, held: Iterable[Held], mappings: Mappings, identify: Identify) -> None:
    """What records said while they were held back."""
    for one in held:
        for change in one.changes:
            unit.count(change.system, change.entity, "parked", -1)
            identify(unit, Unlinked(change, None), mappings)


def _close(unit: Unit, word: Decision) -> None:
    for review in settled(word):
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
        for at, value in joined(find, winner, [loser]).items():
            unit.put(IDENTITY, at, value)
        _yield(unit, loser, winner, linked, ended=True)


def _yield(unit: Unit, loser: str, winner: str, linked: Linked, *, ended: bool = False) -> None:
    cause = Source(linked.system, linked.native_id, linked.changed_at, linked.change_id)
    unit.send("merge", loser.encode(), Yield(loser, winner, linked.entity, linked.correlation, cause, ended))
