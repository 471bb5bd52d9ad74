"""Matching: which records of two systems are the same, before they have ever been joined.

Promises: pure; the same rows give the same plan in whatever order they come. Equal canonical ids or equal match keys that
nobody else in either system has make a sure pair, if the rest is alike enough; everything else is at most a question for a
person. The work grows with the number of rows, not with its square: only neighbours in some order are compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rapidfuzz import fuzz

from isthmus.codecs.change import Value
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import EntityMapping
from isthmus.config.matching import Matching
from isthmus.tables.identity import match_keys

WINDOW = 10  # rows of the other system that a row is compared with, in each order
ASKED = 3  # questions a row, the likeliest
LEGAL_FORMS = "ab ag as bv co company corp corporation gmbh inc kg limited llc ltd oy plc sa sarl sas spa srl"
LEGAL = frozenset(LEGAL_FORMS.split(" "))
WORDS = re.compile(r"[^\W_]+")
DIGITS = 7


class Entry(NamedTuple):
    """A record as a scan found it, under canonical names; `external`: the canonical id that it carries;
    `linked`: the whole of it, as merge takes it in."""

    native_id: str
    fields: Mapping[str, Value]
    external: str | None = None
    linked: Linked | None = None


class Likeness(NamedTuple):
    """How alike two records are in one field, from 0 to 1."""

    field: str
    left: Value
    right: Value
    score: float

    def __str__(self) -> str:
        return f"{self.field}: {self.left!r} and {self.right!r}, {self.score:.2f}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records that are one, or may be. `by`: the external id, a match key, or likeness alone."""

    left: Entry
    right: Entry
    score: float
    by: str
    why: tuple[Likeness, ...] = ()


@dataclass(slots=True)
class Plan:
    """What is linked, what a person is asked, and the records of either side that stand alone."""

    sure: list[Pair] = field(default_factory=list)
    asked: list[Pair] = field(default_factory=list)
    left: list[Entry] = field(default_factory=list)
    right: list[Entry] = field(default_factory=list)


def plan(mapping: EntityMapping, left: Sequence[Entry], right: Sequence[Entry]) -> Plan:
    """Match the records of two systems."""
    matching = mapping.matching
    left, right = (sorted(some, key=lambda one: one.native_id) for some in (left, right))
    found, paired_left, paired_right = Plan(), set[str](), set[str]()
    doubtful: list[Pair] = []
    for pair in _by_keys(mapping, left, right):
        if pair.left.native_id in paired_left or pair.right.native_id in paired_right:
            continue
        if pair.by == EXTERNAL_ID or (pair.by and pair.score >= matching.sure):
            found.sure.append(pair)
            paired_left.add(pair.left.native_id)
            paired_right.add(pair.right.native_id)
        else:
            doubtful.append(pair)
    rest = [one for one in left if one.native_id not in paired_left]
    others = [one for one in right if one.native_id not in paired_right]
    candidates = [*doubtful, *(pair for pair in _alike(matching, rest, others) if pair.score >= matching.maybe)]
    found.asked = list(_likeliest(candidates, paired_left, paired_right))
    asked = {pair.left.native_id for pair in found.asked}, {pair.right.native_id for pair in found.asked}
    found.left = [one for one in rest if one.native_id not in asked[0]]
    found.right = [one for one in others if one.native_id not in asked[1]]
    return found


# -- keys first

EXTERNAL_ID, SHARED = "external id", ""


def _by_keys(mapping: EntityMapping, left: Sequence[Entry], right: Sequence[Entry]) -> Iterator[Pair]:
    """Pairs with an equal canonical id, then those with an equal match key; a key that several of one system share
    proves nothing, and a person is asked of it."""
    for mine, theirs in _equal(left, right, lambda one: [one.external] if one.external else []):
        if len(mine) == len(theirs) == 1:
            yield Pair(mine[0], theirs[0], 1.0, EXTERNAL_ID)
    shared: list[Pair] = []
    for mine, theirs in _equal(left, right, lambda one: match_keys(mapping, one.fields)):
        by = _named(mapping, mine[0]) if len(mine) == len(theirs) == 1 else SHARED
        pairs = [_scored(mapping.matching, a, b, by, keyed=True) for a in mine[:ASKED] for b in theirs[:ASKED]]
        if by:
            yield from pairs
        else:
            shared += pairs
    yield from shared


def _named(mapping: EntityMapping, one: Entry) -> str:
    sets = [names for names in mapping.matching.keys if all(one.fields.get(name) not in (None, "") for name in names)]
    return ", ".join(dict.fromkeys("+".join(names) for names in sets))


