"""The commands `isthmus review ...`: what waits for a steward, and what a steward decides.

Promises: as node/cli.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from cyclopts import App, Parameter

review = App(name="review", help="What waits for a steward: conflicts, rejected records, possible matches.")

Config = Annotated[Path | None, Parameter(help="The settings file; else $ISTHMUS_CONFIG, else ./isthmus.yaml.")]
AsJson = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")]
Why = Annotated[str, Parameter(help="Why; kept with the decision.")]
By = Annotated[str, Parameter(help="Who decides; else you, at this host.")]
Question = Annotated[str, Parameter(help="The question's id.")]
Record = Annotated[str, Parameter(help="A record of it, as system:id.")]
FieldName = Annotated[str, Parameter(name="FIELD", help="The canonical field.")]


@review.command(name="list")
def list_(
    *,
    kind: Literal["conflict", "rejected", "match"] | None = None,
    entity: str | None = None,
    closed: Annotated[bool, Parameter(negative=(), help="Those that are settled.")] = False,
    limit: int = 100,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """What waits for a steward, the newest first."""
    query = {"kind": kind, "entity": entity, "state": "closed" if closed else "open", "limit": str(limit)}

    def show(told: Any) -> None:
        for one in told["reviews"]:
            print(_line(one))
        print(f"{len(told['reviews'])} of {told['total']}" + ("" if told["complete"] else ", some did not answer"))

    return _get(config, "/v1/reviews", {name: value for name, value in query.items() if value}, show, as_json)


@review.command
def show(id: Question, *, config: Config = None, as_json: AsJson = False) -> int:
    """A question, both sides of it, and what was decided."""

    def tell(one: Any) -> None:
        print(_line(one))
        for side in one["sides"]:
            mark = "*" if side["counts"] else " "
            print(f" {mark} {side['value']!r}  {side['system']} {side['native_id']} {side['when']}")
        for reason in one["reasons"]:
            print(f"   {reason}")
        for deed in one["decided"]:
            print(f"   {deed['at']} {deed['verb']} {deed['value']!r} by {deed['by']}: {deed['why']}")

    return _get(config, "/v1/review", {"id": id}, tell, as_json)


@review.command
def swap(id: Question, *, why: Why = "", by: By = "", config: Config = None, as_json: AsJson = False) -> int:
    """Let the other value count, whatever the systems say from now on."""
    return _decide(config, {"verb": "swap", "review": id, "why": why, "by": by}, as_json)


@review.command
def pin(id: Question, value: str, *, why: Why = "", by: By = "", config: Config = None, as_json: AsJson = False) -> int:
    """Let this value count, whatever the systems say from now on; JSON where it is no text."""
    return _decide(config, {"verb": "pin", "review": id, "value": _read(value), "why": why, "by": by}, as_json)


@review.command
def undo(id: Question, *, why: Why = "", by: By = "", config: Config = None, as_json: AsJson = False) -> int:
    """Take a decision back: what was there before it, where the systems say nothing newer."""
    return _decide(config, {"verb": "undo", "review": id, "why": why, "by": by}, as_json)


@review.command
def dismiss(id: Question, *, why: Why = "", by: By = "", config: Config = None, as_json: AsJson = False) -> int:
    """Close a question and change nothing."""
    return _decide(config, {"verb": "dismiss", "review": id, "why": why, "by": by}, as_json)


@review.command
def link(
    id: Question, *records: Record, why: Why = "", by: By = "", config: Config = None, as_json: AsJson = False
) -> int:
    """Both records of a question are one customer; where it has more than two, name two."""
    return _decide(config, {"verb": "link", "review": id, "records": _natives(records), "why": why, "by": by}, as_json)


@review.command
def apart(
    id: Question, *records: Record, why: Why = "", by: By = "", config: Config = None, as_json: AsJson = False
) -> int:
    """The records of a question are two customers, and are never linked by themselves; of more than two, name two."""
    return _decide(config, {"verb": "apart", "review": id, "records": _natives(records), "why": why, "by": by}, as_json)


@review.command(name="pin-field")
def pin_field(
    entity: str,
    canonical: Annotated[str, Parameter(help="The golden record's id.")],
    name: FieldName,
    value: str,
    *,
    why: Why = "",
    by: By = "",
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Pin a field of a golden record of which nobody has asked; JSON where the value is no text."""
    order = {"verb": "pin", "entity": entity, "canonical": canonical, "field": name, "value": _read(value)}
    return _decide(config, {**order, "why": why, "by": by}, as_json)


@review.command(name="release")
def release(
    entity: str,
    canonical: Annotated[str, Parameter(help="The golden record's id.")],
    name: FieldName,
    *,
    why: Why = "",
    by: By = "",
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """Let the systems say again what a pinned field is."""
    order = {"verb": "release", "entity": entity, "canonical": canonical, "field": name}
    return _decide(config, {**order, "why": why, "by": by}, as_json)


def _natives(records: Sequence[str]) -> list[dict[str, str]]:
    from isthmus.node.identity import native

    return [native(record) for record in records]


def _read(value: str) -> Any:
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _line(one: Mapping[str, Any]) -> str:
    sides: Sequence[Mapping[str, Any]] = one["sides"]
    values = " | ".join(f"{'*' if side['counts'] else ''}{side['value']!r} ({side['system']})" for side in sides)
    state = "settled" if one["closed"] else "open"
    return f"{one['id']}  {state}  {one['entity']} {one['field'] or one['kind']}  {values or '; '.join(one['reasons'])}"


def _get(config: Path | None, path: str, query: Mapping[str, str], show: Any, as_json: bool) -> int:
    from isthmus.config.load import load_settings
    from isthmus.node.door import Door, printed, through

    async def work(door: Door) -> int:
        told = await door.get(path, query)
        (printed if as_json else show)(told)
        return 0

    return through(load_settings(config), work)


def _decide(config: Path | None, order: Mapping[str, Any], as_json: bool) -> int:
    from isthmus.config.load import load_settings
    from isthmus.node.door import Door, myself, printed, through

    async def work(door: Door) -> int:
        by = order["by"] or myself()
        told = await door.post("/v1/decisions", {**order, "by": by})
        if as_json:
            printed(told)
        else:
            print(f"{told['verb']} is ordered{': ' + repr(told['value']) if told['value'] is not None else ''}")
        return 0

    return through(load_settings(config), work)
