"""What an administrator does over the Web API: columns, alternate keys, change tracking, publishing, roles.

Promises: takes what dynamics.md §1.2 and Microsoft's own documentation send, and refuses what is there already; a new
alternate key is Pending until `keys_built`, as its index is built in the background, and Failed where rows share values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.calls import Call, Reply, Segment
from isthmus.simulators.dynamics.metadata import table_named
from isthmus.simulators.dynamics.organization import Organization
from isthmus.simulators.dynamics.payloads import found, resolve
from isthmus.simulators.dynamics.schema import Column, Table
from isthmus.simulators.dynamics.values import Reference
from isthmus.simulators.dynamics.work import Work

ADD = "Microsoft.Dynamics.CRM.AddPrivilegesRole"
TELL = "Microsoft.Dynamics.CRM.RetrieveRolePrivilegesRole"
ROLES = "systemuserroles_association"


def write(organization: Organization, path: list[Segment], call: Call) -> Callable[[Work], Reply] | None:
    """The handler of a write that customizes; None for any other."""
    names = tuple(segment.name for segment in path)
    match (call.method, *names):
        case ("POST", "PublishXml" | "PublishAllXml"):
            return lambda work: Reply(204)
        case ("POST", "EntityDefinitions", "Attributes"):
            return lambda work: _add_column(organization, _table(organization, path), call)
        case ("POST", "EntityDefinitions", "Keys"):
            return lambda work: _add_key(organization, _table(organization, path), call)
        case ("PUT", "EntityDefinitions"):
            return lambda work: _define(organization, _table(organization, path), call)
        case ("POST", "roles", added) if added == ADD:
            return lambda work: _add_privileges(work, str(path[0].key), call)
        case ("POST", "systemusers", association, "$ref") if association == ROLES:
            return lambda work: _assign(work, str(path[0].key), call)
    return None


def read(organization: Organization, path: list[Segment], call: Call) -> Reply | None:
    """The answer to a question about roles; None for any other."""
    names = tuple(segment.name for segment in path)
    if names == ("roles", TELL):
        return _tell_privileges(organization, str(path[0].key))
    if names == ("systemusers", ROLES):
        given = _given(organization, "userid", str(path[0].key))
        return Reply(200, {}, {"value": [{"roleid": one["roleid"]} for one in given]})
    return None


def _table(organization: Organization, path: list[Segment]) -> Table:
    if path[0].key is None:
        raise faults.Fault(405, "0x80040227", "The method is not allowed here.")
    return table_named(organization.store, path[0].key)


def _add_column(organization: Organization, table: Table, call: Call) -> Reply:
    body = call.json()
    name = str(body.get("SchemaName", "")).lower()
    if not str(body.get("@odata.type", "")).endswith("StringAttributeMetadata") or not name:
        raise faults.invalid("Only text columns are understood by this environment.")
    if "_" not in name:
        raise faults.Fault(400, "0x80044185", f"The schema name {name} has no customization prefix.")
    if name in table.columns:
        raise faults.Fault(400, "0x80044153", f"An attribute with the specified name {name} already exists.")
    column = _mutable(table.columns)[name] = Column(name, "string", int(body.get("MaxLength", 100)))
    organization.store.add_column(table, column)
    return Reply(204)


def _add_key(organization: Organization, table: Table, call: Call) -> Reply:
    body = call.json()
    columns = tuple(str(one) for one in body.get("KeyAttributes", []))
    if not columns or any(one not in table.columns for one in columns):
        raise faults.invalid("KeyAttributes names a column that is not there.")
    if columns in table.keys.values():
        raise faults.Fault(400, "0x80060892", "An entity key with the same attributes already exists.")
    name = str(body.get("SchemaName", "")).lower()
    _mutable(table.keys)[name] = columns
    built = organization.store.add_key(table, name)
    (organization.pending if built else organization.failed_keys).add((table.name, name))
    return Reply(204)


def _define(organization: Organization, table: Table, call: Call) -> Reply:
    body = call.json()
    if body.get("LogicalName", table.name) != table.name or "MetadataId" not in body:
        raise faults.invalid("An update of a table's definition needs the whole definition.")
    if body.get("ChangeTrackingEnabled"):
        organization.tracked.add(table.name)
    elif table.name in organization.tracked:
        raise faults.invalid("Change tracking cannot be disabled once it is enabled.")
    return Reply(204)


def _mutable(held: Mapping[str, Any]) -> dict[str, Any]:
    assert isinstance(held, dict)
    return held


def _given(organization: Organization, column: str, wanted: str) -> list[dict[str, Any]]:
    return [row for row in organization.rows("systemuserroles").values() if row[column] == wanted.lower()]


def _add_privileges(work: Work, role: str, call: Call) -> Reply:
    found(work.store, work.store.tables["role"], role.lower())
    for one in call.json().get("Privileges", []):
        privilege = found(work.store, work.store.tables["privilege"], str(one.get("PrivilegeId")).lower())
        values = {"roleid": role.lower(), "privilegeid": privilege.id, "depth": str(one.get("Depth"))}
        work.create(work.store.tables["roleprivileges"], dict(values))
    return Reply(204)


def _tell_privileges(organization: Organization, role: str) -> Reply:
    held = [row for row in organization.rows("roleprivileges").values() if row["roleid"] == role.lower()]
    told = [{"PrivilegeId": one["privilegeid"], "Depth": one["depth"]} for one in held]
    return Reply(200, {}, {"RolePrivileges": told})


def _assign(work: Work, user: str, call: Call) -> Reply:
    table, key = resolve(work.store, str(call.json().get("@odata.id")))
    role = found(work.store, table, key)
    member = found(work.store, work.store.tables["systemuser"], user.lower())
    if role.get("businessunitid") != Reference("businessunit", work.actor.business_unit):
        raise faults.invalid("A role can be given in its own business unit only.")
    work.create(work.store.tables["systemuserroles"], {"userid": member.id, "roleid": role.id})
    return Reply(204)
