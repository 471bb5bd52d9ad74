"""Intents: what a system was told and has not been heard to hold yet, so that our echo is known when it comes.

Promises: a value that is among a field's intents when it comes back is ours, and settles all that were told before it;
any other value is an opinion, after which only what is still on its way can be ours.
"""

from __future__ import annotations

from typing import Any

from isthmus.codecs.change import Value
from isthmus.tables.precedence import same

KEPT = 16
# What became of an intent: still on its way; carried out or heard; replaced by a newer write before anybody heard of it.
ON_ITS_WAY, SETTLED, REPLACED = 0, 1, 2
VALUE, REVISION, STATE, CONTESTED = 0, 1, 2, 3
# Per field, oldest first: [value, revision that asked for it, state, did somebody else set the field meanwhile?].
Intents = dict[str, list[list[Any]]]


def intend(intents: Intents, name: str, value: Value, revision: int) -> None:
    """Note that a value is about to be written."""
    told = intents.setdefault(name, [])
    if not asked(intents, name, value):
        told.append([value, revision, ON_ITS_WAY, False])
        del told[:-KEPT]


def asked(intents: Intents, name: str, value: Value) -> bool:
    """Is this what was told last? What a golden record told that has become one with this one (its revisions are below
    zero) was told another record."""
    told = intents.get(name)
    if not told:
        return False
    for intent in reversed(told):
        if intent[STATE] != REPLACED and intent[REVISION] >= 0:
            return same(intent[VALUE], value)
    return False


def on_its_way(intents: Intents, name: str) -> bool:
    """Was something told of this field that was neither heard nor reported yet?"""
    told = intents.get(name)
    if not told:
        return False
    # The newest first, since it most likely is.
    return any(intent[STATE] == ON_ITS_WAY for intent in reversed(told))


def resolve(intents: Intents, name: str, value: Value, *, tagged: bool | None) -> bool:
    """A system says this of a field: is it what we told it? `tagged`: whether it says that the change came by our hand,
    None where it does not tell. Somebody else may have typed what we told; and a value that was replaced is ours only by
    its tag (its write may have been carried out by a process that died before it could say so)."""
    told = intents.get(name, [])
    for place, intent in enumerate(told):
        if tagged is not False and same(intent[VALUE], value) and (tagged or intent[STATE] != REPLACED):
            intent[STATE] = SETTLED
            del told[:place]
            return True
    told[:] = [intent for intent in told if intent[STATE] != SETTLED]
    for intent in told:
        intent[CONTESTED] = True
    return False


def confirm(intents: Intents, name: str, value: Value, revision: int, *, current: bool) -> None:
    """A write of this value was carried out. `current`: the system is read as it is, so nothing older is heard of any
    more. Elsewhere an echo may be still to come, or has come already and settled it; and where somebody else set the
    field meanwhile nobody knows who came last, so the value does not count as told and will be told again."""
    told = intents.setdefault(name, [])
    before = [intent for intent in told if intent[REVISION] <= revision]
    after = told[len(before) :]
    if current:
        for intent in after:  # heard of before this write, so it was somebody else who typed it
            intent[STATE] = ON_ITS_WAY
        intents[name] = [[value, revision, SETTLED, False], *after]
    else:
        for intent in [intent for intent in before if same(intent[VALUE], value)][-1:]:
            intent[STATE] = REPLACED if intent[CONTESTED] else SETTLED


def forget(intents: Intents, name: str, value: Value) -> None:
    """The system already holds something newer of its own: this value is not to be waited for."""
    told = intents.get(name, [])
    told[:] = [intent for intent in told if intent[STATE] == ON_ITS_WAY or not same(intent[VALUE], value)]


def replace_before(intents: Intents, revision: int) -> None:
    """A write was carried out: what older ones told and nobody reported was replaced by it."""
    for told in intents.values():
        for intent in told:
            if intent[STATE] == ON_ITS_WAY and intent[REVISION] < revision:
                intent[STATE] = REPLACED


def refuse(intents: Intents, revision: int) -> None:
    """A write was not carried out, nor were the ones it replaced."""
    for told in intents.values():
        told[:] = [intent for intent in told if intent[STATE] != ON_ITS_WAY or intent[REVISION] > revision]
