"""Identity: which golden record a native record is, decided once and in one place an entity family.

Promises: what a record says of itself counts for good: its canonical id (its external id), and each set of match fields
that is present and equal to another system's record's. Two golden records that are named by the same become one, so the
same changes end in the same links in whatever order they arrive. A match key that two records of one system share says
nothing from then on: they are two customers until somebody says otherwise, who is asked (tables/sharing.py). The id of a
record that is new follows from its native id alone, so that a replay names it the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from isthmus.codecs.arrival import native_key
from isthmus.codecs.change import Value
from isthmus.config.mapping import EntityMapping
from isthmus.tables.claims import Claim

STANDING = 20
NAMESPACE = uuid.UUID("6f1c1d1e-5a0c-5f0e-9b1e-1a57b0d0c0de")


Find = Callable[[bytes], Claim | None]


@dataclass(frozen=True, slots=True)
class Linking:
    """The decision: who the record was until now (from there a change is forwarded) and who it is; what the keys that
    lead to it hold from now on; which golden records yield to it; is the record new; and which match keys are `shared`
    with golden records that somebody has to compare it with?"""

    at: str
    canonical: str
    keys: Mapping[bytes, Claim]
    losers: tuple[str, ...] = ()
    new: bool = True
    shared: tuple[bytes, ...] = ()


def canonical_id(system: str, native_id: str) -> str:
    """The canonical id of a record that is the first of its kind."""
    return str(uuid.uuid5(NAMESPACE, f"{system}:{native_id}"))


def golden_key(canonical: str) -> bytes:
    """The key under which it stands what a golden record became."""
    return f"golden:{canonical}".encode()


def apart_key(canonical: str) -> bytes:
    """The key under which it stands with whom a golden record is never to become one."""
    return f"apart:{canonical}".encode()


def root(find: Find, canonical: str) -> str:
    """The golden record that this one is by now."""
    while (claim := find(golden_key(canonical))) is not None:
        canonical = claim.canonical
    return canonical


def match_keys(mapping: EntityMapping, fields: Mapping[str, Value]) -> list[bytes]:
    """One key per set of match fields that is wholly present; case and outer blanks do not count."""
    keys = []
    for names in mapping.matching.keys:
        parts = [f"{n}={str(fields[n]).strip().casefold()}" for n in names if fields.get(n) not in (None, "")]
        if len(parts) == len(names):
            keys.append(f"match:{mapping.entity}:{'|'.join(parts)}".encode())
    return keys


def link(
    find: Find,
    mapping: EntityMapping,
    system: str,
    native_id: str,
    fields: Mapping[str, Value],
    external_id: str | None,
    evidence: Iterable[str] = (),
    apart: Collection[str] = (),
) -> Linking:
    """Decide who a record is; `find` gives what a key holds, None where it holds nothing. `evidence`: golden records that
    it is said to be by somebody else; `apart`: those that it is said not to be."""
    native = native_key(system, native_id)
    known = find(native)
    said = _said(known, mapping, fields)
    claims = {key: find(key) for key in match_keys(mapping, said)}
    matched = [one.canonical for one in claims.values() if one and not one.contested and system not in one.systems]
    named = [*([external_id] if external_id else ()), *evidence, *matched]
    named = [*([known.canonical] if known else ()), *(one for one in named if root(find, one) not in apart)]
    at = named[0] if named else canonical_id(system, native_id)
    canonical, losers = _union(find, at, named[1:])
    ours = (canonical, *losers)
    claimed = _claimed(find, claims, system, native.decode(), ours)
    shared = [key for key, one in claimed.items() if one.contested and _is_news(find, claims[key], ours)]
    mine = Claim(at, (), said)
    keys = claimed if mine == known else {native: mine, **claimed}  # most changes say nothing new of who they are
    if losers:
        keys |= joined(find, canonical, losers)
    return Linking(at, canonical, keys, losers, known is None, tuple(shared))


def _said(known: Claim | None, mapping: EntityMapping, fields: Mapping[str, Value]) -> Mapping[str, Value]:
    """What a record says of its match fields, with what it said before."""
    now = {name: fields[name] for name in mapping.linking if name in fields}
    return {**known.said, **now} if known else now


def _union(find: Find, at: str, others: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The golden record that all of these are, and those that yield to it."""
    winner = root(find, at)
    losers: list[str] = []
    for other in dict.fromkeys(root(find, one) for one in others):
        if other != winner and not any(barred(find, other, one) for one in (winner, *losers)):
            losers.append(other)
    return winner, tuple(losers)


def barred(find: Find, one: str, other: str) -> bool:
    """Has somebody said that these golden records are not one?"""
    known = find(apart_key(one))
    return known is not None and any(root(find, canonical) == other for canonical in known.systems)


def joined(find: Find, winner: str, losers: Iterable[str]) -> dict[bytes, Claim]:
    """What keys hold once these golden records have become one: whom a loser is kept apart from, the winner is too."""
    keys, apart = {golden_key(loser): Claim(winner) for loser in losers}, find(apart_key(winner))
    others = list(apart.systems) if apart else []
    for loser in losers:
        known = find(apart_key(loser))
        others += [one for one in (known.systems if known else ()) if one not in others]
    return {**keys, apart_key(winner): Claim(winner, tuple(others))} if others else keys


def kept_apart(find: Find, one: str, other: str) -> dict[bytes, Claim]:
    """What keys hold once somebody has said that these two are not one."""
    keys = {}
    for mine, theirs in ((one, other), (other, one)):
        known = find(apart_key(mine))
        keys[apart_key(mine)] = Claim(mine, tuple(dict.fromkeys((*(known.systems if known else ()), theirs))))
    return keys


def _claimed(
    find: Find, claims: Mapping[bytes, Claim | None], system: str, native: str, ours: tuple[str, ...]
) -> dict[bytes, Claim]:
    """Match keys with this record among those they stand for, where that is news."""
    claimed: dict[bytes, Claim] = {}
    for key, claim in claims.items():
        known = claim or Claim(ours[0])
        mine = known.canonical in ours or root(find, known.canonical) in ours
        stands = native in known.records
        records = known.records if stands else tuple(sorted((*known.records, native))[:STANDING])
        if known.contested or (mine and system in known.systems):
            if stands:
                continue
            found = replace(known, records=records)
        elif mine:
            found = Claim(ours[0], (*known.systems, system), records=records)
        else:
            found = replace(known, contested=True, records=records)
        if found != claim:
            claimed[key] = found
    return claimed


def _is_news(find: Find, claim: Claim | None, ours: tuple[str, ...]) -> bool:
    """Does a match key stand for other golden records alone, not all of which are kept apart from this one?"""
    if claim is None:
        return False
    natives = (find(record.encode()) for record in claim.records)
    others = {root(find, one.canonical) for one in (claim, *natives) if one is not None}
    return others.isdisjoint(ours) and not all(barred(find, ours[0], other) for other in others)
