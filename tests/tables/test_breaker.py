"""The circuit breaker: when a target is left alone, and how it is come back to."""

from __future__ import annotations

from msgspec.structs import replace

from isthmus.tables.breaker import PROBES, UNIT_WRITES, Breaker, Call, Limits, Room
from isthmus.tables.deliveries import breaker_of, gate

LIMITS = Limits(share=0.5, window=300.0, calls=4, base=1.0, longest=60.0, rate=20.0)
GOOD, BAD = Call(1, 0), Call(1, 1, "503")


def after(breaker: Breaker, *calls: Call, start: float = 1000.0, step: float = 1.0) -> Breaker:
    """One call after another."""
    for number, call in enumerate(calls):
        now = start + number * step
        breaker = breaker.at(now).heard(call, now, LIMITS)
    return breaker


def opened() -> Breaker:
    """It opened at 1003."""
    return after(Breaker(), BAD, BAD, BAD, BAD)


def test_it_opens_at_the_share_and_not_before_there_were_calls_enough() -> None:
    assert after(Breaker(), BAD, BAD, BAD).state == "closed"
    assert after(Breaker(), GOOD, BAD, GOOD, GOOD, BAD).state == "closed"
    breaker = after(Breaker(), GOOD, BAD, GOOD, BAD)
    assert (breaker.state, breaker.since, breaker.until, breaker.opened, breaker.reason) == (
        ("open", 1003.0, 1004.0, 1, "503")
    )


def test_failures_of_long_ago_do_not_count() -> None:
    breaker = after(Breaker(), BAD, BAD, BAD)
    assert after(breaker, BAD, start=1301.0).state == "closed"
    assert after(breaker, BAD, start=1250.0).state == "open"


def test_a_call_that_fails_for_less_than_the_share_of_its_writes_is_a_good_one() -> None:
    assert after(Breaker(), *[Call(10, 4, "locked")] * 50).state == "closed"
    assert after(Breaker(), *[Call(10, 5, "503")] * 4).state == "open"


def test_no_call_is_no_news() -> None:
    assert after(Breaker(), *[Call(0, 0)] * 9) == Breaker()


def test_an_open_one_lets_nothing_through_until_its_pause_is_over() -> None:
    breaker = opened()
    assert breaker.at(1003.9).room(1003.9, LIMITS) == Room(0, 0)
    half = breaker.at(1004.0)
    assert (half.state, half.since, half.room(1004.0, LIMITS)) == ("half_open", 1004.0, Room(PROBES, PROBES))


def test_pauses_double_up_to_the_longest_and_the_targets_own_word_is_the_least() -> None:
    breaker, pauses = opened(), []
    for _ in range(8):
        now = breaker.until
        breaker = breaker.at(now).heard(BAD, now, LIMITS)
        pauses.append(breaker.until - now)
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert breaker.opened == 1
    now = breaker.until
    assert breaker.at(now).heard(replace_call(BAD, 500.0), now, LIMITS).until == now + 500.0


def replace_call(call: Call, retry_after: float) -> Call:
    """The same with the target's own word."""
    return call._replace(retry_after=retry_after)


def test_a_probe_that_is_answered_begins_the_drain_which_ends_when_nothing_is_due() -> None:
    breaker = opened().at(1004.0).heard(GOOD, 1004.0, LIMITS)
    assert (breaker.state, breaker.failures, breaker.calls) == ("draining", 0, ())
    assert breaker.took(5, 1005.0, LIMITS, left=True).state == "draining"
    done = breaker.took(5, 1005.0, LIMITS, left=False)
    assert (done.state, done.since, done.room(1005.0, LIMITS)) == ("closed", 1005.0, Room(None, UNIT_WRITES))


def test_the_drain_keeps_its_rate_however_often_somebody_looks() -> None:
    for step in (0.05, 0.3, 1.0, 1.7):
        breaker, now, through = opened().at(1004.0).heard(GOOD, 1004.0, LIMITS), 1004.0, 0
        while now < 1064.0:
            now += step
            room = breaker.room(now, LIMITS)
            assert room.most is None
            through += room.parked
            breaker = breaker.took(room.parked, now, LIMITS, left=True)
        assert 0.95 * 60 * LIMITS.rate <= through <= 1.05 * 60 * LIMITS.rate + 1


def test_a_drain_slower_than_one_a_second_goes_on_all_the_same() -> None:
    slow = replace_rate(0.25)
    breaker = replace(opened(), state="draining", drained=1000.0)
    assert breaker.room(1003.0, slow) == Room(None, 0)
    assert breaker.room(1004.0, slow) == Room(None, 1)
    assert breaker.room(1999.0, slow) == Room(None, 1)


def replace_rate(rate: float) -> Limits:
    """The same limits with another rate."""
    return Limits(LIMITS.share, LIMITS.window, LIMITS.calls, LIMITS.base, LIMITS.longest, rate)


def test_a_target_that_fails_again_while_draining_is_left_alone_again() -> None:
    breaker = after(opened().at(1004.0).heard(GOOD, 1004.0, LIMITS), BAD, BAD, BAD, BAD, start=1005.0)
    assert (breaker.state, breaker.opened) == ("open", 2)


def test_it_says_when_to_look_again() -> None:
    assert Breaker().next(None, LIMITS) is None
    assert Breaker().next(1007.0, LIMITS) == 1007.0
    assert opened().next(900.0, LIMITS) == 1004.0
    half = opened().at(1004.0)
    assert half.next(None, LIMITS) is None
    assert half.next(900.0, LIMITS) == 900.0
    draining = half.heard(GOOD, 1004.0, LIMITS)
    assert draining.next(900.0, LIMITS) == 1005.0
    assert draining.next(None, LIMITS) == 1005.0  # nothing waits any more, so that it closes


def test_a_clock_that_goes_back_opens_nothing_and_closes_nothing() -> None:
    breaker = after(after(Breaker(), GOOD, GOOD, GOOD), BAD, BAD, start=500.0)
    assert breaker.state == "closed"
    assert sum(one[1] for one in breaker.calls) == 5
    assert opened().at(10.0).state == "open"


def test_it_survives_its_being_kept() -> None:
    assert breaker_of(gate(opened())) == opened()
    assert breaker_of(None) == Breaker()


def test_a_target_that_lets_every_call_wait_is_left_alone_although_the_window_holds_few_of_them() -> None:
    hung = Call(50, 50, "does not answer", took=120.0)
    assert after(Breaker(), hung, hung, start=1120.0, step=120.0).state == "open"
    slow = Call(50, 0, took=120.0)
    assert after(Breaker(), *[slow, slow, hung] * 3, start=1120.0, step=120.0).state == "closed"
    assert after(Breaker(), *[Call(1, 1, "503", took=19.0)] * 3).state == "closed"
