"""The commands `isthmus identity ...`: a person says who is who.

Promises: as node/cli.py.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from isthmus.node.cli_dead import By, Config
from isthmus.node.cli_review import Why

identity = App(name="identity", help="Say which records are the same, and which are not.")

Entity = Annotated[str, Parameter(help="The entity, e.g. account.")]
Native = Annotated[str, Parameter(help="A record, as system:id.")]


@identity.command
def link(entity: Entity, one: Native, other: Native, *, by: By = "", why: Why = "", config: Config = None) -> int:
    """Both records are one: their golden records become one."""
    return _order(config, entity, "link", [one, other], by, why)


@identity.command
def apart(entity: Entity, one: Native, other: Native, *, by: By = "", why: Why = "", config: Config = None) -> int:
    """These records are not one, and are never linked again by themselves."""
    return _order(config, entity, "apart", [one, other], by, why)


@identity.command
def unmerge(entity: Entity, record: Native, *, by: By = "", why: Why = "", config: Config = None) -> int:
    """A record is no part of its golden record: it leaves for one of its own."""
    return _order(config, entity, "unmerge", [record], by, why)


def _order(config: Config, entity: str, action: str, records: list[str], by: str, why: str) -> int:
    from isthmus.config.load import load_settings
    from isthmus.node.identity import run_identity

    return run_identity(load_settings(config), entity, action, records, by, why)
