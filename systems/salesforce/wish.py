"""A write under the names of its object, and the JSON that stands for it.

Promises: pure; a key that stands elsewhere in a request is never in a body, which Salesforce refuses (salesforce.md §4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.config.errors import PlatformError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.protocol import Reference, Write, Written

Result = Written | PlatformError


@dataclass(frozen=True, slots=True)
class Wish:
    """A write, its object's mapping, and the external id fields of all objects, by which references are found."""

    mapping: SystemMapping
    write: Write
    keys: Mapping[str, str]

    @property
    def known(self) -> bool:
        """Is the record's id known?"""
        return self.write.record_id is not None

    def body(self) -> dict[str, Any]:
        """The fields to send, without the key."""
        key = "Id" if self.known else self.mapping.external_id
        fields = {name: value for name, value in self.write.fields.items() if name not in (key, "Id")}
        return fields | {relationship(name): self.found_by(to) for name, to in self.write.references.items()}

    def record(self) -> dict[str, Any]:
        """The record with its key, as sObject Collections take it."""
        key = {"id": self.write.record_id} if self.known else {self.mapping.external_id: self.write.external_id}
        return {"attributes": {"type": self.mapping.object}, **key, **self.body()}

    def found_by(self, to: Reference) -> dict[str, str]:
        """A reference as the field and value that its record is found by."""
        return {self.keys.get(to.object, self.mapping.external_id): to.external_id}


def relationship(name: str) -> str:
    """A lookup field's name for its record: `AccountId` → `Account`, `Site__c` → `Site__r`."""
    return f"{name.removesuffix('__c')}__r" if name.endswith("__c") else name.removesuffix("Id")
