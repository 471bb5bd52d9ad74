"""Intents: what a system was told and has not been heard to hold yet, so that our echo is known when it comes.

Promises: a value that is among a field's intents when it comes back is ours, and settles all that were told before it;
any other value is an opinion, after which only what is still on its way can be ours.
"""

from __future__ import annotations

from isthmus.codecs.change import Value
from isthmus.tables.precedence import same

KEPT = 16
# Per field, oldest first: [value, revision that asked for it, was it heard or reported].
Intent = list[Value]
Intents = dict[str, list[Intent]]


def intend(intents: Intents, name: str, value: Value, revision: int) -> None:
    """Note that a value is about to be written."""
    told = intents.setdefault(name, [])
    if not told or not same(told[-1][0], value):
        told.append([value, revision, False])
        del told[:-KEPT]


def newest(intents: Intents, name: str) -> Intent | None:
    """What was told last."""
    told = intents.get(name)
    return told[-1] if told else None


def on_its_way(intents: Intents, name: str) -> bool:
    """Was something told of this field that was neither heard nor reported yet?"""
    return any(not intent[2] for intent in intents.get(name, ()))


def resolve(intents: Intents, name: str, value: Value) -> bool:
    """A system says this of a field: is it what we told it?"""
    told = intents.get(name, [])
    for place, intent in enumerate(told):
        if same(intent[0], value):
            intent[2] = True
            del told[:place]
            return True
    while told and told[0][2]:
        del told[0]
    return False


def confirm(intents: Intents, name: str, value: Value, *, gone: bool) -> None:
    """A write of this value was carried out; `gone`: and the system already holds something newer of its own."""
    for intent in intents.get(name, []):
        if same(intent[0], value):
            intent[2] = True
            if gone:
                intents[name].remove(intent)
            return


def refuse(intents: Intents, revision: int) -> None:
    """A write was not carried out: forget what it and the ones it replaced would have set."""
    for told in intents.values():
        told[:] = [intent for intent in told if intent[2] or int(str(intent[1])) > revision]
