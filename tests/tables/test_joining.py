"""Two golden records turn out to be one: what is handed over, what is made of it, and what must not happen meanwhile."""

from __future__ import annotations

import itertools
from typing import Any

from isthmus.codecs.cloud_events import to_kafka
from isthmus.codecs.events import EventData, Source
from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Absorb, Linked, Report, Settled, Yield
from isthmus.config.mapping import load_mappings
from isthmus.tables.fold import fold
from isthmus.tables.golden import GOLDEN, DesiredWrite, Golden
from isthmus.tables.handover import Handed, forwarded, hand_over

ACCOUNT = load_mappings().entities["account"]
CAUSE = Source("salesforce", "S1", "2026-01-01T00:00:00Z", "S1@1")


def change(system: str, native: str, version: int, *, when: int = 0, **fields: Any) -> Linked:
    at = f"2026-01-01T00:00:{when or version:02d}Z"
    id_ = f"{native}@{version}"
    return Linked(system, native, "account", "", "update", fields, (), f"{version:04d}", at, id_, "corr")


def golden(canonical: str, *changes: Linked) -> tuple[Golden, list[DesiredWrite]]:
    state: Golden | None = None
    writes: list[DesiredWrite] = []
    for one in changes:
        folded = fold(state, one.at(canonical), ACCOUNT)
        state, writes = folded.state, [*writes, *folded.writes]
    assert state is not None
    return GOLDEN.decode(encode(state)), writes


def written(write: DesiredWrite, native: str, version: str | None = None) -> Report:
    return Report(
        write.system, native, write.canonical, "account", write.revision, "written", version, dict(write.fields)
    )


def handed(loser: Golden, winner: str) -> Handed:
    found = hand_over(loser, Yield(loser.canonical, winner, "account", "corr", CAUSE), ACCOUNT)
    assert found is not None
    return found


def absorb(handed: Handed) -> Absorb:
    assert handed.absorb is not None
    return handed.absorb


def test_the_winner_holds_what_both_held_and_nothing_is_left_of_the_loser() -> None:
    winner, _ = golden("w", change("salesforce", "S1", 1, name="Alder", phone="1"))
    loser, _ = golden("l", change("dynamics", "D1", 2, phone="2", credit_limit=5))
    given = handed(loser, "w")
    folded = fold(winner, absorb(given), ACCOUNT)
    values = folded.state.values()
    assert (values["name"], values["phone"], values["credit_limit"]) == ("Alder", "2", 5)
    assert folded.state.links == {"salesforce": {"S1": True}, "dynamics": {"D1": True}}
    assert (given.state.redirect, given.state.values(), given.state.links) == ("w", {}, {})


def test_both_events_say_who_became_who() -> None:
    winner, _ = golden("w", change("salesforce", "S1", 1, name="Alder"))
    loser, _ = golden("l", change("dynamics", "D1", 2, phone="2"))
    given = handed(loser, "w")
    folded = fold(winner, absorb(given), ACCOUNT)
    assert given.event is not None
    assert folded.event is not None
    gone = EventData.model_validate_json(to_kafka(given.event)[1])
    come = EventData.model_validate_json(to_kafka(folded.event)[1])
    assert (given.event.type, gone.redirect) == ("isthmus.account.redirected", "w")
    assert (folded.event.type, come.absorbed, list(come.changed)) == ("isthmus.account.merged", "l", ["phone"])


def test_losers_and_changes_join_to_the_same_in_any_order() -> None:
    losers = [
        absorb(handed(golden("a", change("dynamics", "D1", 1, name="A", phone="1", when=9))[0], "w")),
        absorb(handed(golden("b", change("salesforce", "S2", 4, website="b", phone="2", when=8))[0], "w")),
    ]
    changes = [change("salesforce", "S1", 3, name="C").at("w"), change("dynamics", "D1", 2, name="D", when=7).at("w")]
    found = []
    for order in itertools.permutations([*losers, *changes]):
        state: Golden | None = None
        for item in order:
            state = fold(state, item, ACCOUNT).state
        assert state is not None
        found.append((state.values(), state.living.keys(), {s: sorted(n) for s, n in state.links.items()}))
        assert fold(state, losers[0], ACCOUNT).event is None
    assert all(one == found[0] for one in found)


def test_a_system_is_told_nothing_while_a_wish_of_the_loser_may_be_under_way_there() -> None:
    winner, _ = golden("w", change("salesforce", "S1", 1, name="Alder"))
    loser, wishes = golden("l", change("salesforce", "S2", 1, name="Birch", phone="2"))
    given = handed(loser, "w")
    assert [(one.system, one.withdrawn, one.revision) for one in given.withdrawn] == [("dynamics", True, 2)]
    folded = fold(winner, absorb(given), ACCOUNT)
    # The loser's creation may have been carried out: creating it again would make a twin.
    assert [one.withdrawn for one in folded.writes if one.system == "dynamics"] == []
    more = fold(folded.state, change("salesforce", "S1", 2, name="Cedar").at("w"), ACCOUNT)
    assert [one for one in more.writes if one.system == "dynamics"] == []
    made = forwarded(given.state, written(wishes[0], "D1"))
    told = fold(more.state, made, ACCOUNT)  # type: ignore[arg-type]
    assert told.state.links["dynamics"] == {"D1": True}
    settled = forwarded(given.state, Settled("l", "l", "dynamics", "account", 2, "corr"))
    last = fold(told.state, settled, ACCOUNT)  # type: ignore[arg-type]
    assert [(one.native_id, one.fields["name"]) for one in last.writes] == [("D1", "Cedar")]
    assert not last.state.awaits


