"""`isthmus mapping check`: the mappings beside what both platforms say of their own fields. Changes nothing.

Promises: every platform and object is asked even where another one fails; one line a finding, with what to do; 0 all
fits, 1 something does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence

from isthmus.config.errors import IsthmusError
from isthmus.config.mapping import ENTITIES, EntityMapping, Mappings, load_mappings
from isthmus.config.settings import Settings
from isthmus.node.check import PATIENCE_SECONDS, Answer, report
from isthmus.node.systems import open_systems
from isthmus.systems.describing import Described, Describes
from isthmus.systems.drift import Drift, drifts
from isthmus.systems.protocol import System

# Each system's objects, and each object's fields.
Told = Mapping[str, Mapping[str, Mapping[str, Described]]]


def run_mapping_check(settings: Settings, *, as_json: bool = False) -> int:
    """Ask, compare, print the answers, give the exit code."""
    mappings = load_mappings(settings.entities_dir or ENTITIES)
    return report(asyncio.run(mapping_check(mappings, open_systems(settings, mappings))), as_json=as_json)


async def mapping_check(mappings: Mappings, systems: Sequence[System]) -> list[Answer]:
    """The answers about every entity, after those about platforms that could not be asked."""
    asked = await asyncio.gather(*(_ask(system, mappings) for system in systems))
    told = {system.name: fields for system, (fields, _) in zip(systems, asked, strict=True)}
    silent = sorted({name for entity in mappings.entities.values() for name in entity.systems} - told.keys())
    answers = [answer for _, failed in asked for answer in failed]
    answers += [Answer("warn", name, "is not configured: its mappings are not looked at") for name in silent]
    return [*answers, *(answer for entity in mappings.entities.values() for answer in _entity(entity, told))]


async def _ask(system: System, mappings: Mappings) -> tuple[dict[str, Mapping[str, Described]], list[Answer]]:
    """What a system says of each mapped object, and what it could not be asked."""
    if not isinstance(system, Describes):
        return {}, [Answer("warn", system.name, "does not tell what its fields are: its mappings are not looked at")]
    fields: dict[str, Mapping[str, Described]] = {}
    failed: list[Answer] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS * 2):
            await system.open()
            for object_ in mappings.objects(system.name):
                await _object(system, system.name, object_, fields, failed)
    except IsthmusError as fault:
        failed.append(Answer("fail", system.name, str(fault), fault.hint))
    except TimeoutError:
        failed.append(Answer("fail", system.name, "does not answer", "check its URL and the way there"))
    finally:
        await system.close()
    return fields, failed


async def _object(
    system: Describes, name: str, object_: str, fields: dict[str, Mapping[str, Described]], failed: list[Answer]
) -> None:
    try:
        fields[object_] = await system.describe(object_)
    except IsthmusError as fault:
        hint = fault.hint or "correct the mapping's object, or let the integration user see it"
        failed.append(Answer("fail", f"{name} {object_}", str(fault), hint))


def _entity(entity: EntityMapping, told: Told) -> Iterator[Answer]:
    objects = {system: told.get(system, {}).get(mapping.object) for system, mapping in entity.systems.items()}
    known = {system: fields for system, fields in objects.items() if fields is not None}
    found = drifts(entity, known)
    for system in known:
        own = [one for one in found if one.system == system]
        if not any(one.wrong for one in own):
            yield _fits(entity, system)
        yield from _said(own)


def _said(found: Iterable[Drift]) -> Iterator[Answer]:
    for one in found:
        yield Answer("fail" if one.wrong else "warn", f"{one.system} {one.place}", one.message, one.hint)


def _fits(entity: EntityMapping, system: str) -> Answer:
    mapping = entity.systems[system]
    return Answer("ok", f"{system} {mapping.object} ({entity.entity})", f"all {len(mapping.declared)} fields fit")
