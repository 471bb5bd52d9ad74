"""What `isthmus check` asks a Salesforce org.

Promises: changes nothing; asks everything even where an earlier answer is bad; a field that the user may not see is found,
because change events leave it out silently (salesforce.md §1.6). What the channels carry is asked in channels.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.codecs.limits import Limit
from isthmus.config.errors import PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.protocol import Finding
from isthmus.systems.salesforce.channels import channels
from isthmus.systems.salesforce.session import Session

# Above it a busy day runs out of calls.
CALLS_SHARE = 0.8


async def check(org: Session, objects: Mapping[str, SystemMapping]) -> list[Finding]:
    """Login, every object's external id and fields, and the change channel."""
    try:
        await org.open()
        token = await org.tokens.current()
    except PlatformError as fault:
        return [Finding("login", False, str(fault), fault.hint)]
    found = [Finding("login", True, f"logged in to {token.base}")]
    found.append(await _version(org))
    there = []
    for mapping in objects.values():
        told = await _object(org, mapping)
        found += told
        # An object that is missing, or may not be seen, is one finding and not two.
        there += [mapping.object] if len(told) > 1 and mapping.listened else []
    return [*found, *await channels(org, there), *_calls(org)]


def _calls(org: Session) -> list[Finding]:
    """How much of the day's API calls is left, as the answers so far told."""
    return [_left(limit) for limit in org.limits]


def _left(limit: Limit) -> Finding:
    told = f"{limit.used:,.0f} of {limit.allowed:,.0f} were made in the last 24 hours"
    left = limit.used < limit.allowed * CALLS_SHARE
    return Finding("API calls", left, told, "" if left else "ask for more, or find out who else makes them")


async def _version(org: Session) -> Finding:
    """Every org tells which versions it has; old ones are taken away three times a year."""
    name, wanted = "API version", org.config.api_version
    try:
        answer = await org.call("GET", "/services/data/")
    except PlatformError as fault:
        return Finding(name, False, str(fault), fault.hint)
    told = answer.json()
    offered = [str(one.get("version")) for one in told] if isinstance(told, list) else []
    if wanted not in offered:
        return Finding(
            name,
            False,
            f"the org has no {wanted}",
            f"set salesforce.api_version; its newest is {''.join(offered[-1:])}",
        )
    return Finding(name, True, f"the org has {wanted}")


async def _object(org: Session, mapping: SystemMapping) -> list[Finding]:
    try:
        return findings(mapping, await described(org, mapping))
    except PlatformError as fault:
        hint = "let the integration user read and edit the object"
        return [Finding(mapping.object, False, str(fault), fault.hint or hint)]


async def described(org: Session, mapping: SystemMapping) -> dict[str, Any]:
    """The object's fields that we may see, by name."""
    told = await org.get(f"/sobjects/{mapping.object}/describe")
    return {field["name"]: field for field in told["fields"]}


def findings(mapping: SystemMapping, fields: Mapping[str, Any]) -> list[Finding]:
    """The key, then the mapped fields."""
    return [_external_id(mapping, fields), _fields(mapping, fields)]


def _external_id(mapping: SystemMapping, fields: Mapping[str, Any]) -> Finding:
    name = f"{mapping.object}.{mapping.external_id}"
    field = fields.get(mapping.external_id)
    if field is None:
        hint = "create it as Text(255), External ID, Unique, and let the integration user edit it"
        return Finding(name, False, "is missing, or may not be seen", hint)
    lacking = [what for what in ("externalId", "unique", "updateable") if not field.get(what)]
    if lacking:
        return Finding(name, False, f"is not {', '.join(lacking)}", "flag it as External ID and Unique, and editable")
    return Finding(name, True, "is an external id and unique")


def _fields(mapping: SystemMapping, fields: Mapping[str, Any]) -> Finding:
    faults = list(_field_faults(mapping, fields))
    if faults:
        hint = "add the fields to the integration user's permission set, or correct the mapping"
        return Finding(f"{mapping.object} fields", False, "; ".join(faults), hint)
    return Finding(f"{mapping.object} fields", True, f"all {len(mapping.fields)} may be read and written")


def _field_faults(mapping: SystemMapping, fields: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*mapping.fields.values(), *mapping.inactive)):
        if name not in fields:
            yield f"{name} is missing, or may not be seen"
        elif name in mapping.written and not fields[name].get("updateable"):
            yield f"{name} may not be written"
