"""What an environment says of a data entity's columns (the metadata service; dynamics.md §5.3).

Promises: as systems/describing.py. Lengths and the symbols of enumerations are not told by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.config.errors import PermanentError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.describing import Described, Kind
from isthmus.systems.operations.checks import entities
from isthmus.systems.operations.session import Session

KINDS: dict[str, Kind] = {
    "Edm.DateTimeOffset": "datetime",
    "Edm.Decimal": "money",
    "Edm.Guid": "reference",
    "Edm.Int32": "integer",
    "Edm.Int64": "integer",
    "Edm.String": "string",
}
ENUMERATION = "Microsoft.Dynamics.DataEntities."


async def describe(environment: Session, mapping: SystemMapping) -> dict[str, Described]:
    """The entity's columns by name. PermanentError where there is no such entity."""
    known = (await entities(environment)).get(mapping.object)
    if known is None:
        raise PermanentError(f"there is no data entity {mapping.object}", code="UNKNOWN_OBJECT")
    public = await environment.get(f"/Metadata/PublicEntities('{known.get('PublicEntityName')}')")
    closed = bool(public.get("IsReadOnly"))
    return {str(one["Name"]): _column(one, closed) for one in public.get("Properties", ())}


def _column(told: Mapping[str, Any], closed: bool) -> Described:
    type_name = str(told.get("TypeName"))
    kind = "choice" if type_name.startswith(ENUMERATION) else KINDS.get(type_name, "other")
    # A key may be set, once.
    writable = not closed and bool(told.get("AllowEdit", True) or told.get("IsKey"))
    return Described(str(told["Name"]), kind, writable)
