"""The figures of the demo's story, as its JSON tells them."""

from __future__ import annotations

import pytest

from isthmus.node.story import CHAPTERS, Story


def test_every_figure_that_is_promised_is_told_and_no_other() -> None:
    assert set(Story().told({"deliveries": {}})) == {
        "conflicts",
        "merges",
        "rejected",
        "tasks_opened",
        "outage_seconds",
        "parked_peak",
        "replayed",
        "writes_per_edit",
    }


@pytest.mark.parametrize(("edits", "told"), [(0, 7.0), (10, 0.7), (3, 2.33)])
def test_writes_are_those_of_all_targets_for_each_edit_of_a_person(edits: int, told: float) -> None:
    deliveries = {"dynamics/account": {"written": 4, "dead": 1}, "salesforce/account": {"written": 3}, "a/b": {}}
    assert Story(edits=edits).told({"deliveries": deliveries})["writes_per_edit"] == told


def test_the_whole_story_is_played() -> None:
    names = [chapter.__name__ for chapter in CHAPTERS]
    assert names == ["create_and_enrich", "two_desks", "merge", "bad_record", "outage", "refused_and_replayed"]
