"""Field names: change events speak of `BillingAddress.City`, REST and mappings of `BillingCity`.

Promises: pure; a name that is no part of a compound field stays as it is (salesforce.md §1.9).
"""

from __future__ import annotations

from msgspec.structs import replace

from isthmus.codecs.change import Change
from isthmus.systems.plain import plain


def flat(name: str) -> str:
    """REST's name for a field of a change event: `Name.FirstName` → `FirstName`, `MailingAddress.City` →
    `MailingCity`, `Spot__c.Latitude` → `Spot__Latitude__s`."""
    compound, dot, part = name.partition(".")
    if not dot:
        return name
    if compound.endswith("__c"):
        return f"{compound.removesuffix('__c')}__{part}__s"
    if compound.endswith("Address"):
        return compound.removesuffix("Address") + part
    return part if compound == "Name" else compound + part


def as_mapped(change: Change) -> Change:
    """The change under the names and with the plain values that a read gives."""
    return replace(
        change,
        fields={flat(name): plain(value) for name, value in change.fields.items()},
        cleared=tuple(flat(name) for name in change.cleared),
    )
