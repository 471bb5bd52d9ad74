"""Key predicates: a row's key as it stands in a URL, and back, by the types of the columns.

Promises: knows nothing of the node, which writes the same keys by rules of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from isthmus.simulators.operations import faults
from isthmus.simulators.operations.schema import COMPANY, Entity

PAIR = re.compile(r"\s*(\w+)\s*=\s*('(?:[^']|'')*'|[^',\s]+)\s*(?:,|$)", re.DOTALL)


def write_key(entity: Entity, values: Mapping[str, Any]) -> str:
    """`dataAreaId='usmf',SalesOrderNumber='SO-1'`."""
    return ",".join(f"{name}={_literal(entity, name, values[name])}" for name in entity.keys)


def read_key(entity: Entity, predicate: str) -> str:
    """A key as `write_key` writes it, whatever its order; Fault 404 where it is none of this entity."""
    found: dict[str, str] = {}
    at = 0
    while at < len(predicate):
        pair = PAIR.match(predicate, at)
        if pair is None:
            raise faults.no_resource(f"{entity.collection}({predicate})")
        found[pair[1]] = pair[2]
        at = pair.end()
    if found.keys() != set(entity.keys):
        raise faults.no_resource(f"{entity.collection}({predicate})")
    return write_key(entity, {name: _value(entity, name, told) for name, told in found.items()})


def _literal(entity: Entity, name: str, value: Any) -> str:
    if entity.columns[name].kind not in ("text", "enum"):
        return str(value)
    told = str(value).lower() if name == COMPANY else str(value)
    return "'" + told.replace("'", "''") + "'"


def _value(entity: Entity, name: str, told: str) -> Any:
    quoted = told.startswith("'")
    if quoted != (entity.columns[name].kind in ("text", "enum")):
        raise faults.no_resource(f"{name}={told}")
    if quoted:
        return told[1:-1].replace("''", "'")
    if entity.columns[name].kind in ("date", "moment"):
        return told
    number = Decimal(told) if re.fullmatch(r"-?\d+(\.\d+)?", told) else None
    if number is None:
        raise faults.no_resource(f"{name}={told}")
    return int(number) if number == int(number) else float(number)
