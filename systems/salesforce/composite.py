"""Writes that refer to each other, in one call: Composite for few, Composite Graph for more (salesforce.md §4.5).

Promises: a record is written after those it refers to, and refers to the very record that the call wrote; a record that
is refused holds up only those that need it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from isthmus.config.errors import PlatformError, TransientError
from isthmus.systems.http import Answer
from isthmus.systems.plain import chunks
from isthmus.systems.protocol import Written
from isthmus.systems.salesforce import single
from isthmus.systems.salesforce.errors import rest_error
from isthmus.systems.salesforce.session import SLOW, Session
from isthmus.systems.salesforce.wish import Result, Wish, relationship

SUBREQUESTS = 25
GRAPHS, NODES, DEPTH = 75, 500, 15
HALTED = "PROCESSING_HALTED"

Key = tuple[str, str]
Family = list[list[int]]
Places = dict[int, Result]
Wishes = Mapping[int, Wish]


def families(wishes: Wishes) -> list[Family]:
    """The places of writes that belong together because one refers to another, each family by generation, parents first;
    a write that neither refers to another one here nor is referred to is in none."""
    places = {key(wish): place for place, wish in wishes.items()}
    parents = {place: _parents(wish, places) for place, wish in wishes.items()}
    family = {place: {place} for place in wishes}
    for place, above in parents.items():
        for parent in above:
            joined = family[place] | family[parent]
            family |= dict.fromkeys(joined, joined)
    distinct = {min(members): members for members in family.values() if len(members) > 1}
    return [_generations(members, parents) for members in distinct.values()]


def key(wish: Wish) -> Key:
    """What others refer to a write by."""
    return wish.mapping.object, wish.write.external_id


def _parents(wish: Wish, places: Mapping[Key, int]) -> set[int]:
    told = {(to.object, to.external_id) for to in wish.write.references.values()} - {key(wish)}
    return {places[one] for one in told if one in places}


def _generations(members: Iterable[int], parents: Mapping[int, set[int]]) -> Family:
    """Nobody comes before those it refers to; a circle is cut somewhere."""
    left, generations = sorted(members), list[list[int]]()
    while left:
        free = [place for place in left if not parents[place] & set(left)] or left[:1]
        generations.append(free)
        left = [place for place in left if place not in free]
    return generations


async def write(org: Session, wishes: Wishes, together: Sequence[Family]) -> Places:
    """Write families: all that fit into one Composite call go so, larger ones as graphs."""
    results: Places = {}
    small = [members for family in together if len(members := list(chain(*family))) <= SUBREQUESTS]
    for some in _packed(small, SUBREQUESTS, SUBREQUESTS):
        results |= await _composite(org, wishes, some)
    large = [family for family in together if sum(map(len, family)) > SUBREQUESTS]
    # A graph has so many generations at most; later ones find their parents by the external id.
    for first in range(0, max(map(len, large), default=0), DEPTH):
        bands = [members for family in large if (members := list(chain(*family[first : first + DEPTH])))]
        for some in _packed(bands, GRAPHS, NODES):
            results |= await _graphs(org, wishes, some)
    return results


def _packed(families: Iterable[Sequence[int]], most: int, size: int) -> list[list[list[int]]]:
    """Families packed into calls of at most `most` families and `size` writes; one that is larger is cut, and what then
    stands in an earlier call is found by its external id."""
    calls: list[list[list[int]]] = [[]]
    for family in families:
        for part in chunks(family, size):
            if len(calls[-1]) == most or sum(map(len, calls[-1])) + len(part) > size:
                calls.append([])
            calls[-1].append(list(part))
    return [call for call in calls if call]


# -- Composite


async def _composite(org: Session, wishes: Wishes, families: Sequence[Sequence[int]]) -> Places:
    places = [place for family in families for place in family]
    asked = [wishes[place] for place in places]
    calls = subrequests(org, asked)
    for call in calls:
        # Documented for single calls, so each carries our name itself (salesforce.md §4.3).
        call["httpHeaders"] = org.marks
    # Collated requests may be done in another order (salesforce.md §4.5).
    body = {"allOrNone": False, "collateSubrequests": False, "compositeRequest": calls}
    try:
        answer = await org.call("POST", "/composite", json=body, headers=org.marks, timeout=SLOW)
        told = _responses(answer, answer.json(), len(places))
    except PlatformError as fault:
        return {place: single.judged(wishes[place], fault) for place in places}
    return dict(zip(places, map(outcome, asked, told), strict=True))


def subrequests(org: Session, wishes: Sequence[Wish]) -> list[dict[str, Any]]:
    """Each write as a call of its own; what refers to an earlier one does so by that one's answer."""
    base = f"/services/data/v{org.config.api_version}"
    names: dict[Key, str] = {}
    calls = []
    for number, wish in enumerate(wishes):
        calls.append(
            {
                "method": "PATCH",
                "url": base + single.path(wish),
                "referenceId": f"r{number}",
                "body": _body(wish, names),
            }
        )
        names[key(wish)] = wish.write.record_id or f"@{{r{number}.id}}"
    return calls


