"""What of the reads that are asked for may be made now: those of batch wait in a line until their budget has room again.

Promises: the line is kept with the rows, so a restart forgets nothing; it is first in, first out, and the end of a full
read waits in it behind what that met; what live changes ask for passes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import msgspec
from msgspec.structs import replace

from isthmus.agents.allowance import Allowance
from isthmus.codecs.arrival import Reread
from isthmus.tables.budgets import cost
from isthmus.tables.unit import Table, Unit

# No record's key begins so.
GATE = b"\xff\xffline"
PLACES = GATE + b"/"
READS_A_UNIT = 500
WAITING = "rereads_waiting"


class Line(msgspec.Struct, frozen=True, gc=False):
    """The numbers of the first that waits and of the one after the last; nobody looks before `until` (epoch seconds)."""

    first: int = 0
    end: int = 0
    until: float = 0.0


def afford(
    unit: Unit, table: str, system: str, requests: Sequence[Reread], allowance: Allowance, now: float
) -> list[Reread]:
    """The requests that may be answered now; the unit is due when the line is to be looked at again. `table`: the name
    of the one that the line is kept in."""
    allowance.tell(unit, now)
    kept: Table[str] = Table(table, str)
    line = _line(unit, kept)
    batch = [one for one in requests if _lines_up(one)]
    free = [one for one in requests if not _lines_up(one)]
    taken = cost(sum(one.found is None for one in free))
    waits = line.end > line.first
    if not waits and allowance.ask("batch", len(batch), now, taken).records == len(batch):
        return list(requests)
    line = _join(unit, kept, system, line, batch)
    if now >= line.until:
        given = allowance.ask("batch", min(READS_A_UNIT, line.end - line.first), now, taken)
        line, some = _leave(unit, kept, system, replace(line, until=given.until), given.records)
        free += some
    unit.put(kept, GATE, msgspec.json.encode(line).decode())
    unit.due = line.until if line.end > line.first else None
    return free


def _lines_up(one: Reread) -> bool:
    """What a feed has read already costs nothing; the end of a full read comes behind what that met."""
    return one.found is None and (one.use == "batch" or one.swept)


def _line(unit: Unit, kept: Table[str]) -> Line:
    raw = unit.get(kept, GATE)
    return Line() if raw is None else msgspec.json.decode(raw, type=Line)


def _join(unit: Unit, kept: Table[str], system: str, line: Line, some: Sequence[Reread]) -> Line:
    for number, one in enumerate(some, start=line.end):
        unit.put(kept, _place(number), msgspec.json.encode(one).decode())
        unit.count(system, one.object, WAITING)
    return replace(line, end=line.end + len(some))


def _leave(unit: Unit, kept: Table[str], system: str, line: Line, number: int) -> tuple[Line, list[Reread]]:
    """The first so many of the line."""
    found: list[Reread] = []
    for key in list(islice(unit.keys(kept.name, PLACES, _place(line.first)), number)):
        raw = unit.get(kept, key)
        assert raw is not None
        found.append(msgspec.json.decode(raw, type=Reread))
        unit.put(kept, key, None)
        unit.count(system, found[-1].object, WAITING, -1)
    return replace(line, first=line.first + len(found)), found


def _place(number: int) -> bytes:
    return PLACES + f"{number:016d}".encode()
