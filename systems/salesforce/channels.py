"""Do the change channels tell us all that we listen for?

Promises: a successful subscription is not taken for a permission. `/data/ChangeEvents` and custom channels accept anyone
and leave out, silently, the entities that the user may not see all of; only the channel of one entity refuses
(salesforce.md §1.6). So that one is asked for every mapped object, whichever channels are listened to.
"""

from __future__ import annotations

from collections.abc import Collection

from isthmus.config.errors import PermanentError, PlatformError
from isthmus.systems.protocol import Finding
from isthmus.systems.salesforce.heard import CUSTOM
from isthmus.systems.salesforce.session import Session
from isthmus.systems.salesforce.stream import listens, transport

ALL = "/data/ChangeEvents"
SELECT = "select it for change data capture in Setup, and let the integration user view all its records"


async def channels(org: Session, objects: Collection[str]) -> list[Finding]:
    """A finding for each channel, and one for each object whose changes would not come."""
    findings = [_takes(org, channel, await listens(org, channel)) for channel in org.config.channels]
    if not all(finding.ok for finding in findings):
        return findings
    return findings + [finding for name in objects if (finding := await _told_of(org, name))]


def _takes(org: Session, channel: str, fault: PlatformError | None) -> Finding:
    name = f"change events {channel}"
    if fault is not None:
        return Finding(name, False, str(fault), fault.hint)
    return Finding(name, True, f"takes subscriptions by {transport(org.config)}")


async def _told_of(org: Session, name: str) -> Finding | None:
    """What is wrong with an object's changes, if we can know."""
    own = channel_of(name)
    if not may_carry(own, org.config.channels):
        return Finding(
            f"change events of {name}", False, "no channel of salesforce.channels carries them", f"add {own}"
        )
    fault = await listens(org, own)
    # A custom channel may carry an entity that has no channel of its own.
    if fault is None or (fault.code == "NO_CHANNEL" and any(one.endswith(CUSTOM) for one in org.config.channels)):
        return None
    silent = "they would be left out silently: " if isinstance(fault, PermanentError) else ""
    return Finding(f"change events of {name}", False, f"{silent}{fault}", fault.hint or SELECT)


def may_carry(own: str, listened: Collection[str]) -> bool:
    """Could the changes of an object, whose own channel this is, come by one of these?"""
    return ALL in listened or own in listened or any(channel.endswith(CUSTOM) for channel in listened)


def channel_of(name: str) -> str:
    """The channel of one object: `/data/AccountChangeEvent`, `/data/Employee__ChangeEvent`."""
    return f"/data/{name.removesuffix('__c') + '__' if name.endswith('__c') else name}ChangeEvent"
