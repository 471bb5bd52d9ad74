"""The commands `isthmus dead ...`: what can be asked for; the work is done in node/dead.py.

Promises: as node/cli.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

dead = App(name="dead", help="Dead letters: what could not be carried out, and what to do with it.")

Config = Annotated[Path | None, Parameter(help="The settings file; else $ISTHMUS_CONFIG, else ./isthmus.yaml.")]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")]
By = Annotated[str, Parameter(help="Who wants it; else you, at this host.")]
Yes = Annotated[bool, Parameter(negative=(), help="Don't ask.")]
All = Annotated[
    bool, Parameter(name="--all", negative=(), help="All that match; open ones, where no --state is named.")
]


@Parameter(name="*")
@dataclass(frozen=True)
class Filter:
    """Which letters.

    Parameters
    ----------
    system
        Of this system.
    entity
        Of this entity.
    code
        With this error code.
    since
        That died since then: RFC 3339, or so long ago, such as 30m, 12h, 7d.
    state
        open, replayed or discarded.
    text
        With this in id, record, correlation, error or payload.
    """

    system: str | None = None
    entity: str | None = None
    code: str | None = None
    since: str | None = None
    state: Literal["open", "replayed", "discarded"] | None = None
    text: str | None = None


ANY = Filter()


@dead.command(name="list")
def list_(
    *,
    which: Filter = ANY,
    limit: Annotated[int, Parameter(help="How many, at most.")] = 100,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """List dead letters, the newest first."""
    from isthmus.config.load import load_settings
    from isthmus.node.dead import list_letters

    return list_letters(load_settings(config), vars(which), limit, as_json=as_json)


@dead.command
def show(id: str, *, config: Config = None, as_json: AsJson = False) -> int:
    """Show a letter whole: original, decoded change, every attempt, and what was done with it."""
    from isthmus.config.load import load_settings
    from isthmus.node.dead import show_letter

    return show_letter(load_settings(config), id, as_json=as_json)


@dead.command
def edit(
    id: str,
    *,
    file: Annotated[str | None, Parameter(help="The new payload, - for stdin; else $EDITOR opens.")] = None,
    by: By = "",
    config: Config = None,
) -> int:
    """Put another payload in the original's place, which a replay then sends."""
    from isthmus.config.load import load_settings
    from isthmus.node.dead import edit_letter

    return edit_letter(load_settings(config), id, file, by)


@dead.command
def replay(
    ids: Sequence[str] = (),
    *,
    every: All = False,
    which: Filter = ANY,
    yes: Yes = False,
    by: By = "",
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Send letters on their way again."""
    from isthmus.config.load import load_settings
    from isthmus.node.dead import order_letters

    wanted = vars(which) if every else None
    return order_letters(load_settings(config), "replay", ids, wanted, by, sure=yes, as_json=as_json)


@dead.command
def discard(
    ids: Sequence[str] = (),
    *,
    every: All = False,
    which: Filter = ANY,
    yes: Yes = False,
    by: By = "",
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Leave letters dead: they count as dead, and wait for nobody any more."""
    from isthmus.config.load import load_settings
    from isthmus.node.dead import order_letters

    wanted = vars(which) if every else None
    return order_letters(load_settings(config), "discard", ids, wanted, by, sure=yes, as_json=as_json)
