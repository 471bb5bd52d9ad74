"""What travels on `activations`: a person wants a version of an entity's mapping in force.

Promises: an order survives its JSON; its id makes a repeat of it harmless; equal mappings have equal versions.
"""

from __future__ import annotations

import hashlib

import msgspec
import orjson

from isthmus.config.mapping import EntityMapping, Mappings

VERSION_DIGITS = 12


class Activation(msgspec.Struct, frozen=True, gc=False):
    """Put this mapping in force. `document` is JSON, `at` RFC 3339, `by` who wants it, `why` in that person's words."""

    id: str
    entity: str
    document: str
    at: str
    by: str
    why: str = ""

    @property
    def version(self) -> str:
        """The digest of the document."""
        return version_of(self.document)


def document_of(mapping: EntityMapping) -> str:
    """A mapping as JSON, keys in order, with what it leaves to the defaults."""
    told = mapping.model_dump(mode="json", by_alias=True, exclude_none=True)
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS).decode()


def mapping_of(document: str) -> EntityMapping:
    """The mapping that a document is; pydantic.ValidationError where it cannot work."""
    return EntityMapping.model_validate_json(document)


def version_of(document: str) -> str:
    """What a document is called."""
    return hashlib.blake2b(document.encode(), digest_size=VERSION_DIGITS // 2).hexdigest()


def versions_of(mappings: Mappings) -> dict[str, str]:
    """What each entity's mapping is called; by its name, and by `system/object` for where only that is known."""
    found: dict[str, str] = {}
    for name, mapping in mappings.entities.items():
        version = version_of(document_of(mapping))
        found |= {name: version, **{f"{system}/{one.object}": version for system, one in mapping.systems.items()}}
    return found
