"""Which objects' changes the org tells on our channel: members of it, as the Tooling API lists and makes them.

Promises: an object that is selected already is left as it is. Listing needs View Setup and Configuration, making needs
Customize Application.
"""

from __future__ import annotations

from urllib.parse import quote

from isthmus.config.errors import PlatformError
from isthmus.systems.protocol import Finding
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.session import Session

ALL = "ChangeEvents"


def channel_of(org: Session) -> str:
    """The name under which members belong to our channel; one entity's own channel is part of the standard one."""
    name = org.config.channel.rpartition("/")[2]
    return name if name.endswith("__chn") else ALL


def event_of(object: str) -> str:
    """`Account` → `AccountChangeEvent`, `Site__c` → `Site__ChangeEvent`."""
    return f"{object.removesuffix('c') if object.endswith('__c') else object}ChangeEvent"


async def members(org: Session) -> set[str]:
    """The change events that are told on our channel."""
    query = f"SELECT SelectedEntity FROM PlatformEventChannelMember WHERE EventChannel = '{channel_of(org)}'"
    told = await org.get(f"/tooling/query?q={quote(query)}")
    return {str(record["SelectedEntity"]) for record in told["records"]}


async def tracked(org: Session, object: str, *, apply: bool = False) -> Finding:
    """Are this object's changes told? With `apply` they are from now on."""
    name, event = f"{object} change events", event_of(object)
    try:
        if event in await members(org):
            return Finding(name, True, f"are told on {org.config.channel}")
        if apply:
            await _select(org, event)
            return Finding(name, True, f"are told on {org.config.channel} from now on")
    except PlatformError as fault:
        hint = "let the user view setup and configuration (to change it: customize application)"
        return Finding(name, False, str(fault), fault.hint or hint)
    hint = "select the object in Setup under Change Data Capture, or run isthmus provision --apply"
    return Finding(name, False, f"are not told on {org.config.channel}", hint)


async def _select(org: Session, event: str) -> None:
    channel = channel_of(org)
    member = {
        "FullName": f"{channel.replace('__', '_')}_{event.replace('__', '_')}",
        "Metadata": {"eventChannel": channel, "selectedEntity": event},
    }
    answer = await org.call("POST", "/tooling/sobjects/PlatformEventChannelMember", json=member)
    if answer.status not in (200, 201):
        raise rest_error(answer.status, answer.json(), answer.retry_after)
