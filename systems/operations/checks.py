"""What `isthmus check` asks a Finance & Operations environment.

Promises: changes nothing; asks everything even where an earlier answer is bad (dynamics.md §5.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from isthmus.config.errors import IsthmusError, PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.operations.session import EVERY_COMPANY, Session
from isthmus.systems.protocol import Finding
from isthmus.systems.versions import number

VERSION = "/data/DataManagementEntities/Microsoft.Dynamics.DataEntities.GetApplicationVersion"
NAMED = ("PublicCollectionName", "PublicEntityName")


async def check(environment: Session, objects: Mapping[str, SystemMapping]) -> list[Finding]:
    """Token, version, legal entity, every data entity with its columns, its key and the column of our reference."""
    try:
        await environment.open()
    except IsthmusError as fault:
        return [Finding("token", False, str(fault), fault.hint)]
    findings = [Finding("token", True, f"{environment.config.authority} gives one")]
    findings += [await _version(environment), await _company(environment)]
    try:
        known = await entities(environment) if objects else {}
    except PlatformError as fault:
        hint = fault.hint or "the metadata service does not answer"
        return [*findings, Finding("data entities", False, str(fault), hint)]
    for mapping in objects.values():
        findings += await _object(environment, mapping, known.get(mapping.object))
    return findings


async def _version(environment: Session) -> Finding:
    """The application's own version; of an environment that does not tell it to us nothing is said."""
    name, wanted = "API version", environment.config.api_version
    try:
        answer = await environment.call("POST", VERSION, json={})
    except PlatformError as fault:
        return Finding(name, False, str(fault), fault.hint or "does the environment answer?")
    told = answer.json() if answer.status == 200 else None
    known = str(told.get("value", "")) if isinstance(told, dict) else ""
    if not known:
        return Finding(name, True, f"{wanted} is set; the environment does not tell us its own")
    if number(known) != number(wanted):
        return Finding(
            name, False, f"the environment is {known}, not {wanted}", "set operations.api_version to what it is"
        )
    return Finding(name, True, f"{wanted}, and the environment is {known}")


async def _company(environment: Session) -> Finding:
    company = environment.config.company
    condition = quote(f"LegalEntityId eq '{company}'", safe="")
    try:
        told = await environment.get(f"/data/LegalEntities?{EVERY_COMPANY}&$select=LegalEntityId&$filter={condition}")
    except PlatformError as fault:
        hint = "make a user for the app registration under Microsoft Entra ID applications"
        return Finding("legal entity", False, str(fault), fault.hint or hint)
    if not told.get("value"):
        return Finding("legal entity", False, f"there is no {company}", "set operations.company to one that exists")
    return Finding("legal entity", True, f"{company} is there")


async def entities(environment: Session) -> dict[str, Mapping[str, Any]]:
    """Every data entity by its own name; some builds do not filter this list. PlatformError where it is not told."""
    told = await environment.get("/Metadata/DataEntities")
    return {str(one.get("Name")): one for one in told.get("value", ())}


async def _object(environment: Session, mapping: SystemMapping, known: Mapping[str, Any] | None) -> list[Finding]:
    if known is None:
        hint = "correct the mapping's object: the data entity's own name, such as SalesOrderHeaderV2Entity"
        return [Finding(mapping.object, False, "there is no such data entity", hint)]
    if known.get("PublicCollectionName") != mapping.collection:
        hint = f"set collection: {known.get('PublicCollectionName')} in the mapping"
        return [Finding(mapping.object, False, f"is not the entity set {mapping.collection}", hint)]
    try:
        public = await environment.get(f"/Metadata/PublicEntities('{known.get('PublicEntityName')}')")
    except PlatformError as fault:
        return [Finding(mapping.object, False, str(fault), fault.hint or "is the entity public?")]
    columns = {str(one.get("Name")): one for one in public.get("Properties", ())}
    return [
        Finding(mapping.object, True, f"is {mapping.collection}"),
        await _rows(environment, mapping),
        _columns(mapping, columns),
        _key(mapping, columns),
        _reference(mapping, columns, read_only=bool(public.get("IsReadOnly"))),
    ]


async def _rows(environment: Session, mapping: SystemMapping) -> Finding:
    """The metadata is everybody's; the rows are not."""
    name = f"{mapping.object} rows"
    try:
        await environment.get(f"/data/{mapping.collection}?{EVERY_COMPANY}&$top=1")
    except PlatformError as fault:
        hint = "isthmus provision says which privileges the user's role needs"
        return Finding(name, False, str(fault), fault.hint or hint)
    return Finding(name, True, "may be read")


def _columns(mapping: SystemMapping, columns: Mapping[str, Any]) -> Finding:
    name, missing = f"{mapping.object} columns", list(_missing(mapping, columns))
    if missing:
        return Finding(name, False, "; ".join(missing), "correct the mapping; names are told with their case")
    return Finding(name, True, f"all {len(mapping.columns)} are there")


def _missing(mapping: SystemMapping, columns: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name} is missing" for name in mapping.fields.values() if name not in columns)


def _key(mapping: SystemMapping, columns: Mapping[str, Any]) -> Finding:
    name, real = f"{mapping.object} key", {one for one, told in columns.items() if told.get("IsKey")}
    if set(mapping.key_columns) != real:
        wanted = ",".join(sorted(real, key=list(columns).index))
        return Finding(name, False, f"{mapping.primary_key} is not the key", f"set primary_key: {wanted}")
    return Finding(name, True, f"is {mapping.primary_key}")


def _reference(mapping: SystemMapping, columns: Mapping[str, Any], *, read_only: bool) -> Finding:
    """The column that holds our reference: any text that may be written."""
    name, column = f"{mapping.object} reference", columns.get(mapping.external_id)
    if column is None:
        hint = "map a text column that nobody else uses, or add one by an extension"
        return Finding(name, False, f"{mapping.external_id} is missing", hint)
    if read_only:
        return Finding(name, True, f"{mapping.object} is read-only, so nothing is created")
    if not column.get("AllowEdit", True) or column.get("TypeName") != "Edm.String":
        return Finding(name, False, f"{mapping.external_id} is no text that may be written", "map another column")
    return Finding(name, True, f"is {mapping.external_id}")
