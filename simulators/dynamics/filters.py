"""$filter, $orderby: the part of OData that clients of Dataverse use, as predicates over named values, with their bounds.

Promises: text compares without regard to case, as the database does; a column that is not there is a Fault
(0x80060888); syntax that is not understood is a Fault 400, never a wrong answer.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from isthmus.simulators.bounds import Bound, both, either, equal
from isthmus.simulators.dynamics import faults
from isthmus.simulators.dynamics.values import comparable, instant

Get = Callable[[str], Any]
Predicate = Callable[[Get], bool]

TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<date>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?(?![\w-]))"
    r"|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<word>[A-Za-z_][\w.]*)|(?P<mark>[(),=\[\]]))"
)
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
TEXT_FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda value, part: part in value,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
Token = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Filter:
    """`test` says whether it is true; it can only be so within `bound`."""

    test: Predicate
    bound: Bound | None = None


def parse_filter(expression: str) -> Filter:
    """A $filter expression understood."""
    parser = _Parser(_tokens(expression), expression)
    found = parser.either()
    parser.done()
    return found


def parse_order(expression: str) -> list[tuple[str, bool]]:
    """The columns of an $orderby and whether each descends."""
    parts = (part.split() for part in expression.split(","))
    return [(part[0], part[1:] == ["desc"]) for part in parts if part]


def order_key(value: Any) -> tuple[bool, Any]:
    """Sorts nulls first, text without regard to case."""
    return (value is not None, comparable(value))


def _tokens(expression: str) -> list[Token]:
    found: list[Token] = []
    position, end = 0, len(expression.rstrip())
    while position < end:
        match = TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise faults.invalid(f"Syntax error at position {position} in '{expression}'.")
        found.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return found


class _Parser:
    def __init__(self, tokens: list[Token], source: str) -> None:
        self._tokens = tokens
        self._source = source
        self._next = 0

    def either(self) -> Filter:
        found = self._both()
        while self._accept("or"):
            found = _or(found, self._both())
        return found

    def done(self) -> None:
        if self._next != len(self._tokens):
            raise self._lost()

    def _both(self) -> Filter:
        found = self._one()
        while self._accept("and"):
            found = _and(found, self._one())
        return found

    def _one(self) -> Filter:
        if self._accept("not"):
            inner = self._one().test
            return Filter(lambda get: not inner(get))
        if self._accept("("):
            found = self.either()
            self._expect(")")
            return found
        kind, word = self._take()
        if kind != "word":
            raise self._lost()
        if word in TEXT_FUNCTIONS:
            return self._text_function(word)
        if word in ("Microsoft.Dynamics.CRM.In", "Microsoft.Dynamics.CRM.NotIn"):
            return self._membership(negated=word.endswith("NotIn"))
        return self._comparison(word)

    def _comparison(self, name: str) -> Filter:
        how, wanted = self._take()[1], comparable(self._value())
        if how == "eq":
            return Filter(lambda get: comparable(get(name)) == wanted, equal(name, wanted))
        if how == "ne":
            return Filter(lambda get: comparable(get(name)) != wanted)
        if how not in COMPARISONS:
            raise self._lost()
        compare = COMPARISONS[how]
        return Filter(lambda get: (value := get(name)) is not None and _compared(compare, comparable(value), wanted))

    def _text_function(self, word: str) -> Filter:
        test = TEXT_FUNCTIONS[word]
        self._expect("(")
        name = self._take()[1]
        self._expect(",")
        part = str(comparable(self._value()))
        self._expect(")")
        return Filter(lambda get: (value := get(name)) is not None and test(str(comparable(value)), part))

    def _membership(self, *, negated: bool) -> Filter:
        """`In(PropertyName='accountid',PropertyValues=['..','..'])`."""
        for word in ("(", "PropertyName", "="):
            self._expect(word)
        name = str(self._value())
        for word in (",", "PropertyValues", "=", "["):
            self._expect(word)
        wanted = set()
        while not self._accept("]"):
            wanted.add(str(comparable(self._value())))
            self._accept(",")
        self._expect(")")
        bound = None if negated else Bound(name, frozenset(wanted))
        return Filter(lambda get: (_plain(get(name)) in wanted) != negated, bound)

    def _value(self) -> Any:
        kind, text = self._take()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return Decimal(text)
        if kind == "date":
            return instant(text)
        constants = {"null": None, "true": True, "false": False}
        if kind == "guid" or text not in constants:
            return text
        return constants[text]

    def _take(self) -> Token:
        if self._next >= len(self._tokens):
            raise self._lost()
        self._next += 1
        return self._tokens[self._next - 1]

    def _accept(self, word: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next] in (("word", word), ("mark", word)):
            self._next += 1
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise self._lost()

    def _lost(self) -> faults.Fault:
        return faults.invalid(f"Syntax error in filter '{self._source}'.")


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, datetime):
        return None
    return str(comparable(value))


def _compared(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    try:
        return compare(left, right)
    except TypeError:
        raise faults.invalid("A binary operator with incompatible types was detected.") from None


def _and(left: Filter, right: Filter) -> Filter:
    return Filter(lambda get: left.test(get) and right.test(get), both(left.bound, right.bound))


def _or(left: Filter, right: Filter) -> Filter:
    return Filter(lambda get: left.test(get) or right.test(get), either(left.bound, right.bound))
