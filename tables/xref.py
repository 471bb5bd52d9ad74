"""The xref table: which golden record a native record is, as identify said; a cache of it in intake's partitions.

Promises: who a record is stands here as `links` said it last; what it says of itself, as intake heard it last.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from isthmus.codecs.change import Value
from isthmus.tables.unit import Table


class Known(msgspec.Struct, frozen=True, gc=False):
    """Who a native record is. `said`: what it last said of the fields that link records, its external id under EXTERNAL.
    `turns`: how often it became another golden record's."""

    canonical: str
    entity: str
    said: Mapping[str, Value] = {}
    turns: int = 0


XREF: Table[Known] = Table("xref", Known)
