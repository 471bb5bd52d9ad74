"""What a change taught a golden record: what tables/hearing.py finds and tables/choosing.py looks at.

Promises: a value, with nothing of its own to decide but what the ledger is told.
"""

from __future__ import annotations

from isthmus.codecs.change import Value
from isthmus.tables.folded import Outcome
from isthmus.tables.registers import Once


class Heard:
    """What a change taught: fields whose register changed, with the golden value until then (`touched`) and with what their
    record itself had said (`before`). `opinions`, `echoes`: how many are, and by which layers that was known; `plain`: all
    is opinions of this change; `moved`: did a record live or die?"""

    __slots__ = ("before", "echoes", "layers", "moved", "opinions", "plain", "touched")

    def __init__(self) -> None:
        self.touched: dict[str, Value] = {}
        self.before: dict[str, Once] = {}
        self.opinions = 0
        self.echoes = 0
        self.plain = False
        self.moved = False
        self.layers: dict[str, int] = {}

    def outcome(self) -> Outcome:
        """Its outcome in the ledger."""
        if self.opinions:
            return "applied"
        return "echo" if self.echoes else "applied" if self.moved else "unchanged"
