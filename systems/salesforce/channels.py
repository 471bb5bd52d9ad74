"""Do the change channels tell us all that we listen for?

Promises: a successful subscription is not taken for a permission. `/data/ChangeEvents` and custom channels accept anyone
and leave out, silently, the entities that the user may not see all of; only the channel of one entity refuses
(salesforce.md §1.6). So that one is asked for every mapped object, whichever channels are listened to, and whether the
object is a member of one of them.
"""

from __future__ import annotations

from collections.abc import Collection

from isthmus.config.errors import PermanentError, PlatformError
from isthmus.systems.protocol import Finding
from isthmus.systems.salesforce.heard import CUSTOM
from isthmus.systems.salesforce.session import Session
from isthmus.systems.salesforce.stream import listens, transport
from isthmus.systems.salesforce.tracking import channel_of, homes, tracked

SELECT = "select it for change data capture in Setup, and let the integration user view all its records"


async def channels(org: Session, objects: Collection[str]) -> list[Finding]:
    """A finding for each channel and, where all are well, one for each object."""
    findings = [_takes(org, channel, await listens(org, channel)) for channel in org.config.channels]
    if not all(finding.ok for finding in findings):
        return findings
    return findings + [await _told_of(org, name) for name in objects]


def _takes(org: Session, channel: str, fault: PlatformError | None) -> Finding:
    name = f"change events {channel}"
    if fault is not None:
        return Finding(name, False, str(fault), fault.hint)
    return Finding(name, True, f"takes subscriptions by {transport(org.config)}")


async def _told_of(org: Session, name: str) -> Finding:
    """Do an object's changes come? What we cannot know is taken for yes."""
    told = await tracked(org, name)
    if not homes(name, org.config.channels):
        return told
    fault = await listens(org, channel_of(name))
    # A custom channel may carry an entity that has no channel of its own.
    if fault is None or (fault.code == "NO_CHANNEL" and any(one.endswith(CUSTOM) for one in org.config.channels)):
        return told
    silent = "they would be left out silently: " if isinstance(fault, PermanentError) else ""
    return Finding(told.name, False, f"{silent}{fault}", fault.hint or SELECT)
