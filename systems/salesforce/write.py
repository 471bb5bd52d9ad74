"""Which way writes go to Salesforce: a call each, sObject Collections, Bulk API 2.0, or Composite where they refer.

Promises: one answer a write, in order; what way a write goes changes how soon it is done, never what is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from isthmus.config.errors import PermanentError
from isthmus.config.mapping import SystemMapping
from isthmus.systems.protocol import Write
from isthmus.systems.salesforce import bulk, collections, composite, delete, single
from isthmus.systems.salesforce.session import Session
from isthmus.systems.salesforce.wish import Result, Wish
from isthmus.systems.singly import singly

# A call each, side by side, is as quick as one call for all, and its change event surely bears our name, which is
# documented of single calls and not of Collections (salesforce.md §4.3, §8).
SINGLES = 4

# From here on Salesforce itself advises Bulk API 2.0: a job costs some ten calls and some seconds whatever its size.
BULK = 2000

Places = dict[int, Result]


async def write(org: Session, objects: Mapping[str, SystemMapping], writes: Sequence[Write]) -> list[Result]:
    """Carry out writes of different records."""
    keys = {name: mapping.external_id for name, mapping in objects.items()}
    wishes = {
        place: Wish(objects[write.object], write, keys) for place, write in enumerate(writes) if write.object in objects
    }
    results: Places = {
        place: PermanentError(f"salesforce {write.object} is not mapped", code="UNMAPPED")
        for place, write in enumerate(writes)
        if place not in wishes
    }
    ended = {place: wish for place, wish in wishes.items() if wish.write.delete}
    wishes = {place: wish for place, wish in wishes.items() if place not in ended}
    results |= _placed(ended, await delete.delete(org, list(ended.values()), SINGLES))
    together = composite.families(wishes)
    related = {place for family in together for generation in family for place in generation}
    results |= await composite.write(org, wishes, together)
    results |= await _by_number(org, {place: wish for place, wish in wishes.items() if place not in related})
    return [results[place] for place in range(len(writes))]


async def _by_number(org: Session, wishes: Mapping[int, Wish]) -> Places:
    if len(wishes) <= SINGLES:
        return _placed(wishes, await singly(lambda wish: single.write(org, wish), list(wishes.values())))
    results: Places = {}
    for group in _groups(wishes):
        large = {place: wish for place, wish in group.items() if len(group) >= BULK and bulk.sayable(wish)}
        others = {place: wish for place, wish in group.items() if place not in large}
        results |= _placed(large, await bulk.write(org, list(large.values())))
        results |= _placed(others, await collections.write(org, list(others.values())))
    return results


def _groups(wishes: Mapping[int, Wish]) -> Iterable[Mapping[int, Wish]]:
    """Writes that can go in one call: of one object, and all with their id or all without."""
    groups: dict[tuple[str, bool], dict[int, Wish]] = {}
    for place, wish in wishes.items():
        groups.setdefault((wish.mapping.object, wish.known), {})[place] = wish
    return groups.values()


def _placed(places: Iterable[int], results: Sequence[Result]) -> Places:
    return dict(zip(places, results, strict=True))
