"""Newest: the newest values of a table partition, kept at hand so that RocksDB need not be asked for them.

Promises: the newest `size` are there, at most twice as many and a unit's are held, whether they were written or only read;
what is not there may still be in the table. Two generations instead of an order of all: to keep the values of a unit is one
update of a dict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Newest:
    """By key. A value of None says that nothing is at hand, whatever was before. `size` 0: nothing is ever let go."""

    __slots__ = ("_new", "_old", "_size")

    def __init__(self, size: int = 0) -> None:
        self._size = size
        self._new: dict[bytes, Any] = {}
        self._old: dict[bytes, Any] = {}

    def get(self, key: bytes) -> Any:
        """The value of a key, None where it is not at hand."""
        return self._new[key] if key in self._new else self._old.get(key)

    def add(self, key: bytes, value: Any) -> None:
        """This was read."""
        self._new[key] = value
        self._turn()

    def keep(self, values: Mapping[bytes, Any]) -> None:
        """These were written."""
        self._new.update(values)
        self._turn()

    def _turn(self) -> None:
        if len(self._new) >= self._size > 0:
            self._old, self._new = self._new, {}

    def clear(self) -> None:
        """Nothing is at hand any more."""
        self._new, self._old = {}, {}

    def __len__(self) -> int:
        return len(self._new) + len(self._old)
