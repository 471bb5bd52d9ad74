"""The role of our application user with the least privileges: what is needed, and making it (dynamics.md §3.1, §4).

Promises: as provision.py, whose needs these are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from isthmus.config.mapping import SystemMapping
from isthmus.systems.dynamics.session import Session
from isthmus.systems.dynamics.setup import rows, send
from isthmus.systems.needs import Need

ROLE = "Isthmus"
VERBS = ("Create", "Read", "Write", "Append", "AppendTo")


async def role(environment: Session, tables: Mapping[str, SystemMapping]) -> AsyncIterator[Need]:
    """The role, its privileges, and that the application user has it."""
    who = await environment.get("WhoAmI")
    unit, user = who["BusinessUnitId"], who["UserId"]
    meant = f"name eq '{ROLE}' and _businessunitid_value eq {unit}"
    held = await rows(environment, "roles", "roleid", meant)

    async def make_role() -> str:
        told = {"name": ROLE, "businessunitid@odata.bind": f"/businessunits({unit})"}
        await send(environment, "POST", "roles", told)
        return "made"

    yield Need("role", f"{ROLE} is there") if held else Need("role", f"{ROLE} is missing", make_role, ok=False)
    held = held or await rows(environment, "roles", "roleid", meant)
    if not held:
        return
    yield await _privileges(environment, tables, held[0]["roleid"], unit)
    yield await _assigned(environment, held[0]["roleid"], user)


async def _privileges(environment: Session, tables: Mapping[str, SystemMapping], role: str, unit: str) -> Need:
    """To create, read and write rows of the mapped tables, everybody's: change tracking asks for no less (§4). To delete
    them only where that is the policy."""
    deleted = [name for name, mapping in tables.items() if mapping.on_delete == "delete"]
    names = [f"prv{verb}{_right(tables[name])}" for name in tables for verb in VERBS]
    names += [f"prvDelete{_right(tables[name])}" for name in deleted]
    listed = ",".join(f"'{name}'" for name in names)
    meant = f"Microsoft.Dynamics.CRM.In(PropertyName='name',PropertyValues=[{listed}])"
    wanted = {row["privilegeid"]: row["name"] for row in await rows(environment, "privileges", "name", meant)}
    told = await environment.get(f"roles({role})/Microsoft.Dynamics.CRM.RetrieveRolePrivilegesRole()")
    has = {one["PrivilegeId"] for one in told["RolePrivileges"] if one["Depth"] == "Global"}
    missing = [one for one in wanted if one not in has]

    async def make() -> str:
        given = [{"PrivilegeId": one, "Depth": "Global", "BusinessUnitId": unit} for one in missing]
        await send(
            environment, "POST", f"roles({role})/Microsoft.Dynamics.CRM.AddPrivilegesRole", {"Privileges": given}
        )
        return f"{len(missing)} are given"

    if not missing:
        return Need("role privileges", f"all {len(wanted)} are there")
    return Need("role privileges", f"{', '.join(sorted(wanted[one] for one in missing))} are missing", make, ok=False)


async def _assigned(environment: Session, role: str, user: str) -> Need:
    told = await environment.get(f"systemusers({user})/systemuserroles_association?$select=roleid")

    async def make() -> str:
        reference = {"@odata.id": f"{environment.config.url}{environment.root}roles({role})"}
        await send(environment, "POST", f"systemusers({user})/systemuserroles_association/$ref", reference)
        return "made"

    if any(one["roleid"] == role for one in told["value"]):
        return Need("role of the application user", f"is {ROLE}")
    return Need("role of the application user", f"is not {ROLE}", make, ok=False)


def _right(mapping: SystemMapping) -> str:
    """What privileges on a table are called after: all activities share theirs."""
    return "Activity" if mapping.primary_key == "activityid" else mapping.object.capitalize()
