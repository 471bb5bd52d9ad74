"""Rows in SQLite, in memory, as every simulated platform keeps them: tables by key, versions, units of work.

Promises: a value comes back as it went in; every write takes the next number of one sequence, which never goes back; what
leaves `all_or_none` by an exception, or is undone in it, was never there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

STAMP = "#stamp"
Values = dict[str, Any]
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Form:
    """How a kind of value is kept: what SQLite holds for it, and back. Null is null."""

    keep: Callable[[Any], Any]
    tell: Callable[[Any], Any]


TRUTH = Form(int, bool)
Forms = Mapping[str, Form | None]


@dataclass
class Step:
    """One `all_or_none`; `undone`: it leaves nothing behind."""

    undone: bool = False

    def undo(self) -> None:
        """Take back, at its end, all that is done in it."""
        self.undone = True


class Database:
    """All tables of one platform. `stamp` is the number of the last write."""

    def __init__(self, stamp: int = 0) -> None:
        # The server and a test's own thread may both come; never at once, for nothing here awaits.
        self._db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._db.create_function("folded", 1, _folded, deterministic=True)
        self.execute = self._db.execute
        self.stamp = stamp
        self.undone = 0
        self._steps: list[list[tuple[dict[str, Any], str]]] = []

    def next(self) -> int:
        """The next number of the sequence."""
        self.stamp += 1
        return self.stamp

    def table(self, name: str, key: str, forms: Forms, shape: Callable[[int, Values], R]) -> Rows[R]:
        """A new table: its key, all its columns with their forms, and what a row is told as."""
        layout = _Layout(name, key, dict(forms), shape)
        columns = ", ".join(map(quoted, (STAMP, *(one for one in forms if one != key))))
        self.execute(f"CREATE TABLE {quoted(name)} ({quoted(key)} PRIMARY KEY, {columns})")
        return Rows(self, layout, {})

    @contextlib.contextmanager
    def all_or_none(self) -> Iterator[Step]:
        """What is done inside is undone where an exception leaves it, or where that is asked for."""
        step = Step()
        self._steps.append([])
        self.execute("SAVEPOINT work")
        try:
            yield step
        except BaseException:
            step.undo()
            raise
        finally:
            if step.undone:
                self.execute("ROLLBACK TO work")
            self.execute("RELEASE work")
            self._leave(self._steps.pop(), undone=step.undone)

    def wrote(self, told: dict[str, Any], key: str) -> None:
        """A row is written: what was told of it is forgotten where that is undone."""
        if self._steps:
            self._steps[-1].append((told, key))

    def _leave(self, written: list[tuple[dict[str, Any], str]], *, undone: bool) -> None:
        if undone:
            self.undone += 1
            for told, key in written:
                told.pop(key, None)
        elif self._steps:
            self._steps[-1] += written


@dataclass
class _Layout(Generic[R]):
    """`told` remembers what rows were read as, with the stamp that each had: reading all columns anew costs most of a
    request. A stamp is never given twice, so a row that a rollback brings back is told right; and what is told of is there,
    so only a write of anything else, or a removal, can change which keys there are (`comings`)."""

    name: str
    key: str
    forms: dict[str, Form | None]
    shape: Callable[[int, Values], R]
    told: dict[str, tuple[int, R]] = field(default_factory=dict)
    writes: int = 0
    comings: int = 0
    indexed: set[str] = field(default_factory=set)

    @property
    def others(self) -> list[str]:
        return [name for name in self.forms if name != self.key]

    def __post_init__(self) -> None:
        self.indexed.add(quoted(self.key))
        names = [self.key, STAMP, *self.others]
        changes = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in names[1:])
        self.write = (
            f"INSERT INTO {quoted(self.name)} ({', '.join(map(quoted, names))}) VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT ({quoted(self.key)}) DO UPDATE SET {changes}"
        )
        self.kept = [(name, self.forms[name]) for name in self.others]
        # In the order of `SELECT *`: a column that is added comes last in both.
        self.columns = [(self.key, self.forms.get(self.key)), (STAMP, None), *self.kept]


class Rows(Generic[R]):
    """A table's rows by key, oldest first, or those `among` them that have certain values. What is told of a row is not to
    be changed."""

    def __init__(self, database: Database, layout: _Layout[R], among: Mapping[str, Any]) -> None:
        self._database, self._layout, self._among = database, layout, dict(among)
        self._table, self._key = quoted(layout.name), quoted(layout.key)
        self._where = " AND ".join(("TRUE", *(f"{quoted(name)} = {int(value)}" for name, value in among.items())))
        self._keys: tuple[object, list[str]] = (None, [])
        self._found = f'SELECT {self._key}, "{STAMP}" FROM {self._table} WHERE {self._where}'

    def among(self, **values: bool) -> Rows[R]:
        """Those with these values; what is put there has them."""
        return Rows(self._database, self._layout, values)

    def get(self, key: str) -> R | None:
        """The row, or None."""
        rows = self.where(f"{self._key} = ?", (key,))
        return rows[0] if rows else None

    def __getitem__(self, key: str) -> R:
        row = self.get(key)
        if row is None:
            raise KeyError(key)
        return row

    def put(self, key: str, values: Mapping[str, Any]) -> int:
        """Insert or replace, under the next stamp; a column that is not named is null."""
        values, stamp = {**values, **self._among} if self._among else values, self._database.next()
        self._layout.writes += 1
        self._layout.comings += key not in self._layout.told
        self._database.wrote(self._layout.told, key)
        kept = [_kept(form, values.get(name)) for name, form in self._layout.kept]
        self._database.execute(self._layout.write, (key, stamp, *kept))
        return stamp

    def pop(self, key: str) -> R:
        """Take a row out."""
        row = self[key]
        self._layout.writes += 1
        self._layout.comings += 1
        self._database.execute(f"DELETE FROM {self._table} WHERE {self._where} AND {self._key} = ?", (key,))
        self._layout.told.pop(key, None)
        return row

    def __contains__(self, key: object) -> bool:
        found = self._database.execute(f"{self._found} AND {self._key} = ?", (key,))
        return found.fetchone() is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> list[str]:
        """All keys, oldest first; asked for anew only where they may be others."""
        now = (self._layout.comings, self._database.undone)
        if self._keys[0] != now:
            found = self._database.execute(f"SELECT {self._key} FROM {self._table} WHERE {self._where} ORDER BY rowid")
            self._keys = (now, [key for (key,) in found.fetchall()])
        return list(self._keys[1])

    def __len__(self) -> int:
        (number,) = self._database.execute(f"SELECT COUNT(*) FROM {self._table} WHERE {self._where}").fetchone()
        return int(number)

    @property
    def changes(self) -> tuple[int, int]:
        """Another value whenever rows of this table may be others than they were."""
        return self._layout.writes, self._database.undone

    def whole(self) -> list[R]:
        """All of them."""
        return self.where("TRUE", ())

    def having(self, column: str, value: Any) -> list[R]:
        """Those with this value in a column."""
        return self.where(f"{quoted(column)} = ?", (_kept(self._layout.forms[column], value),))

    def any_of(self, expression: str, values: Iterable[str]) -> list[R]:
        """Those for which this expression has one of these values; it gets an index when it is first asked for."""
        if expression not in self._layout.indexed:
            self.index(expression, expression)
        wanted = tuple(values)
        return self.where(f"{expression} IN ({', '.join('?' * len(wanted))})", wanted)

    def since(self, stamp: int) -> list[R]:
        """Those written after this one, in the order of their writing."""
        return self.where(f'"{STAMP}" > ?', (stamp,), order=f'"{STAMP}"')

    def where(self, condition: str, values: Sequence[Any], *, order: str = "rowid") -> list[R]:
        """Those for which this is true in SQL."""
        found = self._database.execute(f"{self._found} AND {condition} ORDER BY {order}", values).fetchall()
        told, held = self._layout.told, []
        for key, stamp in found:
            known = told.get(key)
            held.append(known[1] if known is not None and known[0] == stamp else self._told(key, stamp))
        return held

    def select(self, sql: str, values: Sequence[Any]) -> list[Values]:
        """Rows of a query of this table, with the columns that it names."""
        cursor = self._database.execute(sql, values)
        columns = [(name, self._layout.forms.get(name)) for name, *_ in cursor.description]
        return [_values(columns, row) for row in cursor.fetchall()]

    def add_column(self, name: str, form: Form | None) -> None:
        """A new column, null everywhere."""
        self._database.execute(f"ALTER TABLE {self._table} ADD COLUMN {quoted(name)}")
        self._layout.forms[name] = form
        self._layout.told.clear()
        self._layout.__post_init__()

    def index(self, name: str, *columns: str, unique: bool = False) -> None:
        """An index of columns, or of expressions of them; sqlite3.IntegrityError where it cannot be unique."""
        kind = "UNIQUE INDEX" if unique else "INDEX"
        name = quoted(f"{self._layout.name}.{name}")
        self._database.execute(f"CREATE {kind} {name} ON {self._table} ({', '.join(columns)})")
        self._layout.indexed.add(columns[0])

    # -- inside

    def _told(self, key: str, stamp: int) -> R:
        held = self._database.execute(f"SELECT * FROM {self._table} WHERE {self._key} = ?", (key,)).fetchone()
        values = _values(self._layout.columns, held)
        del values[STAMP]
        row = self._layout.shape(stamp, values)
        self._layout.told[key] = (stamp, row)
        return row


def _values(columns: list[tuple[str, Form | None]], row: tuple[Any, ...]) -> Values:
    return {
        name: value if form is None or value is None else form.tell(value)
        for (name, form), value in zip(columns, row, strict=True)
    }


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def folded(column: str) -> str:
    """A column without regard to case, in SQL: what is compared with it is to be casefolded."""
    return f"folded({quoted(column)})"


def _kept(form: Form | None, value: Any) -> Any:
    return value if form is None or value is None else form.keep(value)


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value
