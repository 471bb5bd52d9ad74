"""What the org takes as a record's values, and what it makes of them (salesforce.md §4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.simulators.salesforce.faults import refused
from isthmus.simulators.salesforce.schema import Field, Object


def validate(one: Object, fields: Mapping[str, Any], *, creating: bool) -> None:
    """Refuse fields that are unknown, read-only, of another type, too long, or lacking."""
    for name, value in fields.items():
        spec = one.fields.get(name)
        if spec is None:
            raise refused(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {one.name}", (name,))
        if not spec.writable:
            message = f"Unable to create/update fields: {name}. Please check the security settings of this field"
            raise refused(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, (name,))
        _check(spec, value)
    lacking = [
        spec.name
        for spec in one.fields.values()
        if spec.required and (stored(fields.get(spec.name)) is None) and (creating or spec.name in fields)
    ]
    if lacking:
        message = f"Required fields are missing: [{', '.join(lacking)}]"
        raise refused(400, "REQUIRED_FIELD_MISSING", message, tuple(lacking))


def _check(spec: Field, value: Any) -> None:
    if value is None or (spec.type == "boolean" and isinstance(value, bool)):
        return
    if spec.type in ("int", "currency", "double"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            message = f"Cannot deserialize instance of {spec.type} from VALUE_STRING value {value}"
            raise refused(400, "JSON_PARSER_ERROR", message)
    elif not isinstance(value, str):
        raise refused(400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of string from value {value}")
    elif spec.type == "email" and "@" not in value:
        raise refused(400, "INVALID_EMAIL_ADDRESS", f"{spec.name}: invalid email address: {value}", (spec.name,))
    elif spec.restricted and value not in ("", *spec.options):
        message = f"{spec.name}: bad value for restricted picklist field: {value}"
        raise refused(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (spec.name,))
    elif len(value) > spec.length:
        message = f"{spec.name}: data value too large: {value[:20]}... (max length={spec.length})"
        raise refused(400, "STRING_TOO_LONG", message, (spec.name,))


def stored(value: Any) -> Any:
    """What Salesforce keeps: no outer blanks, and an empty text is nothing."""
    if isinstance(value, str):
        return value.strip() or None
    return value