def test_what_the_winner_was_about_to_create_is_taken_back_where_the_loser_has_it() -> None:
    winner, wishes = golden("w", change("salesforce", "S1", 1, name="Alder"))
    assert [(one.system, one.native_id) for one in wishes] == [("dynamics", None)]
    loser, _ = golden("l", change("dynamics", "D1", 1, name="Alder", phone="3"))
    folded = fold(winner, absorb(handed(loser, "w")), ACCOUNT)
    there = [one for one in folded.writes if one.system == "dynamics"]
    assert [(one.withdrawn, one.revision > wishes[0].revision) for one in there] == [(True, True)]
    last = fold(folded.state, Settled("w", "w", "dynamics", "account", there[0].revision, "corr"), ACCOUNT)
    assert list(last.state.awaits) == ["salesforce"]  # the loser was about to make one there


def test_the_echo_of_what_the_loser_wrote_is_no_opinion_at_the_winner() -> None:
    winner, _ = golden("w", change("salesforce", "S1", 1, name="Alder"))
    loser, wishes = golden("l", change("dynamics", "D2", 1, phone="1"))
    assert wishes[0].system == "salesforce"
    folded = fold(winner, absorb(handed(loser, "w")), ACCOUNT)
    echo = change("salesforce", "S2", 2, when=30, phone="1").at("w")
    assert fold(folded.state, echo, ACCOUNT).outcome == "echo"


def test_what_was_told_to_the_losers_record_was_not_told_to_the_winners() -> None:
    """Both have a Dynamics row; the winner's is told the value although the loser's row was told it before."""
    loser, wishes = golden("l", change("salesforce", "S2", 1, when=9, phone="9"))
    loser = fold(loser, written(wishes[0], "D2", "0001"), ACCOUNT).state
    winner, _ = golden("w", change("dynamics", "D1", 1, phone="1"))
    folded = fold(winner, absorb(handed(loser, "w")), ACCOUNT)
    assert [(one.native_id, one.fields) for one in folded.writes if one.system == "dynamics"] == [
        ("D1", {"phone": "9"})
    ]


def test_a_chain_of_losers_forwards_to_the_end() -> None:
    first = handed(golden("a", change("dynamics", "D1", 1, phone="1"))[0], "b")
    second = handed(golden("b", change("salesforce", "S1", 1, name="B"))[0], "c")
    onward = forwarded(second.state, absorb(first))
    assert isinstance(onward, Absorb)
    assert onward.canonical == "c"
    state = fold(fold(None, absorb(second), ACCOUNT).state, onward, ACCOUNT).state
    assert state.values()["phone"] == "1"
    assert state.merged == ["b", "a"]
    report = Report("salesforce", "S9", "a", "account", 1, "written", None, {"phone": "1"})
    at_end = forwarded(second.state, forwarded(first.state, report))
    assert isinstance(at_end, Report)
    assert at_end.canonical == "c"
    assert at_end.rev < 0


def test_a_golden_record_yields_once_and_only_to_its_own_kind() -> None:
    state, _ = golden("l", change("dynamics", "D1", 1, phone="1"))
    assert hand_over(state, Yield("l", "w", "contact", "corr", CAUSE), ACCOUNT) is None
    gone = handed(state, "w").state
    assert hand_over(gone, Yield("l", "other", "account", "corr", CAUSE), ACCOUNT) is None


def test_an_id_that_nobody_knew_redirects_too() -> None:
    found = hand_over(None, Yield("alias", "w", "account", "corr", CAUSE), ACCOUNT)
    assert found is not None
    assert (found.state.redirect, found.absorb, found.event) == ("w", None, None)


def test_a_rejected_loser_that_is_whole_at_the_winner_waits_no_more() -> None:
    loser, _ = golden(
        "l", change("dynamics", "D1", 1, credit_limit="-5"), change("dynamics", "D1", 2, credit_limit="-6")
    )
    assert loser.rejected
    winner, _ = golden("w", change("dynamics", "D0", 3, credit_limit="7", when=9))
    folded = fold(winner, absorb(handed(loser, "w")), ACCOUNT)
    assert not folded.state.rejected
    assert folded.asides is not None
    assert folded.asides.repaired == {"dynamics": 2}
    assert [(one.id, one.closed) for one in folded.asides.reviews] == [("rejected/l", True)]


def test_a_winner_that_is_broken_by_its_loser_tells_who_is_one_and_no_value() -> None:
    loser, _ = golden("l", change("dynamics", "D1", 1, credit_limit="-5", when=9))
    winner, _ = golden("w", change("salesforce", "S1", 1, name="A"))
    folded = fold(winner, absorb(handed(loser, "w")), ACCOUNT)
    assert folded.state.rejected
    assert folded.event is not None
    assert (folded.event.kind, folded.event.body.changed) == ("merged", {})
    assert [one for one in folded.writes if one.fields] == []
    assert folded.asides is not None
    assert {one.id: one.closed for one in folded.asides.reviews} == {"rejected/w": False, "rejected/l": True}
    assert folded.asides.repaired == {}
    repaired = fold(folded.state, change("dynamics", "D1", 2, credit_limit="1", when=10), ACCOUNT)
    assert repaired.asides is not None
    assert repaired.asides.repaired == {"dynamics": 1}
    assert repaired.event is not None
    assert {name: one.value for name, one in repaired.event.body.changed.items()} == {"credit_limit": "1"}
