"""SOQL as the org understands it, turned into SQLite's SQL: one object, conditions, order, limit, COUNT().

Promises: what it does not understand is refused as MALFORMED_QUERY or INVALID_FIELD, never guessed at; texts compare
without regard to case, ids by their first 15 characters, as in a real org.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isthmus.simulators.salesforce.faults import Refused, refused
from isthmus.simulators.salesforce.ids import to18
from isthmus.simulators.salesforce.schema import Field, Object

WORD = re.compile(r"\s*('(?:[^'\\]|\\.)*'|[<>!]=|[=<>(),]|[^\s=<>!(),']+)")
ESCAPED = re.compile(r"\\(.)")
OPERATORS = {"=", "!=", "<", "<=", ">", ">=", "LIKE"}
EXTRA = {"IsDeleted": Field("IsDeleted", "boolean"), "MasterRecordId": Field("MasterRecordId", "reference")}


@dataclass(frozen=True)
class Query:
    """A query understood: `fields` None is COUNT()."""

    object: str
    fields: tuple[str, ...] | None
    sql: str
    values: tuple[Any, ...]


def understand(text: str, object_of: Callable[[str], Object | None], *, all_rows: bool) -> Query:
    """The SQL for a query; `all_rows` includes the recycle bin."""
    return _Parser(text, object_of, all_rows).query()


def _words(text: str) -> Iterator[str]:
    place = 0
    while match := WORD.match(text, place):
        yield match[1]
        place = match.end()
    if text[place:].strip():
        raise malformed(text[place:])


def malformed(what: str) -> Refused:
    """400 MALFORMED_QUERY."""
    return refused(400, "MALFORMED_QUERY", f"unexpected token: {what}")


class _Parser:
    def __init__(self, text: str, object_of: Callable[[str], Object | None], all_rows: bool) -> None:
        self._words = list(_words(text))
        self._object_of, self._all_rows = object_of, all_rows
        self._values: list[Any] = []

    def query(self) -> Query:
        self._expect("SELECT")
        names = self._names()
        self._expect("FROM")
        self._one = self._object(self._next())
        wanted = None if names == ["COUNT()"] else tuple(self._field(name).name for name in names)
        conditions = [] if self._all_rows else ['"IsDeleted" = 0']
        if self._take("WHERE"):
            conditions.append(self._either())
        where = f"WHERE {' AND '.join(f'({one})' for one in conditions)}" if conditions else ""
        order, limit = self._order(), self._limit()
        if self._words:
            raise malformed(self._words[0])
        columns = "*" if wanted is None else ", ".join(f'"{name}"' for name in dict.fromkeys(("Id", *wanted)))
        sql = f'SELECT {columns} FROM "{self._one.name}" {where} {order} {limit}'
        return Query(self._one.name, wanted, sql, tuple(self._values))

    # -- words

    def _peek(self) -> str:
        return self._words[0].upper() if self._words else ""

    def _next(self) -> str:
        if not self._words:
            raise malformed("<EOF>")
        return self._words.pop(0)

    def _take(self, *wanted: str) -> bool:
        if [word.upper() for word in self._words[: len(wanted)]] != list(wanted):
            return False
        del self._words[: len(wanted)]
        return True

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            raise malformed(self._peek() or "<EOF>")

    # -- parts

    def _names(self) -> list[str]:
        if self._take("COUNT", "(", ")"):
            return ["COUNT()"]
        names = [self._next()]
        while self._take(","):
            names.append(self._next())
        return names

    def _object(self, name: str) -> Object:
        one = self._object_of(name)
        if one is None:
            raise refused(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.")
        return one

    def _field(self, name: str) -> Field:
        spec = self._one.fields.get(name) or EXTRA.get(name)
        if spec is None:
            raise refused(400, "INVALID_FIELD", f"No such column '{name}' on entity '{self._one.name}'.")
        return spec

    def _order(self) -> str:
        if not self._take("ORDER", "BY"):
            return "ORDER BY rowid"
        name = self._field(self._next()).name
        way = "DESC" if self._take("DESC") else "ASC"
        self._take("ASC")
        last = self._take("NULLS", "LAST")
        self._take("NULLS", "FIRST")
        return f'ORDER BY "{name}" {way} NULLS {"LAST" if last else "FIRST"}'

    def _limit(self) -> str:
        if not self._take("LIMIT"):
            return ""
        number = self._next()
        if not number.isdecimal():
            raise malformed(number)
        return f"LIMIT {number}"

    # -- conditions

    def _either(self) -> str:
        parts = [self._both()]
        while self._take("OR"):
            parts.append(self._both())
        return " OR ".join(parts)

    def _both(self) -> str:
        parts = [self._one_condition()]
        while self._take("AND"):
            parts.append(self._one_condition())
        return " AND ".join(parts)

    def _one_condition(self) -> str:
        if self._take("NOT"):
            return f"NOT ({self._one_condition()})"
        if self._take("("):
            inner = self._either()
            self._expect(")")
            return f"({inner})"
        return self._comparison(self._field(self._next()))

    def _comparison(self, spec: Field) -> str:
        column = f'"{spec.name}"' + ("" if spec.type in ("id", "reference") else " COLLATE NOCASE")
        negated = self._take("NOT")
        if self._take("IN"):
            return f"{column} {'NOT ' if negated else ''}IN ({self._list(spec)})"
        operator = self._next().upper()
        if operator not in OPERATORS or negated:
            raise malformed(operator)
        value = self._value(spec)
        if value is None:
            return f"{column} IS {'NOT ' if operator == '!=' else ''}NULL"
        self._values.append(value)
        return f"{column} IS NOT ?" if operator == "!=" else f"{column} {operator} ?"

    def _list(self, spec: Field) -> str:
        self._expect("(")
        found = [self._value(spec)]
        while self._take(","):
            found.append(self._value(spec))
        self._expect(")")
        self._values += found
        return ", ".join("?" * len(found))

    def _value(self, spec: Field) -> Any:
        word = self._next()
        quoted = word.startswith("'")
        if word.upper() == "NULL":
            return None
        if spec.type in ("int", "currency", "double", "boolean"):
            return _number(word)
        if spec.type in ("datetime", "date"):
            return _moment(spec, word)
        if not quoted:
            raise malformed(word)
        text = ESCAPED.sub(r"\1", word[1:-1])
        return to18(text) if spec.type in ("id", "reference") else text


def _number(word: str) -> float:
    if word.upper() in ("TRUE", "FALSE"):
        return int(word.upper() == "TRUE")
    try:
        return float(word)
    except ValueError:
        raise malformed(word) from None


def _moment(spec: Field, word: str) -> str:
    try:
        at = datetime.fromisoformat(word)
    except ValueError:
        message = f"value of filter criterion for field '{spec.name}' must be of type dateTime"
        raise refused(400, "INVALID_FIELD", message) from None
    if spec.type == "date":
        return at.date().isoformat()
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
