"""The OData service `/data` and the metadata service `/Metadata`, free of any HTTP library (dynamics.md §5.3).

Promises: a POST answers 201 with the row, a PATCH 204; without `cross-company=true` nothing outside the user's default
company is seen; key predicates with quotes, commas and slashes are understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from isthmus.simulators.operations import faults
from isthmus.simulators.operations.environment import OperationsEnvironment
from isthmus.simulators.operations.keys import read_key
from isthmus.simulators.operations.queries import order, parse_filter, select
from isthmus.simulators.operations.schema import COMPANY, Column, Entity
from isthmus.simulators.operations.store import Row

RESOURCE = re.compile(r"(\w+)(?:\((.*)\))?(/\$count)?", re.DOTALL)
VERSION = "data/DataManagementEntities/Microsoft.Dynamics.DataEntities.GetApplicationVersion"
UNKNOWN_OPTIONS = ("$expand", "$apply", "$search", "$skiptoken")


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `base` is the environment's URL; `path` what follows it, unquoted; header names are lower case."""

    method: str
    base: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def across(self) -> bool:
        """Does it look at every company?"""
        return self.query.get("cross-company", "").lower() == "true"

    def json(self) -> dict[str, Any]:
        """The body as an object without annotations; Fault 400 where it is none."""
        try:
            found = json.loads(self.body or b"{}", parse_float=Decimal)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise faults.Fault(400, "The payload is not a JSON object.", faults.ODATA_REFUSED)
        return {name: value for name, value in found.items() if "@" not in name}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` is JSON-ready, or bytes as they are, or None."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None


def call_to(method: str, base: str, target: str, headers: Mapping[str, str], body: bytes) -> Call:
    """A request to a target, absolute or below `base`, still percent-encoded."""
    parts = urlsplit(target)
    return Call(method, base, unquote(parts.path).lstrip("/"), dict(parse_qsl(parts.query, True)), headers, body)


class OData:
    """The service of one environment."""

    def __init__(self, environment: OperationsEnvironment) -> None:
        self._environment = environment

    def answer(self, call: Call) -> Reply:
        """Carry out one request; a Fault is an answer as well."""
        try:
            return self._metadata(call) if call.path.lower().startswith("metadata/") else self._data(call)
        except faults.Fault as fault:
            return Reply(fault.status, fault.headers(), fault.body())

    # -- data

    def _data(self, call: Call) -> Reply:
        if re.split(r"\W", call.path.partition("/")[2])[0] in self._environment.hidden:
            raise faults.Fault(403, "You are not authorized to access this resource.")
        if (call.method, call.path) == ("POST", VERSION):
            told = {"@odata.context": f"{call.base}/data/$metadata#Edm.String", "value": self._environment.version}
            return Reply(200, {}, told)
        resource = RESOURCE.fullmatch(call.path.partition("/")[2])
        entity = self._environment.store.collections.get(resource[1]) if resource else None
        if resource is None or entity is None:
            raise faults.no_resource(call.path)
        if resource[2] is not None:
            return self._one(call, entity, resource[2])
        if call.method == "GET":
            return self._count(call, entity) if resource[3] else self._many(call, entity)
        if call.method != "POST":
            raise faults.Fault(405, f"The requested resource does not support http method '{call.method}'.")
        self._may_write(entity)
        row = self._environment.created(entity, call.json(), self._environment.company, self._environment.user)
        headers = {"Location": f"{call.base}/data/{entity.collection}({row.id})", "ETag": row.etag}
        return Reply(201, headers, {"@odata.context": self._context(call, entity, "/$entity"), **_shown(row, None)})

    def _one(self, call: Call, entity: Entity, predicate: str) -> Reply:
        row = self._row(call, entity, predicate)
        if call.method == "GET":
            context = {"@odata.context": self._context(call, entity, "/$entity")}
            return Reply(200, {"ETag": row.etag}, {**context, **_shown(row, call.query.get("$select"))})
        self._may_write(entity)
        if entity.closed_by is not None and row.values[entity.closed_by] == "Yes":
            raise faults.write_refused(entity.name, f"Error: {entity.name} is posted and cannot be changed")
        if row.id in self._environment.locked:
            raise faults.locked(entity.name)
        if call.headers.get("if-match", "*") not in ("*", row.etag):
            raise faults.changed()
        if call.method == "DELETE":
            self._environment.deleted(row, self._environment.user)
        elif call.method in ("PATCH", "PUT"):
            given = call.json()
            for name in given:
                column = entity.columns.get(name)
                if column is not None and not column.editable and name not in entity.keys:
                    raise faults.write_refused(entity.name, f"Error: Field '{name}' cannot be edited")
            self._environment.updated(row, given, self._environment.user)
        else:
            raise faults.Fault(405, f"The requested resource does not support http method '{call.method}'.")
        return Reply(204)

    def _row(self, call: Call, entity: Entity, predicate: str) -> Row:
        row = self._environment.store.find(entity.name, read_key(entity, predicate))
        if row is None or not self._visible(call, row):
            raise faults.no_row(entity.collection)
        return row

    def _many(self, call: Call, entity: Entity) -> Reply:
        rows, page = self._matching(call, entity), self._environment.page
        skip, top = _number(call, "$skip", 0), _number(call, "$top", len(rows))
        shown = rows[skip : skip + min(top, page)]
        body: dict[str, Any] = {"@odata.context": self._context(call, entity)}
        if call.query.get("$count") == "true":
            body["@odata.count"] = len(rows)
        body["value"] = [_shown(row, call.query.get("$select")) for row in shown]
        if top > page and skip + page < len(rows):
            later = {**call.query, "$skip": str(skip + page)} | (
                {"$top": str(top - page)} if "$top" in call.query else {}
            )
            told = "&".join(f"{name}={quote(value)}" for name, value in later.items())
            body["@odata.nextLink"] = f"{call.base}/data/{entity.collection}?{told}"
        return Reply(200, {}, body)

    def _count(self, call: Call, entity: Entity) -> Reply:
        return Reply(200, {"Content-Type": "text/plain"}, str(len(self._matching(call, entity))).encode())

    def _matching(self, call: Call, entity: Entity) -> list[Row]:
        for option in UNKNOWN_OPTIONS:
            if option in call.query:
                raise faults.invalid(f"The query option {option} is not understood by this environment.")
        if expression := call.query.get("$filter"):
            wanted = parse_filter(entity, expression)
            rows = self._environment.store.within(entity.name, wanted.bound)
            rows = [row for row in rows if self._visible(call, row) and wanted.test(row.values)]
        else:
            rows = [row for row in self._environment.store.all(entity.name) if self._visible(call, row)]
        return order(entity, call.query.get("$orderby"), rows)

    def _visible(self, call: Call, row: Row) -> bool:
        return call.across or COMPANY not in row.entity.keys or row.values[COMPANY] == self._environment.company

    def _may_write(self, entity: Entity) -> None:
        if entity.read_only:
            raise faults.write_refused(entity.name, f"Error: {entity.name} is read-only")

    def _context(self, call: Call, entity: Entity, suffix: str = "") -> str:
        chosen = f"({call.query['$select']})" if call.query.get("$select") else ""
        return f"{call.base}/data/$metadata#{entity.collection}{chosen}{suffix}"

    # -- metadata

    def _metadata(self, call: Call) -> Reply:
        resource = RESOURCE.fullmatch(call.path.partition("/")[2])
        entities = self._environment.store.entities.values()
        if resource is not None and resource[1] == "DataEntities" and resource[2] is None:
            # Some builds ignore $filter here, so this one does.
            return Reply(200, {}, {"value": [_data_entity(one) for one in entities]})
        if resource is not None and resource[1] == "PublicEntities" and resource[2] is not None:
            for one in entities:
                if resource[2] == f"'{one.public}'":
                    return Reply(200, {}, _public_entity(one))
        raise faults.no_resource(call.path)


def _shown(row: Row, names: str | None) -> dict[str, Any]:
    return {"@odata.etag": row.etag, **{name: row.values[name] for name in select(row.entity, names)}}


def _number(call: Call, option: str, otherwise: int) -> int:
    value = call.query.get(option)
    if value is not None and not value.isdecimal():
        raise faults.invalid(f"Invalid value '{value}' for {option}.")
    return otherwise if value is None else int(value)


def _data_entity(entity: Entity) -> dict[str, Any]:
    return {
        "Name": entity.name,
        "PublicEntityName": entity.public,
        "PublicCollectionName": entity.collection,
        "DataServiceEnabled": True,
        "DataManagementEnabled": True,
        "IsReadOnly": entity.read_only,
    }


def _public_entity(entity: Entity) -> dict[str, Any]:
    properties = [_property(entity, column) for column in entity.columns.values()]
    known = {"Name": entity.public, "EntitySetName": entity.collection, "IsReadOnly": entity.read_only}
    return {**known, "Properties": properties}


def _property(entity: Entity, column: Column) -> dict[str, Any]:
    return {
        "Name": column.name,
        "TypeName": column.type_name,
        "IsKey": column.name in entity.keys,
        "IsMandatory": column.mandatory,
        "AllowEdit": column.editable,
    }
