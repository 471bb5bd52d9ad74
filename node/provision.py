"""`isthmus provision`: what each platform needs for this node, and, with `--apply`, making it.

Promises: without `apply` nothing is changed; every platform is asked even where another one fails; doing it twice changes
nothing; no secret is printed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from isthmus.config.errors import IsthmusError
from isthmus.config.mapping import ENTITIES, load_mappings
from isthmus.config.settings import Settings
from isthmus.node.check import Answer, report
from isthmus.node.systems import open_systems
from isthmus.systems.protocol import System


def run_provision(settings: Settings, *, apply: bool, as_json: bool = False) -> int:
    """Ask or make everything, print the answers, give the exit code: 0 all is there, 1 something is not."""
    systems = open_systems(settings, load_mappings(settings.entities_dir or ENTITIES))
    return report(asyncio.run(provision(systems, apply=apply)), as_json=as_json)


async def provision(systems: Sequence[System], *, apply: bool) -> list[Answer]:
    """Every system's findings, one system after another."""
    if not systems:
        return [Answer("warn", "systems", "none is configured", "set the section salesforce or dynamics")]
    return [answer for system in systems for answer in await _one(system, apply)]


async def _one(system: System, apply: bool) -> list[Answer]:
    try:
        await system.open()
        findings = await system.provision(apply)
    except IsthmusError as fault:
        return [Answer("fail", system.name, str(fault), fault.hint)]
    finally:
        await system.close()
    return [Answer("ok" if one.ok else "fail", f"{system.name} {one.name}", one.message, one.hint) for one in findings]
