"""What a system lacks of a golden record."""

from __future__ import annotations

from isthmus.config.mapping import load_mappings
from isthmus.tables.golden import Golden
from isthmus.tables.liveness import Liveness
from isthmus.tables.registers import Register, Said
from isthmus.tables.wishes import wishes

ACCOUNT = load_mappings().entities["account"].followed


def known(own: Register | None) -> Golden:
    """Of a record in Dynamics a name counts: what it says now, or `own`."""
    golden = Golden("c", "account")
    golden.living = {"dynamics": {"d": Liveness(True, "2")}}
    golden.held("dynamics", "d").said.append(Said("2", "2026-01-02", "change 2", True, {"name": "new"}))
    golden.show("name", "dynamics", "d", "last_writer", own)
    return golden


def test_a_record_whose_value_counts_lacks_nothing() -> None:
    assert wishes(known(None), ACCOUNT, ["dynamics"], "c") == []


def test_a_record_that_says_something_else_by_now_lacks_what_counts_of_it() -> None:
    (wish,) = wishes(known(Register("old", "1", "2026-01-01", "change 1", False)), ACCOUNT, ["dynamics"], "c")
    assert (wish.system, wish.native_id, wish.fields) == ("dynamics", "d", {"name": "old"})
