"""Echoes: is what a system says of a field our own write coming back, by which layer is it known, and does it go round?

Promises: pure; each layer and each near-miss is counted by its name. A value that answers our writes again and again, each
time soon after the last by the systems' own clocks, is a runaway: what would be written of it next is to be a dead letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from isthmus.codecs.change import Value
from isthmus.codecs.linked import Linked
from isthmus.tables.folded import Folded
from isthmus.tables.golden import DesiredWrite, Golden
from isthmus.tables.intents import VALUE, resolve
from isthmus.tables.precedence import same

ECHO = "echo_"
# By our tag and among what was told; among what was told; a read that finds what a report told of; nothing came of it.
BY_TAG, BY_INTENT, BY_REPORT, NOOP = "echo_by_tag", "echo_by_intent", "echo_by_report", "echo_noop"
# It came by our tag and is nothing that was told; it is what was told, and the system says that it was somebody else.
MISSED_TAG, MISSED_VALUE = "echo_missed_tag", "echo_missed_value"
RUNAWAY = "echo_runaway"
HOPS = 20
WITHIN_SECONDS = 60.0


def ours(golden: Golden, change: Linked, name: str, value: Value, layers: dict[str, int]) -> bool:
    """Is this value of a field, of which the system was told something, our own? `layers` counts by what that was known."""
    intents = golden.intents[change.system]
    told = intents[name]
    last = told[-1][VALUE] if told else value
    equal = change.tagged is False and any(same(intent[VALUE], value) for intent in told)
    if resolve(intents, name, value, tagged=change.tagged):
        count(layers, BY_TAG if change.tagged else BY_INTENT)
        return True
    if change.tagged or equal:
        count(layers, MISSED_TAG if change.tagged else MISSED_VALUE)
    if not same(last, value) and hop(golden, f"{change.system}/{name}", change.changed_at) > HOPS:
        count(layers, RUNAWAY)
    return False


def hop(golden: Golden, place: str, when: str) -> int:
    """A system contradicts what it was told last: how often in a row, each soon after the one before?"""
    before = golden.hops.get(place)
    number = before[0] + 1 if before is not None and _soon(before[1], when) else 1
    golden.hops[place] = (number, when)
    return number


def _soon(before: str, when: str) -> bool:
    try:
        apart = datetime.fromisoformat(when) - datetime.fromisoformat(before)
        return abs(apart.total_seconds()) <= WITHIN_SECONDS
    except (ValueError, TypeError):
        return False  # it does not tell when


def noted(folded: Folded, change: Linked, layers: dict[str, int], *, nothing_new: bool) -> Folded:
    """What a change came to, with the layers that knew it, and without the writes that would carry on what went round."""
    if not nothing_new and folded.event is None and not folded.writes and folded.outcome != "parked":
        count(layers, NOOP)
    if RUNAWAY in layers:
        folded.writes = halted(folded.state, change, folded.writes)
    folded.echoes = layers
    return folded


def halted(golden: Golden, change: Linked, writes: Sequence[DesiredWrite]) -> tuple[DesiredWrite, ...]:
    """The writes after a change that ran away: those that would carry on what went round are not to be made."""
    prefix = f"{change.system}/"
    round_ = {
        place.removeprefix(prefix)
        for place, (number, when) in golden.hops.items()
        if number > HOPS and when == change.changed_at and place.startswith(prefix)
    }
    return tuple(one if round_.isdisjoint(one.fields) else replace(one, runaway=True) for one in writes)


def count(layers: dict[str, int], layer: str, number: int = 1) -> None:
    """Count values that a layer knew."""
    layers[layer] = layers.get(layer, 0) + number
