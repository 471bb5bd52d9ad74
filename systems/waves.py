"""Writes that refer to each other: in which order they go, and which belong together.

Promises: pure; every write is in exactly one wave, after those that make what it refers to, and in exactly one family.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.systems.protocol import Write


def waves(writes: Sequence[Write]) -> list[list[int]]:
    """The writes' numbers, those that others refer to first; in a circle one has to go first all the same."""
    makers = _makers(writes)
    depths: dict[int, int] = {}

    def depth(number: int) -> int:
        if number not in depths:
            depths[number] = 0
            named = (makers.get((to.object, to.external_id)) for to in writes[number].references.values())
            depths[number] = max((depth(one) + 1 for one in named if one is not None), default=0)
        return depths[number]

    found: dict[int, list[int]] = {}
    for number in range(len(writes)):
        found.setdefault(depth(number), []).append(number)
    return [found[one] for one in sorted(found)]


def families(writes: Sequence[Write]) -> list[list[int]]:
    """The writes' numbers, each with what it refers to and what refers to it; within one as in the waves."""
    makers, heads = _makers(writes), list(range(len(writes)))

    def head(number: int) -> int:
        while heads[number] != number:
            number = heads[number]
        return number

    for number, one in enumerate(writes):
        for to in one.references.values():
            maker = makers.get((to.object, to.external_id))
            if maker is not None:
                heads[head(number)] = head(maker)
    found: dict[int, list[int]] = {}
    for number in (one for wave in waves(writes) for one in wave):
        found.setdefault(head(number), []).append(number)
    return list(found.values())


def _makers(writes: Sequence[Write]) -> dict[tuple[str, str], int]:
    """Which write makes the record of an object's external id, where it is not there."""
    return {(one.object, one.external_id): n for n, one in enumerate(writes) if one.record_id is None}
