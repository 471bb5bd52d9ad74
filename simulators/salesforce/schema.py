"""The objects of the simulated org, as data: a further object is a further entry.

Promises: types and limits are those that REST and describe tell of (salesforce.md §4.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """A field as describe shows it. `part_of`: the compound field that change events nest it in, and its part there.
    `cascades`: what it refers to takes the record along when it is deleted and undeleted. `options`: the values of a
    picklist; with `restricted` the API takes no others. `formula`: the org computes it."""

    name: str
    type: str = "string"
    length: int = 255
    required: bool = False
    external_id: bool = False
    updateable: bool = True
    part_of: tuple[str, str] | None = None
    refers_to: str = ""
    cascades: bool = False
    options: tuple[str, ...] = ()
    restricted: bool = False
    formula: bool = False

    @property
    def writable(self) -> bool:
        """May it be set?"""
        return self.updateable and not self.formula


@dataclass(frozen=True)
class Object:
    """An object with its key prefix. `tracked`: it is selected for change data capture from the start."""

    name: str
    prefix: str
    fields: Mapping[str, Field]
    tracked: bool = False


def _object(name: str, prefix: str, *fields: Field, tracked: bool = False) -> Object:
    system = (
        Field("Id", "id", updateable=False),
        Field("CreatedDate", "datetime", updateable=False),
        Field("CreatedById", "reference", updateable=False),
        Field("LastModifiedDate", "datetime", updateable=False),
        Field("LastModifiedById", "reference", updateable=False),
        Field("SystemModstamp", "datetime", updateable=False),
    )
    return Object(name, prefix, {field.name: field for field in (*system, *fields)}, tracked)


def _address(prefix: str) -> tuple[Field, ...]:
    parts = ("Street", "City", "State", "PostalCode", "Country")
    return tuple(Field(f"{prefix}{part}", part_of=(f"{prefix}Address", part)) for part in parts)


ACCOUNT = _object(
    "Account",
    "001",
    Field("Name", required=True),
    Field("AccountNumber", length=40),
    Field("ParentId", "reference", refers_to="Account"),
    Field("Phone", "phone", 40),
    Field("Fax", "phone", 40),
    Field("Website", "url"),
    Field("Industry", "picklist", options=("Agriculture", "Banking", "Energy", "Technology")),
    Field("NumberOfEmployees", "int"),
    Field("AnnualRevenue", "currency"),
    Field("Credit_Limit__c", "currency"),
    Field("Description", "textarea", 32000),
    *_address("Billing"),
    *_address("Shipping"),
    Field("Isthmus_Id__c", length=36, external_id=True),
    tracked=True,
)
CONTACT = _object(
    "Contact",
    "003",
    Field("Salutation", "picklist", options=("Mr.", "Ms.", "Dr."), part_of=("Name", "Salutation")),
    Field("FirstName", length=40, part_of=("Name", "FirstName")),
    Field("LastName", length=80, required=True, part_of=("Name", "LastName")),
    Field("Email", "email", 80),
    Field("Phone", "phone", 40),
    Field("MobilePhone", "phone", 40),
    Field("Title", length=128),
    Field("AccountId", "reference", refers_to="Account", cascades=True),
    *_address("Mailing"),
    Field("Isthmus_Id__c", length=36, external_id=True),
    tracked=True,
)
TASK = _object(
    "Task",
    "00T",
    Field("Subject", "combobox", options=("Call", "Email", "Other")),
    Field("Description", "textarea", 32000),
    Field("Status", "picklist", options=("Not Started", "In Progress", "Completed")),
    Field("Priority", "picklist", options=("High", "Normal", "Low")),
    Field("WhatId", "reference"),
    Field("WhoId", "reference"),
    Field("OwnerId", "reference"),
    Field("Isthmus_Id__c", length=36, external_id=True),
)
# What is set up in an org is rows, too.
SETUP = (
    _object("PermissionSet", "0PS", Field("Name", length=80, required=True), Field("Label", length=80)),
    _object(
        "PermissionSetAssignment",
        "0Pa",
        Field("AssigneeId", "reference", required=True),
        Field("PermissionSetId", "reference", required=True),
    ),
    _object(
        "ObjectPermissions",
        "110",
        Field("ParentId", "reference", required=True),
        Field("SobjectType", required=True),
        Field("PermissionsRead", "boolean"),
        Field("PermissionsCreate", "boolean"),
        Field("PermissionsEdit", "boolean"),
        Field("PermissionsDelete", "boolean"),
        Field("PermissionsViewAllRecords", "boolean"),
        Field("PermissionsModifyAllRecords", "boolean"),
    ),
    _object(
        "FieldPermissions",
        "01k",
        Field("ParentId", "reference", required=True),
        Field("SobjectType", required=True),
        Field("Field", required=True),
        Field("PermissionsRead", "boolean"),
        Field("PermissionsEdit", "boolean"),
    ),
    _object("CustomField", "00N", Field("DeveloperName"), Field("TableEnumOrId")),
    _object("PlatformEventChannel", "0YL", Field("DeveloperName"), Field("ChannelType"), Field("MasterLabel")),
    _object("PlatformEventChannelMember", "0v8", Field("SelectedEntity"), Field("EventChannel")),
)
STANDARD_OBJECTS = (ACCOUNT, CONTACT, TASK, *SETUP)


UNSIZED = ("int", "double", "currency", "boolean", "date", "datetime")


def describe(one: Object) -> dict[str, Any]:
    """The object as `sobjects/X/describe` answers."""
    return {
        "name": one.name,
        "label": one.name,
        "keyPrefix": one.prefix,
        "custom": False,
        "createable": True,
        "updateable": True,
        "deletable": True,
        "queryable": True,
        "fields": [_described(field) for field in one.fields.values()],
    }


def _described(field: Field) -> dict[str, Any]:
    options = [
        {"active": True, "defaultValue": False, "label": value, "validFor": None, "value": value}
        for value in field.options
    ]
    return {
        "name": field.name,
        "label": field.name,
        "type": field.type,
        "length": 0 if field.type in UNSIZED else field.length,
        "nillable": not field.required,
        "externalId": field.external_id,
        "unique": field.external_id,
        "idLookup": field.external_id or field.name == "Id",
        "createable": field.writable,
        "updateable": field.writable,
        "calculated": field.formula,
        "picklistValues": options,
        "restrictedPicklist": field.restricted,
        "custom": field.name.endswith("__c"),
    }
