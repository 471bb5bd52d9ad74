"""letters: keeps every dead letter, and carries out what people want done with them: edit, replay, discard.

Promises: a replay, what it moves in the ledger and the letter's new state are one unit of work, so it happens once; what
was replayed has no death left to move, so a second replay does nothing. A change goes back to where it died, in its own
version, so it never counts for more than what came after it; a write is no change: merge is asked to tell the system what
it lacks now; of a hint only the records are asked for that it points to.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from isthmus.agents.reread import Understand
from isthmus.agents.source import spread
from isthmus.codecs.arrival import Arrival, Reread, Unlinked, native_key
from isthmus.codecs.dead import LARGEST, DeadLetter, described
from isthmus.codecs.frames import Elements
from isthmus.codecs.letters import Order, letter_id
from isthmus.codecs.linked import Linked, Merged, Tell
from isthmus.config.errors import DecodeError, IsthmusError
from isthmus.config.mapping import Mappings
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.letters import LETTERS, Edit, Letter, died, edit_key, timestamp
from isthmus.tables.stage import Batch, Input, Stage
from isthmus.tables.unit import Unit

MILLISECONDS = 1e11  # seconds since 1970 are fewer for another thousand years
# What says which record and which of its states a change is; an edit that touched them could put old over new.
LASTING = ("system", "record_id", "native_id", "canonical", "version", "changed_at", "change_id", "correlation", "kind")

log = structlog.get_logger()


class Refused(IsthmusError):
    """An order that is not carried out."""

    code = "REFUSED"


def stage(mappings: Mappings, readers: Mapping[str, Understand]) -> Stage:
    """The stage over the dead letters of all others; `readers`: how a system's hints are understood."""
    desk = Desk(mappings, readers)

    def fold(unit: Unit, batches: Sequence[Batch]) -> None:
        for batch in batches:
            take = keep if batch.topic == "dead" else desk.obey
            for item in batch.elements:
                take(unit, item)

    inputs = (Input("dead", None), Input("letters", Elements(Order)))
    return Stage("letters", inputs, (LETTERS,), fold, _pass_over)


def _pass_over(unit: Unit, raw: bytes, fault: Exception) -> None:
    """A letter about a letter would come here again, for ever; a stranger's record stays on its topic for who looks."""
    log.error("this is no dead letter and no order for one", fault=repr(fault), begins=raw[:200])


def keep(unit: Unit, message: Any) -> None:
    """Take a dead letter in; `message`: its record on `dead`."""
    letter = msgspec.json.decode(message.value, type=DeadLetter)
    id = letter_id(message.partition, letter.identity())
    known = unit.get(LETTERS, id.encode())
    seconds = message.timestamp / 1000 if message.timestamp > MILLISECONDS else message.timestamp
    told = msgspec.json.decode(message.value)
    unit.put(LETTERS, id.encode(), died(known if isinstance(known, Letter) else None, id, told, timestamp(seconds)))


