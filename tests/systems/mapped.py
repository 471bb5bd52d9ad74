"""A Finance & Operations entity as a mapping, in one line."""

from __future__ import annotations

from isthmus.config.mapping import SystemMapping


def mapped(object: str, collection: str, key: str, reference: str, *columns: str) -> SystemMapping:
    """Each column is mapped to the field of its name in small letters."""
    return SystemMapping(
        object=object,
        collection=collection,
        primary_key=key,
        external_id=reference,
        fields={column.lower(): column for column in columns},
    )
