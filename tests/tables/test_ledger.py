"""The books: outcomes on one side, frames on the other."""

from __future__ import annotations

from isthmus.codecs.frames import Stamp
from isthmus.tables.ledger import Ledger, Tally, balance
from isthmus.tables.marker import Marker


def books(received: int, applied: int, *, sent: int = 1, done: int = 1) -> Tally:
    intake, merge, tally = Marker(), Marker(), Tally()
    intake.count({"salesforce/account": {"received": received}})
    merge.count({"salesforce/account": {"applied": applied, "delivery_written": 4}})
    for _ in range(sent):
        intake.next_number("merge", 0)
    for number in range(done):
        merge.done("merge", number, Stamp("intake-0", number))
    tally.add("intake-0", 0, intake)
    tally.add("merge-0", 0, merge)
    return tally


LANES = ("intake-0", "merge-0")


def test_at_rest_every_change_has_an_outcome() -> None:
    ledger = balance(books(5, 5), LANES)
    assert (ledger.balanced, ledger.frames, ledger.totals["in_flight"]) == (True, 0, 0)
    assert ledger.deliveries == {"salesforce/account": {"written": 4}}


def test_a_change_lost_between_stages_shows_at_rest() -> None:
    assert not balance(books(5, 4), LANES).balanced


def test_a_change_may_be_under_way_while_frames_are() -> None:
    ledger = balance(books(5, 4, sent=2, done=1), LANES)
    assert (ledger.balanced, ledger.frames, ledger.totals["in_flight"]) == (True, 1, 1)


def test_an_invented_change_shows_even_under_way() -> None:
    assert not balance(books(5, 6, sent=2, done=1), LANES).balanced


def test_books_without_all_lanes_do_not_claim_to_balance() -> None:
    ledger = balance(books(5, 5), (*LANES, "merge-1"))
    assert (ledger.complete, ledger.balanced) == (False, False)


def test_another_workers_books_are_added() -> None:
    first, second = books(5, 5), Tally()
    marker = Marker()
    marker.count({"salesforce/account": {"received": 2, "applied": 2}})
    second.add("merge-1", 1, marker)
    first.join({"counts": second.counts, "sent": second.sent, "done": second.done, "lanes": second.lanes})
    assert balance(first, (*LANES, "merge-1")).totals["received"] == 7


# -- what is written


def target(intended: int | None, *, under_way: bool = False, **outcomes: int) -> Ledger:
    merge, deliver, tally = Marker(), Marker(), Tally()
    if intended is not None:
        merge.count({"dynamics/account": {"delivery_intended": intended}})
    deliver.count({"dynamics/account": {f"delivery_{name}": number for name, number in outcomes.items()}})
    if under_way:
        merge.next_number("writes.dynamics", 0)
    tally.add("merge-0", 0, merge)
    tally.add("deliver-dynamics-0", 0, deliver)
    return balance(tally, ())


def test_at_rest_every_write_that_was_intended_has_an_outcome() -> None:
    ledger = target(7, written=3, superseded=1, parked=2, dead=1, retries=9)
    assert ledger.balanced
    assert ledger.deliveries["dynamics/account"] == {
        "intended": 7,
        "written": 3,
        "unchanged": 0,
        "superseded": 1,
        "parked": 2,
        "dead": 1,
        "in_flight": 0,
        "retries": 9,
    }


def test_a_lost_write_shows_at_rest_and_is_under_way_while_its_frame_is() -> None:
    assert not target(2, written=1).balanced
    ledger = target(2, written=1, under_way=True)
    assert (ledger.balanced, ledger.deliveries["dynamics/account"]["in_flight"]) == (True, 1)


def test_a_write_that_was_carried_out_twice_shows_even_under_way() -> None:
    assert not target(1, written=2, under_way=True).balanced


def test_books_of_before_intents_were_counted_are_not_held_against_them() -> None:
    ledger = target(None, written=2)
    assert (ledger.balanced, ledger.deliveries) == (True, {"dynamics/account": {"written": 2}})
