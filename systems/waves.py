"""The order of writes that refer to each other, for a platform that cannot be told of several at once.

Promises: pure; every write is in exactly one wave, after those that make what it refers to.
"""

from __future__ import annotations

from collections.abc import Sequence

from isthmus.systems.protocol import Write


def waves(writes: Sequence[Write]) -> list[list[int]]:
    """The writes' numbers, those that others refer to first; in a circle one has to go first all the same."""
    makers = {(one.object, one.external_id): n for n, one in enumerate(writes) if one.record_id is None}
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
