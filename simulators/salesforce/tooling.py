"""What an administrator's program makes in the org: custom fields, channel members, by the Tooling API.

Promises: a new field is hidden from everyone until a permission set that is assigned shows it, as in a real org; an
entity's changes are told only once it is selected.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from isthmus.simulators.salesforce.door import Handler
from isthmus.simulators.salesforce.faults import refused
from isthmus.simulators.salesforce.org import STANDARD, SalesforceOrg
from isthmus.simulators.salesforce.queries import Queries
from isthmus.simulators.salesforce.schema import Field

TYPES = {"Text": "string", "Number": "double", "Checkbox": "boolean"}
CHANGE_EVENT = "ChangeEvent"


class Tooling:
    """The handlers."""

    def __init__(self, org: SalesforceOrg, queries: Queries) -> None:
        self.org = org
        self._queries = queries

    def routes(self) -> list[tuple[str, str, Handler]]:
        """The routes below the API's root."""
        return [
            ("GET", "/tooling/query", self._queries.query),
            ("GET", "/tooling/query/", self._queries.query),
            ("POST", "/tooling/sobjects/CustomField", self.custom_field),
            ("POST", "/tooling/sobjects/CustomField/", self.custom_field),
            ("POST", "/tooling/sobjects/PlatformEventChannel", self.channel),
            ("POST", "/tooling/sobjects/PlatformEventChannel/", self.channel),
            ("POST", "/tooling/sobjects/PlatformEventChannelMember", self.channel_member),
            ("POST", "/tooling/sobjects/PlatformEventChannelMember/", self.channel_member),
        ]

    async def custom_field(self, request: web.Request) -> web.StreamResponse:
        """`{FullName: "Account.Key__c", Metadata: {type, label, length, externalId, unique}}`."""
        told = await request.json()
        object_name, _, name = str(told.get("FullName")).partition(".")
        metadata = told.get("Metadata") or {}
        if not name.endswith("__c") or metadata.get("type") not in TYPES or not metadata.get("label"):
            raise refused(400, "FIELD_INTEGRITY_EXCEPTION", "a custom field needs a name in __c, a type and a label")
        # Activities are tasks and events; their fields are made on what both share.
        target = "Task" if object_name == "Activity" else object_name
        if name in self.org.objects[self.org.object(target).name].fields:
            message = f"There is already a field named {name} on {object_name}."
            raise refused(400, "DUPLICATE_DEVELOPER_NAME", message, ("FullName",))
        external, length = bool(metadata.get("externalId")), int(metadata.get("length", 0))
        field = Field(name, TYPES[metadata["type"]], length, external_id=external)
        self.org.add_field(target, field, hidden=True)
        told_of = {"DeveloperName": name.removesuffix("__c"), "TableEnumOrId": object_name}
        return _made(self.org.create("CustomField", told_of))

    async def channel(self, request: web.Request) -> web.StreamResponse:
        """`{FullName: "Lamp__chn", Metadata: {channelType: "data", label: "Lamp"}}`."""
        told = await request.json()
        name, metadata = str(told.get("FullName")), told.get("Metadata") or {}
        if (
            not name.endswith("__chn")
            or metadata.get("channelType") not in ("data", "event")
            or not metadata.get("label")
        ):
            raise refused(400, "INVALID_INPUT", "a channel needs a name in __chn, a type and a label", ("FullName",))
        if f"/data/{name}" in self.org.channels:
            raise refused(400, "DUPLICATE_DEVELOPER_NAME", f"There is already a channel named {name}.", ("FullName",))
        return _made(self.org.add_channel(name))

    async def channel_member(self, request: web.Request) -> web.StreamResponse:
        """`{FullName, Metadata: {eventChannel: "ChangeEvents", selectedEntity: "AccountChangeEvent"}}`."""
        metadata: dict[str, Any] = (await request.json()).get("Metadata") or {}
        entity, channel = str(metadata.get("selectedEntity")), str(metadata.get("eventChannel"))
        name = entity.removesuffix(CHANGE_EVENT)
        name = f"{name}c" if name.endswith("__") else name
        if not entity.endswith(CHANGE_EVENT) or name not in self.org.objects:
            raise refused(400, "INVALID_INPUT", f"{entity} is no entity that can be selected", ("selectedEntity",))
        if channel != STANDARD and f"/data/{channel}" not in self.org.channels:
            raise refused(400, "INVALID_INPUT", f"there is no channel {channel}", ("eventChannel",))
        if name in self.org.selected:
            raise refused(400, "DUPLICATE_VALUE", f"{entity} is already a member of {channel}")
        return _made(self.org.select(name, channel))


def _made(record_id: str) -> web.Response:
    answer = {"id": record_id, "success": True, "errors": [], "warnings": [], "infos": []}
    return web.json_response(answer, status=201)