def _equal(left: Iterable[Entry], right: Iterable[Entry], keys: object) -> Iterator[tuple[list[Entry], list[Entry]]]:
    by_key: dict[object, tuple[list[Entry], list[Entry]]] = defaultdict(lambda: ([], []))
    for side, some in enumerate((left, right)):
        for one in some:
            for key in keys(one):  # type: ignore[operator]
                by_key[key][side].append(one)
    yield from (sides for sides in by_key.values() if sides[0] and sides[1])


# -- likeness


def _alike(matching: Matching, left: Sequence[Entry], right: Sequence[Entry]) -> Iterator[Pair]:
    """Every pair that stands close together in some order: by a field's text, and by its words in order of the alphabet."""
    seen: set[tuple[str, str]] = set()
    for name in matching.fuzzy:
        for order in (plain, sorted_words):
            for mine, theirs in _neighbours(name, order, left, right):
                key = (mine.native_id, theirs.native_id)
                if key not in seen:
                    seen.add(key)
                    yield _scored(matching, mine, theirs, SHARED, keyed=False)


def _neighbours(
    name: str, order: object, left: Sequence[Entry], right: Sequence[Entry]
) -> Iterator[tuple[Entry, Entry]]:
    placed = [
        (text, side, one)
        for side, some in enumerate((left, right))
        for one in some
        if (text := order(one.fields.get(name)))  # type: ignore[operator]
    ]
    placed.sort(key=lambda place: (place[0], place[1], place[2].native_id))
    recent: tuple[list[Entry], list[Entry]] = ([], [])
    for _, side, one in placed:
        for other in recent[1 - side][-WINDOW:]:
            yield (one, other) if side == 0 else (other, one)
        recent[side].append(one)
        del recent[side][:-WINDOW]


def _scored(matching: Matching, left: Entry, right: Entry, by: str, *, keyed: bool) -> Pair:
    """How alike two records are: the mean over the fields that both have, by weight. An equal key weighs as much as all
    of them together; what is known of less than half of the weight counts as little as half."""
    why = [
        Likeness(name, left.fields[name], right.fields[name], alike(left.fields[name], right.fields[name]))
        for name in matching.fuzzy
        if left.fields.get(name) not in (None, "") and right.fields.get(name) not in (None, "")
    ]
    whole = sum(matching.fuzzy.values())
    told = sum(matching.fuzzy[one.field] for one in why)
    likeness = sum(matching.fuzzy[one.field] * one.score for one in why)
    mean = likeness / (told if keyed else max(told, whole / 2)) if told else float(keyed)
    return Pair(left, right, round((1 + mean) / 2 if keyed else mean, 4), by, tuple(why))


def alike(one: Value, other: Value) -> float:
    """How alike two values are, from 0 to 1: numbers by their last digits, texts by their words in any order."""
    mine, theirs = plain(one), plain(other)
    if mine == theirs:
        return 1.0
    if mine.isdigit() and theirs.isdigit():
        same = mine[-DIGITS:] == theirs[-DIGITS:] and min(len(mine), len(theirs)) >= DIGITS
        return 1.0 if same else 0.0
    return float(fuzz.token_sort_ratio(mine, theirs)) / 100


def plain(value: Value) -> str:
    """A value without case, accents, punctuation and legal forms; of what is digits for the most part, the digits."""
    text = unicodedata.normalize("NFKD", str("" if value is None else value)).casefold()
    digits = "".join(one for one in text if one.isdigit())
    if len(digits) >= DIGITS and not any(one.isalpha() for one in text):
        return digits
    words = WORDS.findall("".join(one for one in text if not unicodedata.combining(one)))
    return " ".join([word for word in words if word not in LEGAL] or words)


def sorted_words(value: Value) -> str:
    """The words of a value in the order of the alphabet; digits from their end."""
    text = plain(value)
    return text[::-1] if text.isdigit() else " ".join(sorted(text.split()))


def _likeliest(pairs: Iterable[Pair], left: set[str], right: set[str]) -> Iterator[Pair]:
    """The questions worth asking: a few a record, none of a record that is linked."""
    asked: dict[tuple[int, str], int] = defaultdict(int)
    seen: set[tuple[str, str]] = set()
    for pair in sorted(pairs, key=lambda pair: (-pair.score, pair.left.native_id, pair.right.native_id)):
        mine, theirs = pair.left.native_id, pair.right.native_id
        if mine in left or theirs in right or (mine, theirs) in seen or max(asked[0, mine], asked[1, theirs]) >= ASKED:
            continue
        seen.add((mine, theirs))
        asked[0, mine] += 1
        asked[1, theirs] += 1
        yield pair
