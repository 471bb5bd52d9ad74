"""The xref table: which golden record a native record is, as identify said; a cache of it in intake's partitions."""

from __future__ import annotations

import msgspec

from isthmus.tables.unit import Table


class Known(msgspec.Struct, frozen=True, gc=False):
    """Who a native record is."""

    canonical: str
    entity: str


XREF: Table[Known] = Table("xref", Known)
