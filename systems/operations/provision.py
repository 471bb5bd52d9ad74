"""What a Finance & Operations environment needs for us besides its data entities: our role with the least permissions, and
the events that are sent to us (dynamics.md §5.1, §5.2).

Promises: says of each whether it is there; makes only what is not, and only when told to, so it may be repeated; takes
nothing away. What nobody can make from outside is said with how a person makes it: a role and its privileges, an endpoint
(its address is a secret in a key vault), the switches of data events, which nothing tells either. Whoever applies it must
be a security and a system administrator meanwhile; to a user with our role alone, these things are hidden: no fault.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

from isthmus.config.errors import PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.needs import Need, met
from isthmus.systems.operations.errors import odata_error
from isthmus.systems.operations.events import known
from isthmus.systems.operations.records import Found, pages
from isthmus.systems.operations.session import EVERY_COMPANY, Session
from isthmus.systems.protocol import Finding

ROLE = "Isthmus"
HIDDEN = "HTTP_403"
ENDPOINTS = "System administration > Setup > Business events > Endpoints"
SECURITY = "System administration > Security > Security configuration"

Objects = Mapping[str, SystemMapping]


async def provision(environment: Session, objects: Objects, apply: bool) -> list[Finding]:
    """Each need with whether it is there; with `apply` it is made first. One that fails stops only those of its kind."""
    findings: list[Finding] = []
    for name, needs in (("role", _role(environment, objects)), ("events", _events(environment, objects))):
        try:
            async for need in needs:
                findings.append(await met(need, apply))
        except PlatformError as fault:
            findings.append(_refused(name, fault))
    return findings


def _refused(name: str, fault: PlatformError) -> Finding:
    if fault.code == HIDDEN:
        return Finding(name, True, "is hidden from this user: an administrator may ask by isthmus provision")
    return Finding(name, False, str(fault), fault.hint or "is this user a system administrator?")


async def _rows(environment: Session, collection: str, columns: str, condition: str) -> list[Found]:
    path = f"/data/{collection}?{EVERY_COMPANY}&$select={columns}&$filter={quote(condition, safe='')}"
    return [row async for row in pages(environment, path)]


async def _send(environment: Session, method: str, path: str, body: Mapping[str, Any]) -> None:
    answer = await environment.call(method, f"/data/{path}?{EVERY_COMPANY}", json=body)
    if answer.status not in (200, 201, 204):
        raise odata_error(answer.status, answer.json(), answer.retry_after)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


# -- the role


async def _role(environment: Session, objects: Objects) -> AsyncIterator[Need]:
    yield Need("role privileges", f"the least are: {privileges(objects)}")
    user = environment.config.user
    if user is None:
        yield Need("role", "is not looked after: operations.user is not set")
        return
    held = await _rows(environment, "SecurityRoles", "SecurityRoleIdentifier", f"SecurityRoleName eq {_text(ROLE)}")
    if not held:
        yield Need(
            "role", f"{ROLE} is missing", ok=False, hint=f"make it in {SECURITY} with these privileges, and publish it"
        )
        return
    yield Need("role", f"{ROLE} is there")
    yield await _assigned(environment, user, str(held[0]["SecurityRoleIdentifier"]))


def privileges(objects: Objects) -> str:
    """What the role must allow, entity by entity, and no more: to delete only where that is the policy."""
    told = ["read LegalEntities"]
    for mapping in objects.values():
        verbs = ["read", *(("create", "update") if mapping.outward else ())]
        verbs += ["delete"] if mapping.on_delete == "delete" else []
        told.append(f"{', '.join(verbs)} {mapping.collection}")
    return "; ".join(told)


async def _assigned(environment: Session, user: str, role: str) -> Need:
    name = "role of the application's user"
    meant = f"UserId eq {_text(user)} and SecurityRoleIdentifier eq {_text(role)}"
    held = await _rows(environment, "SecurityUserRoleAssociations", "AssignmentStatus", meant)

    async def make() -> str:
        # The name beside the identifier: without it the role is not known.
        given = {
            "UserId": user,
            "SecurityRoleIdentifier": role,
            "SecurityRoleName": ROLE,
            "AssignmentMode": "Manual",
            "AssignmentStatus": "Enabled",
        }
        await _send(environment, "POST", "SecurityUserRoleAssociations", given)
        return f"{user} has it now"

    if not held:
        return Need(name, f"{user} does not have {ROLE}", make, ok=False)
    on = held[0].get("AssignmentStatus") == "Enabled"
    return Need(name, f"{user} has {ROLE}" if on else f"is switched off for {user}", ok=on, hint="enable it by hand")


# -- events


async def _events(environment: Session, objects: Objects) -> AsyncIterator[Need]:
    for mapping in objects.values():
        if mapping.listened:
            text = "create, update and delete must be on in the data event catalog; no API tells whether they are"
            yield Need(f"data events of {mapping.object}", text)
    endpoint = environment.config.endpoint
    if endpoint is None:
        yield Need("endpoint", "is not looked after: operations.endpoint is not set")
        return
    if not await _rows(environment, "BusinessEventsEndpoints", "Name", f"Name eq {_text(endpoint)}"):
        hint = f"make it in {ENDPOINTS}: HTTPS, the URL with ?code=<event key> as a secret in a key vault"
        yield Need("endpoint", f"{endpoint} is missing", ok=False, hint=hint)
        return
    yield Need("endpoint", f"{endpoint} is there")
    for event in sorted(name for name, about in known(objects).subjects.items() if about.entity in objects):
        yield await _activated(environment, event, endpoint)


async def _activated(environment: Session, event: str, endpoint: str) -> Need:
    company, name = environment.config.company, f"business event {event}"
    key = {"BusinessEventsTable": event, "LegalEntity": company, "BusinessEventsEndpoint_Name": endpoint}
    meant = " and ".join(f"{column} eq {_text(value)}" for column, value in key.items())
    held = await _rows(environment, "BusinessEventsConfigurations", "Disabled", meant)

    async def make() -> str:
        await _send(environment, "POST", "BusinessEventsConfigurations", {**key, "Disabled": "No"})
        return f"is sent to {endpoint} now"

    async def turn_on() -> str:
        address = ",".join(f"{column}={quote(_text(value), safe='')}" for column, value in key.items())
        await _send(environment, "PATCH", f"BusinessEventsConfigurations({address})", {"Disabled": "No"})
        return "is on again"

    if not held:
        return Need(name, f"is not sent to {endpoint}", make, ok=False)
    if held[0].get("Disabled") == "Yes":
        return Need(name, "is switched off", turn_on, ok=False)
    return Need(name, f"is sent to {endpoint}")
