"""Identity: which golden record a native record is, decided once and in one place an entity family.

Promises: a record that carries a canonical id (its external id) belongs to it; else one whose match keys are all present
and equal to those of another system's record is that record; else it is new, and its id follows from its native id
alone, so that a replay names it the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from isthmus.codecs.arrival import native_key
from isthmus.codecs.change import Value
from isthmus.config.mapping import EntityMapping
from isthmus.tables.unit import Table

NAMESPACE = uuid.UUID("6f1c1d1e-5a0c-5f0e-9b1e-1a57b0d0c0de")


class Claim(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What leads by a key to a golden record: a native record's own key (no systems named), or a match key, under which
    one record of each of these systems stands."""

    canonical: str
    systems: tuple[str, ...] = ()


IDENTITY: Table[Claim] = Table("identity", Claim)


@dataclass(frozen=True, slots=True)
class Linking:
    """The decision: the canonical id, and what the keys that lead to it hold from now on."""

    canonical: str
    keys: Mapping[bytes, Claim]


def canonical_id(system: str, native_id: str) -> str:
    """The canonical id of a record that is the first of its kind."""
    return str(uuid.uuid5(NAMESPACE, f"{system}:{native_id}"))


def match_keys(mapping: EntityMapping, fields: Mapping[str, Value]) -> Iterator[bytes]:
    """One key per set of match fields that is wholly present; case and outer blanks do not count."""
    for names in mapping.match:
        values = [fields.get(name) for name in names]
        if all(value not in (None, "") for value in values):
            text = "|".join(
                f"{name}={str(value).strip().casefold()}" for name, value in zip(names, values, strict=True)
            )
            yield f"match:{mapping.entity}:{text}".encode()


def link(
    find: Callable[[bytes], Claim | None],
    mapping: EntityMapping,
    system: str,
    native_id: str,
    fields: Mapping[str, Value],
    external_id: str | None,
) -> Linking:
    """Decide who a record is; `find` gives what a key holds, None where it holds nothing."""
    native = native_key(system, native_id)
    claims = {key: find(key) for key in match_keys(mapping, fields)}
    known = find(native)
    matched = (claim.canonical for claim in claims.values() if claim and system not in claim.systems)
    canonical = known.canonical if known else external_id or next(matched, None) or canonical_id(system, native_id)
    return Linking(canonical, {native: Claim(canonical), **_claimed(claims, system, canonical)})


def _claimed(claims: Mapping[bytes, Claim | None], system: str, canonical: str) -> dict[bytes, Claim]:
    """Match keys with this record among those they stand for. Two records of one system that share a key are two
    customers until somebody says otherwise, so the second claims nothing."""
    claimed: dict[bytes, Claim] = {}
    for key, claim in claims.items():
        known = claim or Claim(canonical)
        if known.canonical == canonical and system not in known.systems:
            claimed[key] = Claim(canonical, (*known.systems, system))
    return claimed
