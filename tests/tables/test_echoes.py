"""Echoes: each layer is counted by its name, and what goes round between two systems is stopped."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import load_mappings
from isthmus.tables.echoes import HOPS
from isthmus.tables.fold import fold
from isthmus.tables.folded import Folded
from isthmus.tables.golden import GOLDEN, DesiredWrite, Golden

ACCOUNT = load_mappings().entities["account"]


class Record:
    """A golden record that lives in both systems; Dynamics owns the credit limit."""

    def __init__(self) -> None:
        self.golden: Golden | None = None
        self.version = 0
        self.said("salesforce", name="Alder")
        self.said("dynamics", name="Alder", credit_limit="5")

    def said(self, system: str, at: int = 0, tagged: bool | None = False, **fields: Any) -> Folded:
        """A system says this, so many seconds after the start."""
        self.version += 1
        when = f"2026-01-01T{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}Z"
        native, version = system[0].upper(), f"{self.version:020d}"
        told = Linked(
            system, native, "account", "c", "update", fields, (), version, when, f"{system}{version}", "x", tagged
        )
        folded = fold(None if self.golden is None else GOLDEN.decode(encode(self.golden)), told, ACCOUNT)
        self.golden = folded.state
        return folded

    def goes_round(self, times: int, seconds: int) -> list[DesiredWrite]:
        """Something in Salesforce takes back what we write, each time; what is to be written after the last."""
        writes: tuple[DesiredWrite, ...] = ()
        for number in range(times):
            self.said("salesforce", number * seconds, True, credit_limit="5")
            writes = self.said("salesforce", number * seconds + 1, credit_limit="1").writes
        return list(writes)


def test_what_is_known_by_our_tag_and_what_by_what_we_told_are_counted_apart() -> None:
    assert Record().said("salesforce", tagged=True, credit_limit="5").echoes == {"echo_by_tag": 1}
    assert Record().said("salesforce", tagged=None, credit_limit="5").echoes == {"echo_by_intent": 1}


def test_near_misses_are_counted_by_what_was_missing() -> None:
    assert (Record().said("salesforce", tagged=True, credit_limit="7").echoes or {})["echo_missed_tag"] == 1
    assert (Record().said("salesforce", tagged=False, credit_limit="5").echoes or {})["echo_missed_value"] == 1


def test_an_opinion_of_which_nothing_comes_is_counted() -> None:
    assert Record().said("salesforce", name="Alder").echoes == {"echo_noop": 1}


def test_a_value_that_is_taken_back_again_and_again_is_written_no_more() -> None:
    before = Record().goes_round(HOPS, 2)
    assert [(one.fields, one.runaway) for one in before] == [({"credit_limit": "5"}, False)]
    record = Record()
    assert [one.runaway for one in record.goes_round(HOPS + 1, 2)] == [True]


@pytest.mark.parametrize("seconds", [62, 3000])
def test_people_who_take_their_time_run_no_risk(seconds: int) -> None:
    assert [one.runaway for one in Record().goes_round(HOPS + 5, seconds)] == [False]


def test_only_what_carries_the_value_on_is_stopped() -> None:
    record = Record()
    record.goes_round(HOPS + 1, 2)
    (write,) = record.said("salesforce", HOPS * 2 + 2, name="Birch").writes
    assert (write.system, write.runaway) == ("dynamics", False)
