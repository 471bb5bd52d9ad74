"""What a program does to records by any of the org's APIs: insert, update, upsert, delete, one record at a time.

Promises: locks, duplicate rules, unique external ids and references by external id hold whichever API is used; refusals
are raised as REST words them (salesforce.md §4.1, §4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.simulators.salesforce.faults import Refused, refused
from isthmus.simulators.salesforce.ids import to18
from isthmus.simulators.salesforce.org import SalesforceOrg

LOCKED = "unable to obtain exclusive access to this record or 1 records: {}"


def lookup_of(relation: str) -> str:
    """The field behind a relationship: `Account` → `AccountId`, `Site__r` → `Site__c`."""
    return f"{relation.removesuffix('__r')}__c" if relation.endswith("__r") else f"{relation}Id"


@dataclass(frozen=True)
class Hand:
    """A program at work: `origin` is how change events name it, `saves_duplicates` what it says to duplicate rules."""

    org: SalesforceOrg
    user: str
    origin: str
    version: str = "60.0"
    saves_duplicates: bool = False

    def insert(self, object: str, fields: Mapping[str, Any]) -> str:
        """A new record; its id."""
        values = self._resolved(object, fields)
        self._duplicates(object, values, None)
        if object == "FieldPermissions":
            self._existing(str(values.get("Field")))
        return self.org.create(object, values, user=self.user, origin=self.origin)

    def update(self, object: str, record_id: str, fields: Mapping[str, Any]) -> None:
        """Change fields of a record."""
        key = self.org.row(object, record_id)["Id"]
        if key in self.org.faults.locked:
            raise refused(400, "UNABLE_TO_LOCK_ROW", LOCKED.format(key))
        values = self._resolved(object, fields)
        self._duplicates(object, values, key)
        self.org.update(object, key, values, user=self.user, origin=self.origin)

    def upsert(self, object: str, field: str, value: str, fields: Mapping[str, Any]) -> tuple[str, bool]:
        """(id, was it created?); 300 where several records have the value."""
        if field == "Id":
            self.update(object, value, fields)
            return to18(value), False
        found = self.org.matching(object, field, value)
        if field in fields:
            message = f"The {field} field should not be specified in the sobject data."
            raise refused(400, "INVALID_FIELD", message, (field,))
        if len(found) > 1:
            raise Refused(300, [f"/services/data/v{self.version}/sobjects/{object}/{one}" for one in found])
        if not found:
            return self.insert(object, {**fields, field: value}), True
        self.update(object, found[0], fields)
        return found[0], False

    def delete(self, object: str, record_id: str) -> None:
        """Into the recycle bin."""
        key = self.org.row(object, record_id)["Id"]
        if key in self.org.faults.locked:
            raise refused(400, "UNABLE_TO_LOCK_ROW", LOCKED.format(key))
        self.org.delete(object, key, user=self.user, origin=self.origin)

    # -- inside

    def _existing(self, name: str) -> None:
        one, _, field = name.partition(".")
        if field not in self.org.objects[self.org.object(one).name].fields:
            raise refused(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", f"Field Name: bad value: {name}", ("Field",))

    def _resolved(self, object: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Fields by their exact names; `{"Account": {"Ext__c": "x"}}` becomes the id of the account that has it."""
        one = self.org.object(object)
        exact = {name.lower(): name for name in one.fields}
        values: dict[str, Any] = {}
        for name, value in fields.items():
            lookup = lookup_of(name)
            if isinstance(value, Mapping) and lookup in one.fields:
                values[lookup] = self._referred(one.fields[lookup].refers_to or name, value)
            else:
                values[exact.get(name.lower(), name)] = value
        return values

    def _referred(self, object: str, key: Mapping[str, Any]) -> str:
        ((field, value),) = [(name, one) for name, one in key.items() if name != "attributes"]
        found = self.org.matching(object, field, str(value))
        if len(found) != 1:
            message = f"Foreign key external ID: {value} not found for field {field} in entity {object}"
            raise refused(400, "INVALID_FIELD", message, (field,))
        return found[0]

    def _duplicates(self, object: str, values: Mapping[str, Any], own: str | None) -> None:
        for name, spec in self.org.object(object).fields.items():
            if spec.external_id and values.get(name) is not None:
                self._unique(object, name, values[name], own)
        rule = self.org.faults.duplicate_rules.get(object)
        if rule is None or self.saves_duplicates or values.get(rule) is None:
            return
        if set(self.org.matching_any(object, rule, values[rule])) - {own}:
            raise refused(400, "DUPLICATES_DETECTED", "Use one of these records?")

    def _unique(self, object: str, name: str, value: Any, own: str | None) -> None:
        for other in set(self.org.matching(object, name, value)) - {own}:
            message = f"duplicate value found: {name} duplicates value on record with id: {other[:15]}"
            raise refused(400, "DUPLICATE_VALUE", message)
