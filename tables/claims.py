"""The identity table: what leads to a golden record.

Promises: bytes of before fields were added still decode.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from isthmus.codecs.change import Value
from isthmus.tables.unit import Table


class Claim(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What leads by a key to a golden record: a native record's own key, with what it `said` of its match fields; a match
    key, under which one record of each of these `systems` stands (`contested`: two of one system share it, so it leads
    nowhere any more), with the native keys of the `records` that say it, the first so many in their order; the id of a
    golden record that became another; or, under `apart_key`, the ids of those (`systems`) with which a golden record is
    never to become one."""

    canonical: str
    systems: tuple[str, ...] = ()
    said: Mapping[str, Value] = {}
    contested: bool = False
    records: tuple[str, ...] = ()


IDENTITY: Table[Claim] = Table("identity", Claim)
