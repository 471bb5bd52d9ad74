"""Our channels, and which objects' changes the org tells on them: their members, as the Tooling API lists and makes both.

Promises: a channel that is there and an object that is selected already are left as they are. Listing needs View Setup and
Configuration, making needs Customize Application.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

from isthmus.config.errors import PlatformError
from isthmus.systems.protocol import Finding
from isthmus.systems.salesforce.grants import make
from isthmus.systems.salesforce.heard import CUSTOM
from isthmus.systems.salesforce.session import Session

ALL = "/data/ChangeEvents"
BY_HAND = "let the user view setup and configuration (to change it: customize application)"
SELECT = "select the object in Setup under Change Data Capture, or run isthmus provision --apply"


def channel_of(object: str) -> str:
    """The channel of one object: `/data/AccountChangeEvent`, `/data/Employee__ChangeEvent`."""
    return f"/data/{event_of(object)}"


def event_of(object: str) -> str:
    """`Account` → `AccountChangeEvent`, `Site__c` → `Site__ChangeEvent`."""
    return f"{object.removesuffix('c') if object.endswith('__c') else object}ChangeEvent"


def homes(object: str, listened: Collection[str]) -> list[str]:
    """The names of the channels we listen to that an object may be a member of; its own is a part of the standard one."""
    custom = [channel.rpartition("/")[2] for channel in listened if channel.endswith(CUSTOM)]
    return [ALL.rpartition("/")[2], *custom] if {ALL, channel_of(object)} & set(listened) else custom


async def members(org: Session, channel: str) -> set[str]:
    """The change events that are told on a channel."""
    query = f"SELECT SelectedEntity FROM PlatformEventChannelMember WHERE EventChannel = '{channel}'"
    told = await org.get(f"/tooling/query?q={quote(query)}")
    return {str(record["SelectedEntity"]) for record in told["records"]}


async def tracked(org: Session, object: str, *, apply: bool = False) -> Finding:
    """Are this object's changes told? With `apply` they are from now on."""
    name, may = f"change events of {object}", homes(object, org.config.channels)
    if not may:
        hint = f"add {channel_of(object)}"
        return Finding(name, False, "no channel of salesforce.channels carries them", hint)
    try:
        for channel in may:
            if event_of(object) in await members(org, channel):
                return Finding(name, True, f"are told on {channel}")
        if apply:
            await _select(org, event_of(object), may[0])
            return Finding(name, True, f"are told on {may[0]} from now on")
    except PlatformError as fault:
        return Finding(name, False, str(fault), fault.hint or BY_HAND)
    return Finding(name, False, f"are not told on {' or '.join(may)}", SELECT)


async def exists(org: Session, channel: str, *, apply: bool = False) -> Finding:
    """Is there this custom channel, `/data/…__chn`? With `apply` there is from now on."""
    name, own = f"change events {channel}", channel.removeprefix("/data/").removesuffix(CUSTOM)
    query = f"SELECT Id FROM PlatformEventChannel WHERE DeveloperName = '{own}'"
    try:
        if (await org.get(f"/tooling/query?q={quote(query)}"))["records"]:
            return Finding(name, True, "is there")
        if apply:
            metadata = {"channelType": "data", "label": own.replace("_", " ")}
            await make(org, "/tooling/sobjects/PlatformEventChannel", {"FullName": own + CUSTOM, "Metadata": metadata})
            return Finding(name, True, "is there from now on")
    except PlatformError as fault:
        return Finding(name, False, str(fault), fault.hint or BY_HAND)
    return Finding(name, False, "is missing", "make the channel, or run isthmus provision --apply")


async def _select(org: Session, event: str, channel: str) -> None:
    member = {
        "FullName": f"{channel.replace('__', '_')}_{event.replace('__', '_')}",
        "Metadata": {"eventChannel": channel, "selectedEntity": event},
    }
    await make(org, "/tooling/sobjects/PlatformEventChannelMember", member)
