"""$filter, $select, $orderby as F&O understands them: no `in` or `has`, enums by their full name (dynamics.md §5.3).

Promises: text compares without regard to case; what is not understood is a Fault 400, never a wrong answer.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial, reduce
from typing import Any

from isthmus.simulators.bounds import Bound, both, either, equal
from isthmus.simulators.operations import faults
from isthmus.simulators.operations.schema import NAMESPACE, Entity

Values = Mapping[str, Any]
Predicate = Callable[[Values], bool]
TOKEN = re.compile(
    r"\s*(?:(?P<enum>[A-Za-z_][\w.]*)'(?P<symbol>\w*)'|(?P<text>'(?:[^']|'')*')"
    r"|(?P<date>\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?)|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_]\w*)|(?P<mark>[(),]))"
)
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
FUNCTIONS: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda value, part: part in value,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """`test` says whether it is true; it can only be so within `bound`."""

    test: Predicate
    bound: Bound | None = None


def parse_filter(entity: Entity, expression: str) -> Filter:
    """A $filter expression understood."""
    parser = _Parser(entity, expression)
    found = parser.either()
    parser.done()
    return found


def select(entity: Entity, names: str | None) -> list[str]:
    """The columns of a $select, all where there is none."""
    if not names:
        return list(entity.columns)
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        if name not in entity.columns:
            raise faults.no_property(entity.public, name)
    return wanted


def order(entity: Entity, expression: str | None, rows: list[Any]) -> list[Any]:
    """Rows in the order asked for, else as they are."""
    for part in reversed((expression or "").split(",")):
        if words := part.split():
            (name,) = select(entity, words[0])
            rows = sorted(rows, key=partial(_by, name), reverse=words[1:] == ["desc"])
    return rows


def _by(name: str, row: Any) -> Any:
    return comparable(row.values[name])


def comparable(value: Any) -> Any:
    """The form in which the database compares."""
    return value.casefold() if isinstance(value, str) else Decimal(str(value))


class _Parser:
    def __init__(self, entity: Entity, source: str) -> None:
        self._entity = entity
        self._source = source
        self._tokens: list[tuple[str, str]] = []
        at, end = 0, len(source.rstrip())
        while at < end:
            match = TOKEN.match(source, at)
            if match is None or match.lastgroup is None:
                raise faults.invalid(f"Syntax error at position {at} in '{source}'.")
            kind = "enum" if match["enum"] else match.lastgroup
            self._tokens.append((kind, f"{match['enum']}'{match['symbol']}" if kind == "enum" else match[kind]))
            at = match.end()
        self._at = 0

    def either(self) -> Filter:
        found = [self._both()]
        while self._accept("or"):
            found.append(self._both())
        bound = reduce(either, (one.bound for one in found))
        return Filter(lambda values: any(one.test(values) for one in found), bound)

    def done(self) -> None:
        if self._at != len(self._tokens):
            raise self._lost()

    def _both(self) -> Filter:
        found = [self._one()]
        while self._accept("and"):
            found.append(self._one())
        bound = reduce(both, (one.bound for one in found))
        return Filter(lambda values: all(one.test(values) for one in found), bound)

    def _one(self) -> Filter:
        if self._accept("not"):
            inner = self._one().test
            return Filter(lambda values: not inner(values))
        if self._accept("("):
            found = self.either()
            self._expect(")")
            return found
        word = self._take("word")
        return self._function(word) if word in FUNCTIONS else self._comparison(word)

    def _function(self, word: str) -> Filter:
        self._expect("(")
        name = self._column(self._take("word"))
        self._expect(",")
        part = comparable(self._literal(self._entity.columns[name].kind, "eq"))
        self._expect(")")
        return Filter(lambda values: FUNCTIONS[word](comparable(values[name]), part))

    def _comparison(self, word: str) -> Filter:
        name, how = self._column(word), self._take("word")
        if how not in COMPARISONS:
            raise faults.invalid(f"The operator '{how}' is not supported in '{self._source}'.")
        wanted = comparable(self._literal(self._entity.columns[name].kind, how))
        bound = equal(name, wanted) if how == "eq" and self._entity.columns[name].kind == "text" else None
        return Filter(lambda values: COMPARISONS[how](comparable(values[name]), wanted), bound)

    def _column(self, name: str) -> str:
        if name not in self._entity.columns:
            raise faults.no_property(self._entity.public, name)
        return name

    def _literal(self, kind: str, how: str) -> Any:
        if self._at >= len(self._tokens):
            raise self._lost()
        found, told = self._tokens[self._at]
        self._at += 1
        expected = {"text": "text", "enum": "enum", "date": "date", "moment": "date"}.get(kind, "number")
        if found != expected or (kind == "enum" and (how not in ("eq", "ne") or not told.startswith(f"{NAMESPACE}."))):
            raise faults.invalid("A binary operator with incompatible types was detected.")
        if found == "text":
            return told[1:-1].replace("''", "'")
        if found == "enum":
            return told.partition("'")[2]
        return told if found == "date" else Decimal(told)

    def _take(self, kind: str) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != kind:
            raise self._lost()
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _accept(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] in (("word", word), ("mark", word)):
            self._at += 1
            return True
        return False

    def _expect(self, mark: str) -> None:
        if not self._accept(mark):
            raise self._lost()

    def _lost(self) -> faults.Fault:
        return faults.invalid(f"Syntax error in filter '{self._source}'.")
