"""What a Salesforce org needs for us, and making it: channels, a key field an object, its change events, a permission set.

Promises: nothing is made without `apply`; what is there is left as it is, so doing it again changes nothing; fields of the
mapping are never made, only opened to us; an answer for everything even where an earlier one is bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.config.errors import PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.protocol import Finding
from isthmus.systems.salesforce import checks, tracking
from isthmus.systems.salesforce.grants import Grants, make
from isthmus.systems.salesforce.heard import CUSTOM
from isthmus.systems.salesforce.session import Session
from isthmus.systems.salesforce.task import TASK

KEY_LENGTH = 255
BY_HAND = "give the user Customize Application and Manage Profiles and Permission Sets for now, or do it by hand"


async def provision(org: Session, objects: Mapping[str, SystemMapping], apply: bool) -> list[Finding]:
    """Custom channels; keys, rights and change events of every mapped object; and the key of tasks for stewards."""
    try:
        await org.open()
    except PlatformError as fault:
        return [Finding("login", False, str(fault), fault.hint)]
    grants = Grants(org)
    custom = [channel for channel in org.config.channels if channel.endswith(CUSTOM)]
    findings = [await tracking.exists(org, channel, apply=apply) for channel in custom]
    for mapping in objects.values():
        findings += await _object(org, mapping, grants, apply)
        if mapping.listened:
            findings.append(await tracking.tracked(org, mapping.object, apply=apply))
    return findings if TASK.object in objects else [*findings, *(await _object(org, TASK, grants, apply))]


async def _object(org: Session, mapping: SystemMapping, grants: Grants, apply: bool) -> list[Finding]:
    try:
        described = await checks.described(org, mapping)
        before = checks.findings(mapping, described)
        if not apply or all(finding.ok for finding in before):
            return before
        await _make(org, mapping, grants, described)
        return checks.findings(mapping, await checks.described(org, mapping))
    except PlatformError as fault:
        return [Finding(mapping.object, False, str(fault), fault.hint or BY_HAND)]


async def _make(org: Session, mapping: SystemMapping, grants: Grants, described: Mapping[str, Any]) -> None:
    """Make the key field where it cannot be seen, then open what is closed."""
    if mapping.external_id not in described:
        await _make_key(org, mapping)
    await grants.open(mapping.object, _closed(mapping, described), deletes=mapping.on_delete == "delete")


def _closed(mapping: SystemMapping, described: Mapping[str, Any]) -> Iterable[str]:
    wanted = dict.fromkeys((*mapping.columns, *mapping.written))
    return [n for n in wanted if n not in described or (n in mapping.written and not described[n].get("updateable"))]


async def _make_key(org: Session, mapping: SystemMapping) -> None:
    # Tasks and events share their fields, which belong to the activity.
    owner = "Activity" if mapping.object == "Task" else mapping.object
    metadata = {
        "type": "Text",
        "label": mapping.external_id.removesuffix("__c").replace("_", " "),
        "length": KEY_LENGTH,
        "externalId": True,
        "unique": True,
        "caseSensitive": True,
        "description": "Isthmus: the record's id in all systems.",
    }
    wanted = {"FullName": f"{owner}.{mapping.external_id}", "Metadata": metadata}
    # It may be there and hidden from us.
    await make(org, "/tooling/sobjects/CustomField", wanted, known=("DUPLICATE_DEVELOPER_NAME",))
