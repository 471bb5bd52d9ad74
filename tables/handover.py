"""Handing over: what a golden record that turns out to be another one hands that one, the winner, and what it forwards.

Promises: all that it has goes along, and what it told a system counts as told before anything of the winner's; what may
still be under way is taken back, and the winner knows on which systems it has to wait. No clock, no chance, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from isthmus.codecs.cloud_events import CanonicalEvent
from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Absorb, Folding, Loaded, Part, Report, Settled, Yield
from isthmus.config.mapping import EntityMapping
from isthmus.tables.folded import canonical_event
from isthmus.tables.golden import GOLDEN, DesiredWrite, Golden
from isthmus.tables.intents import ON_ITS_WAY, REVISION, STATE


@dataclass(frozen=True, slots=True)
class Handed:
    """What a loser does: what is left of it, what it sends the winner, what it takes back, and what it tells the world."""

    state: Golden
    absorb: Absorb | None
    withdrawn: tuple[DesiredWrite, ...] = ()
    event: CanonicalEvent | None = None


def hand_over(golden: Golden | None, order: Yield, mapping: EntityMapping) -> Handed | None:
    """All that a golden record has goes to the winner; None where it may not: it is another entity's, or went before."""
    if golden is None:
        return Handed(Golden(order.canonical, order.entity, 1, redirect=order.winner), None)
    if golden.redirect is not None or golden.entity != order.entity or order.winner == order.canonical:
        return None
    rev = golden.revision + 1
    withdrawn = tuple(withdraw(golden, busy(golden, mapping.systems), rev, order.correlation))
    _shift(golden, rev)
    state = msgspec.Raw(encode(golden))
    absorb = Absorb(
        order.winner, golden.canonical, golden.entity, order.correlation, order.cause, state, False, order.ended
    )
    left = Golden(golden.canonical, golden.entity, rev, redirect=order.winner)
    event = canonical_event(left, "redirected", order.correlation, order.cause, {}, redirect=order.winner)
    return Handed(left, absorb, withdrawn, event)


def forwarded(golden: Golden, item: Folding | Part) -> Folding | Part:
    """An item that arrives at a loser, as it is for the winner; revisions of the loser sort before all of the winner's."""
    winner = golden.redirect or golden.canonical
    if isinstance(item, Report | Settled):
        return replace(item, canonical=winner, rev=item.rev - golden.revision)
    if isinstance(item, Absorb):
        held = GOLDEN.decode(bytes(item.state))
        _shift(held, golden.revision)
        return replace(item, canonical=winner, state=msgspec.Raw(encode(held)))
    if isinstance(item, Loaded):
        return replace(item, canonical=winner, rows=tuple(row.at(winner) for row in item.rows))
    return replace(item, canonical=winner)


def busy(golden: Golden, systems: Iterable[str]) -> Iterator[str]:
    """Systems where a wish of it may be under way."""
    for system in systems:
        told = golden.intents.get(system, {}).values()
        ends = golden.endings.get(system, {}).values()
        if any(intent[STATE] == ON_ITS_WAY and intent[REVISION] > 0 for some in told for intent in some) or any(
            one.state == "asked" and one.revision > 0 for one in ends
        ):
            yield system


def withdraw(golden: Golden, systems: Iterable[str], rev: int, correlation: str) -> Iterator[DesiredWrite]:
    """Take back what is under way; nothing is told there until it is known what became of it."""
    for system in systems:
        golden.awaits.setdefault(system, []).append(golden.canonical)
        native = golden.primary(system)
        yield DesiredWrite(system, golden.canonical, golden.entity, rev, native, {}, None, correlation, withdrawn=True)


def _shift(golden: Golden, rev: int) -> None:
    for intents in golden.intents.values():
        for some in intents.values():
            for intent in some:
                intent[REVISION] -= rev
    for endings in golden.endings.values():
        endings.update({native: replace(one, revision=one.revision - rev) for native, one in endings.items()})
