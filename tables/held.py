"""The held table: records of which a person is asked whether they are the same as another, and what came of them since.

Promises: a record is let go when nothing is asked of it any more; what it said meanwhile is kept in order.
"""

from __future__ import annotations

import msgspec

from isthmus.codecs.identities import Native
from isthmus.codecs.linked import Linked
from isthmus.tables.unit import Table


class Held(msgspec.Struct, frozen=True, gc=False):
    """A record as it was read, its own canonical id, the records it may be the same as, the changes since then, and the
    records of which a person has said that it is none of them (`apart`)."""

    row: Linked
    external: str | None
    against: tuple[Native, ...]
    changes: tuple[Linked, ...] = ()
    apart: tuple[Native, ...] = ()


HELD: Table[Held] = Table("held", Held)
