"""A permission set of our own, assigned to our own user, and what it opens.

Promises: an existing set, assignment or permission is used as it is; nothing is ever taken away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from isthmus.systems.salesforce.errors import first_error, rest_error
from isthmus.systems.salesforce.session import Session

NAME = "Isthmus"
# What a subscriber to change events and an upsert need of an object (salesforce.md §1.6, §4.1).
OBJECT_RIGHTS = ("Read", "Create", "Edit", "ViewAllRecords")


class Grants:
    """The set is looked for, or made, when it is needed first."""

    def __init__(self, org: Session) -> None:
        self._org = org
        self._set: str | None = None

    async def open(self, object: str, fields: Iterable[str], *, deletes: bool = False) -> None:
        """Let us read and edit these fields, and the object they are of; `deletes`: also delete its records."""
        if self._set is None:
            self._set = await self._assigned()
        await self._permit_object(object, (*OBJECT_RIGHTS, "Delete") if deletes else OBJECT_RIGHTS)
        for field in fields:
            await self._permit_field(object, field)

    async def _assigned(self) -> str:
        found = await self._ids("PermissionSet", f"Name = '{NAME}'")
        wanted = {"Name": NAME, "Label": NAME}
        (own,) = found or [await make(self._org, "/sobjects/PermissionSet", wanted)]
        assignee = self._org.user_id
        if not await self._ids("PermissionSetAssignment", f"PermissionSetId = '{own}' AND AssigneeId = '{assignee}'"):
            assignment = {"PermissionSetId": own, "AssigneeId": assignee}
            await make(self._org, "/sobjects/PermissionSetAssignment", assignment)
        return own

    async def _permit_object(self, object: str, wanted: Iterable[str]) -> None:
        if not await self._ids("ObjectPermissions", f"ParentId = '{self._set}' AND SobjectType = '{object}'"):
            rights = {f"Permissions{right}": True for right in wanted}
            await make(
                self._org, "/sobjects/ObjectPermissions", {"ParentId": self._set, "SobjectType": object, **rights}
            )

    async def _permit_field(self, object: str, field: str) -> None:
        name = f"{object}.{field}"
        if not await self._ids("FieldPermissions", f"ParentId = '{self._set}' AND Field = '{name}'"):
            wanted = {"ParentId": self._set, "SobjectType": object, "Field": name}
            rights = {"PermissionsRead": True, "PermissionsEdit": True}
            await make(self._org, "/sobjects/FieldPermissions", {**wanted, **rights})

    async def _ids(self, object: str, where: str) -> list[str]:
        told = await self._org.get(f"/query?q={quote(f'SELECT Id FROM {object} WHERE {where} LIMIT 1')}")
        return [str(record["Id"]) for record in told["records"]]


async def make(org: Session, path: str, wanted: Mapping[str, Any], known: Iterable[str] = ()) -> str:
    """Make one thing; its id, empty where it is there already and the org says so by a code of `known`."""
    answer = await org.call("POST", path, json=wanted)
    told = answer.json()
    if answer.status not in (200, 201):
        if first_error(told)[0] in known:
            return ""
        raise rest_error(answer.status, told, answer.retry_after)
    return str(told["id"])
