"""Identity: which golden record a native record is, decided once and in one place an entity family.

Promises: a record that carries a canonical id (its external id) belongs to it; else one whose match keys are all present
and equal to a known record's is that record; else it is new, and its id follows from its native id alone, so that a
replay names it the same.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.codecs.arrival import native_key
from isthmus.codecs.change import Value
from isthmus.config.mapping import EntityMapping

NAMESPACE = uuid.UUID("6f1c1d1e-5a0c-5f0e-9b1e-1a57b0d0c0de")


@dataclass(frozen=True, slots=True)
class Linking:
    """The decision: the canonical id, and the keys that now lead to it."""

    canonical: str
    keys: tuple[bytes, ...]


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
    find: Callable[[bytes], Any],
    mapping: EntityMapping,
    system: str,
    native_id: str,
    fields: Mapping[str, Value],
    external_id: str | None,
) -> Linking:
    """Decide who a record is; `find` gives the canonical id that a key leads to, None where it leads nowhere."""
    native = native_key(system, native_id)
    matches = tuple(match_keys(mapping, fields))
    known = find(native) or external_id or next((found for key in matches if (found := find(key))), None)
    canonical = known or canonical_id(system, native_id)
    return Linking(canonical, (native, *(key for key in matches if find(key) is None)))