def _body(wish: Wish, names: Mapping[Key, str]) -> dict[str, Any]:
    body = wish.body()
    for field, to in wish.write.references.items():
        if name := names.get((to.object, to.external_id)):
            del body[relationship(field)]
            body[field] = name
    return body


def _responses(answer: Answer, told: Any, number: int) -> list[Mapping[str, Any]]:
    if answer.status != 200:
        raise rest_error(answer.status, told, answer.retry_after)
    match told:
        case {"compositeResponse": [*responses]} if len(responses) == number:
            return list(responses)
    raise TransientError("Salesforce answers for other records than it was asked for", code="ANSWER")


def outcome(wish: Wish, response: Mapping[str, Any]) -> Result:
    """One subrequest's answer."""
    status, body = int(response.get("httpStatusCode", 500)), response.get("body")
    match status, body:
        case 200 | 201, {"id": str(record_id), **rest}:
            return Written(record_id, None, bool(rest.get("created", status == 201)))
        case 204, _ if wish.write.record_id is not None:
            return Written(wish.write.record_id, None, created=False)
    return single.refusal(wish, status, body)


# -- Graph


async def _graphs(org: Session, wishes: Wishes, families: Sequence[Sequence[int]]) -> Places:
    """Each family as a graph, which is done as a whole or not at all; where it is not, it is tried again without what
    was refused and what needs that."""
    results: Places = {}
    left = [list(family) for family in families]
    while left:
        told = await _call(org, wishes, left)
        results |= told
        left = [kept for family in left if (kept := _without(wishes, family, results))]
    return results


async def _call(org: Session, wishes: Wishes, families: Sequence[Sequence[int]]) -> Places:
    graphs = [
        {"graphId": str(number), "compositeRequest": subrequests(org, [wishes[place] for place in family])}
        for number, family in enumerate(families)
    ]
    try:
        answer = await org.call("POST", "/composite/graph", json={"graphs": graphs}, headers=org.marks, timeout=SLOW)
        return _settled(wishes, families, answer)
    except PlatformError as fault:
        return {place: single.judged(wishes[place], fault) for family in families for place in family}


def _settled(wishes: Wishes, families: Sequence[Sequence[int]], answer: Answer) -> Places:
    told = answer.json()
    if answer.status != 200 or not isinstance(told, dict) or len(told.get("graphs", ())) != len(families):
        raise rest_error(answer.status if answer.status != 200 else 502, told, answer.retry_after)
    results: Places = {}
    for family, graph in zip(families, told["graphs"], strict=True):
        responses = _responses(answer, graph.get("graphResponse"), len(family))
        results |= {place: outcome(wishes[place], one) for place, one in zip(family, responses, strict=True)}
    return results


def _without(wishes: Wishes, family: Sequence[int], results: Places) -> list[int]:
    """What to try again of a family: all that was only undone, unless it needs a record that was refused."""
    causes = [place for place in family if _refused(results[place]) and not _halted(results[place])]
    if not causes:
        return []
    refused = {key(wishes[place]) for place in causes}
    kept: list[int] = []
    for place in family:
        needed = {(to.object, to.external_id) for to in wishes[place].write.references.values()}
        if place not in causes and not needed & refused:
            kept.append(place)
        else:
            refused.add(key(wishes[place]))
    return kept


def _refused(result: Result) -> bool:
    return isinstance(result, PlatformError)


def _halted(result: Result) -> bool:
    return isinstance(result, PlatformError) and result.code == HALTED
