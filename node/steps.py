"""Steps: what each record of a node's topics tells of the way of a change.

Promises: pure; says only what a topic says, each step with its place there; a time is Kafka's own, but for `changed`, which
is the source's word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import orjson

from isthmus.codecs.arrival import Arrival, Link, Reread
from isthmus.codecs.dead import DeadLetter
from isthmus.codecs.events import Source
from isthmus.codecs.frames import Broken, Elements
from isthmus.codecs.letters import Order, letter_id
from isthmus.codecs.linked import Absorb, Decide, Linked, Loaded, Merged, Part, Report, Resolved, Settled, Tell, Yield
from isthmus.config.errors import DecodeError
from isthmus.tables.deliveries import Parked, deliveries
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.letters import timestamp
from isthmus.tables.texts import UNLIKE

ORDER = (
    *("changed", "hinted", "read", "arrived", "linked", "joined", "decided", "merged", "event", "wished"),
    *("parked", "written", "refused", "held", "dead", "ordered", "told again"),
)
NAMES = 4


class Seen(NamedTuple):
    """A record of a topic. `at`: Kafka's time, milliseconds since 1970; `topic` without the namespace."""

    topic: str
    partition: int
    offset: int
    at: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[tuple[str, bytes]]

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step. `at` is RFC 3339; `native` is system:id; ids are empty where the step has none."""

    at: str
    step: str
    what: str
    place: str = ""
    canonical: str = ""
    system: str = ""
    native: str = ""
    change_id: str = ""
    correlation: str = ""
    revision: int | None = None
    letter: str = ""

    def concerns(self, asked: str) -> bool:
        """Is this what somebody asks for?"""
        return asked in (self.canonical, self.native, self.change_id, self.correlation)

    def sorting(self) -> tuple[float, int, str]:
        """Its place in a history: by time, and where that is the same by the way that a change goes."""
        return datetime.fromisoformat(self.at).timestamp(), ORDER.index(self.step), self.place


Read = Callable[[Seen], Iterator[Step]]
HintedAt = Callable[[bytes], str | None]


def steps(seen: Seen, hinted: Mapping[str, HintedAt]) -> Iterator[Step]:
    """The steps that a record tells of; `hinted`: by system, which record a hint is about."""
    kind, _, rest = seen.topic.partition(".")
    if seen.value is None:
        return
    try:
        if kind == "hints":
            yield from _hint(seen, rest, hinted)
        elif kind == "events":
            yield from _event(seen)
        elif kind == "dead":
            yield from _dead(seen)
        elif kind.startswith("deliveries-"):
            yield from _parked(seen)
        elif kind in FRAMES:
            elements, tell = FRAMES[kind]
            for element in elements.decode(seen.value, seen.place):
                if not isinstance(element, Broken):
                    yield from tell(seen, rest, element)
    except (DecodeError, msgspec.MsgspecError, orjson.JSONDecodeError, KeyError, TypeError):
        return  # a stranger's record; what could not be read has a dead letter


# -- frames


def _arrived(seen: Seen, system: str, one: Arrival) -> Iterator[Step]:
    change = one.change
    ids: dict[str, Any] = {"system": system, "native": f"{system}:{change.record_id}"}
    ids |= {"change_id": change.change_id, "correlation": one.correlation}
    if change.changed_at:
        yield Step(_tidy(change.changed_at), "changed", f"{change.operation} {change.entity}", **ids)
    unlike = change.change_id.endswith(UNLIKE)
    again = (
        ", its text differs from one that is not known" if unlike else ", a dead letter replayed" if one.again else ""
    )
    yield Step(_time(seen), "arrived", f"{change.change_id}{again}", seen.place, **ids)


def _asked(seen: Seen, system: str, one: Reread) -> Iterator[Step]:
    what = f"{one.object} read by the feed" if one.found else f"{one.object} to be read"
    native = f"{system}:{one.record_id}"
    yield Step(_time(seen), "read", what, seen.place, "", system, native, one.answers or "", one.correlation)


def _linked(seen: Seen, _: str, one: Link) -> Iterator[Step]:
    native = f"{one.system}:{one.native_id}"
    yield Step(_time(seen), "linked", f"{native} is {one.canonical}", seen.place, one.canonical, one.system, native)


def _merged(seen: Seen, _: str, one: Merged) -> Iterator[Step]:
    if isinstance(one, Decide):
        yield _decided(seen, one)
    else:
        yield from _taken(seen, one.linked() if isinstance(one, Resolved) else one)


def _decided(seen: Seen, one: Decide) -> Step:
    about = _values({one.field: one.value}) if one.action == "pin" else one.field
    what = f"{one.action} {about} by {one.by}" + (f": {one.why}" if one.why else "")
    return Step(_time(seen), "decided", what, seen.place, one.canonical, one.system, "", one.order, one.correlation)


def _taken(seen: Seen, one: Merged) -> Iterator[Step]:
    at = _time(seen)
    match one:
        case Linked():
            native = f"{one.system}:{one.native_id}"
            what = f"{one.operation} {_values(one.values())}"
            yield Step(
                at, "merged", what, seen.place, one.canonical, one.system, native, one.change_id, one.correlation
            )
        case Report():
            native = f"{one.system}:{one.native_id}" if one.native_id else ""
            what = f"r{one.rev} {_said(one)}" + (f", version {one.version}" if one.version else "")
            yield Step(at, one.outcome, what, seen.place, one.canonical, one.system, native, revision=one.rev)
        case Yield():
            what = f"is {one.winner}"
            yield Step(at, "joined", what, seen.place, one.canonical, *_of(one.cause), one.correlation)
        case Absorb():
            what = f"takes over what {one.loser} held"
            yield Step(at, "joined", what, seen.place, one.canonical, *_of(one.cause), one.correlation)
        case Settled():
            what = f"nothing of {one.loser} is under way in {one.system} any more"
            yield Step(at, "joined", what, seen.place, one.canonical, one.system, "", "", one.correlation)
        case Part():
            what = f"loses {one.system}:{one.native_id}, which is {one.into}"
            yield Step(at, "joined", what, seen.place, one.canonical, *_of(one.cause), one.correlation)
        case Loaded():
            for row in one.rows:
                native = f"{row.system}:{row.native_id}"
                ids = (one.canonical, row.system, native, row.change_id, one.correlation)
                yield Step(at, "merged", f"loaded {_values(row.values())}", seen.place, *ids)
        case Tell():
            what = "what it lacks now"
            yield Step(at, "told again", what, seen.place, one.canonical, one.system, "", "", one.correlation)


def _of(cause: Source) -> tuple[str, str, str]:
    return cause.system, f"{cause.system}:{cause.native_id}", cause.change_id


def _said(one: DesiredWrite | Report) -> str:
    """What a write is for: its values, and what else becomes of the record."""
    values = _values(one.fields) if one.fields or one.action == "upsert" else ""
    return values if one.action == "upsert" else f"{one.action} {values}".rstrip()


def _wished(seen: Seen, system: str, one: DesiredWrite) -> Iterator[Step]:
    native = f"{system}:{one.native_id}" if one.native_id else ""
    what = f"r{one.revision} {_said(one)}" + ("" if one.native_id else ", a new record")
    if one.withdrawn:
        what = f"r{one.revision} takes back what was wished before"
    yield Step(
        _time(seen), "wished", what, seen.place, one.canonical, system, native, "", one.correlation, one.revision
    )


def _ordered(seen: Seen, _: str, one: Order) -> Iterator[Step]:
    yield Step(_time(seen), "ordered", f"{one.action} by {one.by}", seen.place, letter=one.letter)


FRAMES: Mapping[str, tuple[Elements, Callable[[Seen, str, Any], Iterator[Step]]]] = {
    "changes": (Elements(Arrival), _arrived),
    "rereads": (Elements(Reread), _asked),
    "links": (Elements(Link), _linked),
    "merge": (Elements(Merged), _merged),
    "writes": (Elements(DesiredWrite), _wished),
    "letters": (Elements(Order), _ordered),
}


# -- records


def _hint(seen: Seen, system: str, hinted: Mapping[str, HintedAt]) -> Iterator[Step]:
    found = hinted[system](seen.value or b"") if system in hinted else None
    if found:
        yield Step(_time(seen), "hinted", "by a webhook", seen.place, "", system, f"{system}:{found}")


def _event(seen: Seen) -> Iterator[Step]:
    told = orjson.loads(seen.value or b"")
    headers = {name: value.decode() for name, value in seen.headers}
    changed = {name: one["value"] for name, one in told["changed"].items()}
    rules = sorted({one["rule"] for one in told["changed"].values()})
    what = f"{headers['ce_type']} r{told['revision']} {_values(changed)}" + (f" by {', '.join(rules)}" if rules else "")
    cause = told["cause"]
    ids = (told["id"], cause["system"], f"{cause['system']}:{cause['native_id']}", cause["change_id"])
    yield Step(_time(seen), "event", what, seen.place, *ids, headers["ce_correlationid"], told["revision"])


def _dead(seen: Seen) -> Iterator[Step]:
    letter = msgspec.json.decode(seen.value or b"", type=DeadLetter)
    context, system = letter.context, str(letter.context.get("system") or "")
    record, canonical = context.get("record_id"), str(context.get("canonical") or "")
    id = letter_id(seen.partition, letter.identity())
    native = f"{system}:{record}" if record else ""
    what = f"{id} in {letter.stage}: {letter.code}: {letter.error}"
    correlation = str(context.get("correlation") or "")
    yield Step(_time(seen), "dead", what, seen.place, canonical, system, native, "", correlation, letter=id)


def _parked(seen: Seen) -> Iterator[Step]:
    """The changelog of deliver's table says what waits, as long as it is not compacted."""
    if (seen.key or b"\xff").startswith(b"\xff"):
        return
    system = seen.topic.removeprefix("deliveries-").removesuffix("-changelog")
    parked = deliveries(system).decode(seen.value or b"")
    if not isinstance(parked, Parked):
        return
    wish = parked.write
    what = f"r{wish.revision} attempt {parked.attempts}: {parked.error}"
    yield Step(_time(seen), "parked", what, seen.place, wish.canonical, system, "", "", wish.correlation, wish.revision)


def _time(seen: Seen) -> str:
    return timestamp(seen.at / 1000)


def _tidy(at: str) -> str:
    return timestamp(datetime.fromisoformat(at).timestamp())


def _values(fields: Mapping[str, Any]) -> str:
    told = [f"{name}={value!r}"[:60] for name, value in fields.items() if value is not None]
    told += [f"no {name}" for name, value in fields.items() if value is None]
    return ", ".join(told[:NAMES]) + (f" and {len(told) - NAMES} more" if len(told) > NAMES else "")
