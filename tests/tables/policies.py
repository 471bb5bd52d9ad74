"""Entities with a delete policy, as tests declare one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from isthmus.config.mapping import EntityMapping

STATES = {"inactive": {"statecode": 1}, "active": {"statecode": 0}}


def by_policy(entity: EntityMapping, policy: Mapping[str, Any], rules: Iterable[Any] = ()) -> EntityMapping:
    """The entity, with `from` and each system's `on_delete`, and further quality rules."""
    told = entity.model_dump(by_alias=True, exclude_unset=True)
    told["quality"] = [*told.get("quality", ()), *rules]
    if "from" in policy:
        told["deletes"] = {"from": policy["from"]}
    for system, mapping in told["systems"].items():
        mapping["on_delete"] = policy.get(system, "keep")
        mapping |= STATES if mapping["on_delete"] == "deactivate" else {}
    return EntityMapping.model_validate(told)
