"""Whose partition is it: who may write for a table partition, kept in its changelog.

Promises: a worker writes for a partition only after its name stands in the changelog, committed, and it has read the
changelog to the end since; whoever else stands there is fenced first. So of two that both believe they own a partition
at most one can commit anything, and who comes later has read all that the earlier one committed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from isthmus.node.packing import Cargo, Entry, Target
from isthmus.node.writer import Writer
from isthmus.tables.unit import View

OWNER = b"\xff\xffowner/"
SEATED = b"1"


class Owned(Protocol):
    """What has an owner: `ledger` is its first table's changelog partition, and that table."""

    @property
    def ledger(self) -> tuple[Target, View]:
        """The changelog partition that says who owns it, and the table partition it fills."""
        ...


Recover = Callable[[Mapping[Target, int]], Awaitable[int]]


async def take(writer: Writer, owned: Sequence[Owned], recover: Recover) -> int:
    """Become the one owner of these. `recover(beyond)` brings their tables to the ends of their changelogs, and at least
    past the offsets named; the number of changelog records it read. Safe to cancel: nothing was written yet for them."""
    if not owned:
        return 0
    read = await recover({})
    fenced = strangers = _strangers(owned, {*writer.names})
    await writer.fence(strangers)
    claimed = await writer.commit(Cargo({one.ledger[0]: _claim(one, writer.names, fenced) for one in owned}))
    while True:
        read += await recover(claimed)
        strangers = _strangers(owned, fenced.union(writer.names))
        if not strangers:
            return read
        await writer.fence(strangers)
        fenced |= strangers


def _strangers(owned: Sequence[Owned], known: set[str]) -> set[str]:
    return {name for one in owned for name in owners(one)} - known


def owners(one: Owned) -> set[str]:
    """Who wrote for it and has not given it up."""
    return {key.removeprefix(OWNER).decode() for key, _ in one.ledger[1].scan(OWNER)}


def _claim(one: Owned, names: Sequence[str], fenced: set[str]) -> list[Entry]:
    gone = [_entry(other, None) for other in sorted(owners(one) & fenced)]
    return [*(_entry(name, SEATED) for name in names), *gone]


def release(names: Sequence[str]) -> list[Entry]:
    """What gives a partition up."""
    return [_entry(name, None) for name in names]


def _entry(name: str, value: bytes | None) -> Entry:
    return OWNER + name.encode(), value, []