class Desk:
    """Where orders are carried out."""

    def __init__(self, mappings: Mappings, readers: Mapping[str, Understand]) -> None:
        self._mappings = mappings
        self._readers = readers

    def obey(self, unit: Unit, order: Order) -> None:
        """Carry out an order, or note on the letter why not."""
        letter = unit.get(LETTERS, order.letter.encode())
        if not isinstance(letter, Letter) or letter.obeyed(order.id):
            return
        try:
            done = self._done(unit, letter, order)
        except Refused as fault:
            done = letter.after(order, "refused", f"{order.action}: {fault}")
        unit.put(LETTERS, order.letter.encode(), done)

    def _done(self, unit: Unit, letter: Letter, order: Order) -> Letter:
        match order.action:
            case "replay":
                note = self._replay(unit, letter)
                return replace(letter.after(order, "replayed", note), state="replayed", standing=0)
            case "discard":
                if letter.state != "open":
                    raise Refused(f"it is {letter.state}")
                return replace(letter.after(order, "discarded"), state="discarded")
            case "edit":
                return self._edit(unit, letter, order)

    # -- edit

    def _edit(self, unit: Unit, letter: Letter, order: Order) -> Letter:
        payload = order.payload or ""
        if letter.state != "open":
            raise Refused(f"it is {letter.state}")
        if len(payload.encode()) > LARGEST:
            raise Refused(f"more than {LARGEST} bytes")
        if letter.topic.startswith("writes."):
            raise Refused("a write says what the golden record says: change that in a system")
        self._sent(letter, payload.encode())
        _lasting(letter, payload)
        number = letter.edits + 1
        unit.put(LETTERS, edit_key(letter.id, number), Edit(order.at, order.by, letter.content, payload))
        return replace(letter.after(order, "edited", edit=number), payload=payload, edits=number)

    # -- replay

    def _replay(self, unit: Unit, letter: Letter) -> str:
        """Send it on its way again and take its deaths back from the ledger; what was done, in words."""
        if not letter.standing:
            raise Refused("it was replayed already, and has not died since")
        sent = self._sent(letter, _bytes(letter))
        _move(unit, letter, isinstance(sent, Linked | Arrival | Unlinked))
        return self._send(unit, letter, sent)

    def _send(self, unit: Unit, letter: Letter, sent: Any) -> str:
        match sent:
            case Arrival(change):
                again = replace(sent, again=letter.counted or None)
                unit.send(letter.topic, native_key(change.system, change.record_id), again)
            case Unlinked(linked):
                unit.send("identify", self._mappings.entities[linked.entity].family.encode(), sent)
            case DesiredWrite(system, canonical, entity):
                order = Tell(system, canonical, entity, sent.correlation)
                unit.send("merge", canonical.encode(), order)
                return f"merge tells {system} what it lacks now"
            case list():
                for ask in sent:
                    _ask(unit, letter.system, ask)
                return "asked for " + (", ".join(f"{one.object} {one.record_id}" for one in sent) or "nothing")
            case _:
                unit.send("merge", sent.canonical.encode(), sent)
        return f"given back to {letter.topic}"

    def _sent(self, letter: Letter, content: bytes) -> Any:
        """What a replay of this content sends: an element of the letter's topic, or a list of what to read."""
        kind, _, system = letter.topic.partition(".")
        try:
            match kind:
                case "changes":
                    return _of_system(system, msgspec.json.decode(content, type=Arrival))
                case "identify":
                    return self._of_entity(msgspec.json.decode(content, type=Unlinked))
                case "merge":
                    return msgspec.json.decode(content, type=Merged)
                case "writes":
                    return msgspec.json.decode(content, type=DesiredWrite)
                case "rereads":
                    return [msgspec.json.decode(content, type=Reread)]
                case "hints" if system in self._readers:
                    return list(self._readers[system](SimpleNamespace(value=content, headers=())))
        except (msgspec.MsgspecError, DecodeError) as fault:
            raise Refused(f"it cannot be understood: {fault}") from fault
        raise Refused("it came by no topic that it could be given back to: have its record changed or read again")

    def _of_entity(self, unlinked: Unlinked) -> Unlinked:
        if unlinked.linked.entity not in self._mappings.entities:
            raise Refused(f"there is no entity {unlinked.linked.entity}")
        return unlinked


def _bytes(letter: Letter) -> bytes:
    if letter.payload is None and letter.encoding == "reference":
        raise Refused("only its digest is kept, it was too large: look it up where it came by, and edit it in")
    if letter.payload is None and letter.encoding == "base64":
        return base64.b64decode(letter.original)
    return letter.content.encode()


def _of_system(system: str, arrival: Arrival) -> Arrival:
    if arrival.change.system != system:
        raise Refused(f"its change is of {arrival.change.system}, not of {system}")
    return arrival


def _ask(unit: Unit, system: str, ask: Reread) -> None:
    if ask.swept:
        spread(unit, system, ask)
    else:
        unit.send(f"rereads.{system}", native_key(system, ask.record_id), ask)


def _move(unit: Unit, letter: Letter, change: bool) -> None:
    """A change that died is on its way again; had it died more than once, the others were repeats. What asks for a read
    changes nothing itself: what is read is received anew. A dead write is replaced by a newer one."""
    system, _, entity = letter.counted.partition("/")
    deaths = letter.standing
    if not letter.counted:
        return
    if letter.topic.startswith("writes."):
        unit.count(system, entity, "delivery_dead", -deaths)
        unit.count(system, entity, "delivery_superseded", deaths)
        return
    unit.count(system, entity, "dead", -deaths)
    if deaths > change:
        unit.count(system, entity, "unchanged", deaths - change)


def _lasting(letter: Letter, payload: str) -> None:
    """An edit mends what a change says, not of which record it says it, nor when."""
    if letter.topic.split(".")[0] in ("rereads", "hints"):
        return  # the row that is read decides
    before, after = dict(_texts(described(letter.original.encode()))), dict(_texts(described(payload.encode())))
    for where, value in before.items():
        if value != after.get(where):
            raise Refused(f"{where[1]} has to stay {value!r}")


def _texts(told: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[tuple[int, str], str | None]]:
    """What lasts among the keys of an element and of what is in it; only where it is what it ought to be."""
    for name, value in told.items():
        if name in LASTING and (value is None or isinstance(value, str)):
            yield (depth, name), value
        elif name in ("change", "linked") and isinstance(value, dict):
            yield from _texts(value, depth + 1)
