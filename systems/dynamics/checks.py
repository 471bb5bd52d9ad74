"""What `isthmus check` asks a Dataverse environment.

Promises: changes nothing; asks everything even where an earlier answer is bad (dynamics.md §3.1, §6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from isthmus.config.errors import IsthmusError, PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics.session import Session
from isthmus.systems.protocol import Finding
from isthmus.systems.versions import number

TABLE = "LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled"
FEWEST_DAYS = 3
RIGHTS = ("IsValidForUpdate", "IsValidForRead")


async def check(environment: Session, tables: Mapping[str, SystemMapping]) -> list[Finding]:
    """Token, application user, change tracking, every table with its columns and alternate key."""
    try:
        await environment.open()
        findings = [Finding("token", True, f"{environment.config.authority} gives one")]
    except IsthmusError as fault:
        return [Finding("token", False, str(fault), fault.hint)]
    findings.append(await _version(environment))
    findings.append(await _who(environment))
    findings.append(await _links(environment))
    for mapping in tables.values():
        findings += await _table(environment, mapping)
    return findings


async def _version(environment: Session) -> Finding:
    """The environment's own version; its API of the same and of earlier minor versions is there."""
    name, wanted = "API version", environment.config.api_version
    try:
        told = str((await environment.get("RetrieveVersion")).get("Version", ""))
    except PlatformError as fault:
        return Finding(name, False, str(fault), fault.hint or "set dynamics.api_version to one that is there")
    if number(told) < number(wanted):
        return Finding(name, False, f"the environment is {told}, older than {wanted}", "set dynamics.api_version")
    return Finding(name, True, f"{wanted}, and the environment is {told}")


async def _who(environment: Session) -> Finding:
    try:
        told = await environment.get("WhoAmI")
    except PlatformError as fault:
        hint = "make an application user for the app registration and give it a security role"
        return Finding("application user", False, str(fault), fault.hint or hint)
    return Finding("application user", True, f"is {told.get('UserId')}")


async def _table(environment: Session, mapping: SystemMapping) -> list[Finding]:
    base = f"EntityDefinitions(LogicalName='{mapping.object}')"
    try:
        table = await environment.get(f"{base}?$select={TABLE}")
        columns = await environment.get(f"{base}/Attributes?$select=LogicalName,IsValidForUpdate,IsValidForRead")
        keys = await environment.get(f"{base}/Keys?$select=LogicalName,KeyAttributes,EntityKeyIndexStatus")
    except PlatformError as fault:
        return [Finding(mapping.object, False, str(fault), fault.hint or "correct the mapping's object")]
    return [
        _names(mapping, table),
        _columns(mapping, {column["LogicalName"]: column for column in columns.get("value", ())}),
        _key(mapping, keys.get("value", ())),
        *([_tracking(mapping, table)] if mapping.listened else []),
    ]


def _tracking(mapping: SystemMapping, table: Mapping[str, Any]) -> Finding:
    """What webhooks lose is found by change tracking alone (dynamics.md §2)."""
    on = bool(table.get("ChangeTrackingEnabled"))
    hint = "turn change tracking on: isthmus provision --apply"
    return Finding(f"{mapping.object} change tracking", on, "is on" if on else "is off: lost webhooks stay lost", hint)


async def _links(environment: Session) -> Finding:
    """After so many days a link is refused and everything is read again (dynamics.md §4)."""
    name = "change tracking links"
    try:
        told = await environment.get("organizations?$select=expirechangetrackingindays")
        days = int(told["value"][0]["expirechangetrackingindays"])
    except (PlatformError, LookupError, TypeError, ValueError):
        return Finding(name, True, "live for a time that we may not read")
    hint = "raise the organisation's ExpireChangeTrackingInDays"
    return Finding(name, days >= FEWEST_DAYS, f"live for {days} days: a longer outage means a full read", hint)


def _names(mapping: SystemMapping, table: Mapping[str, Any]) -> Finding:
    real = (table.get("EntitySetName"), table.get("PrimaryIdAttribute"))
    if real != (mapping.collection, mapping.primary_key):
        hint = f"set collection: {real[0]} and primary_key: {real[1]} in the mapping"
        return Finding(mapping.object, False, "is mapped under other names than it has", hint)
    return Finding(mapping.object, True, f"is {real[0]} with {real[1]}")


def _columns(mapping: SystemMapping, columns: Mapping[str, Any]) -> Finding:
    name, faults = f"{mapping.object} columns", list(_column_faults(mapping, columns))
    if faults:
        return Finding(name, False, "; ".join(faults), "correct the mapping, or give the application user the columns")
    return Finding(name, True, f"all {len(mapping.columns)} may be read and written")


def _column_faults(mapping: SystemMapping, columns: Mapping[str, Any]) -> Iterator[str]:
    asked = dict(zip(RIGHTS, (mapping.written, mapping.columns), strict=True))
    for name in dict.fromkeys((*mapping.columns, *mapping.written)):
        if name not in columns:
            yield f"{name} is missing"
        elif not all(columns[name].get(right, True) for right, names in asked.items() if name in names):
            yield f"{name} may not be read or written"


def _key(mapping: SystemMapping, keys: Iterable[Mapping[str, Any]]) -> Finding:
    name = f"{mapping.object} alternate key"
    for key in keys:
        if key.get("KeyAttributes") == [mapping.external_id]:
            state = key.get("EntityKeyIndexStatus", "Active")
            # The index is built in the background; until then upserts by the key fail.
            return Finding(name, state == "Active", f"{mapping.external_id} is {state}", "wait until it is Active")
    hint = f"define an alternate key of {mapping.external_id} alone"
    return Finding(name, False, f"{mapping.external_id} is no alternate key", hint)
