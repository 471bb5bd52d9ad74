"""Budgets: whose calls go, how many, and until when the others wait."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from isthmus.codecs import limits
from isthmus.codecs.limits import DAY, Limit
from isthmus.tables.budgets import (
    LONGEST,
    RECORDS_A_CALL,
    SHORTEST,
    Budget,
    cost,
    free_at,
    grant,
    room,
    standings,
)

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
BUDGET = Budget(reserve=0.1, batch=0.5, batch_at_night=1.0, night=(20, 5))

shares = st.floats(0, 1)
budgets = st.builds(Budget, st.floats(0, 0.99), shares, shares, st.tuples(st.integers(0, 23), st.integers(0, 23)))
told = st.builds(
    Limit,
    st.just("daily"),
    st.just("calls"),
    st.floats(0, 20_000),
    st.floats(1, 10_000),
    st.sampled_from([300.0, DAY]),
    st.floats(NOON - 2 * DAY, NOON),
    st.floats(-10, 10),
)
times = st.floats(NOON, NOON + 2 * DAY)


def daily(used: float, allowed: float = 1000.0, pace: float = 0.0) -> Limit:
    return Limit("daily", "calls", used, allowed, DAY, NOON, pace)


# -- laws


@given(st.lists(told, min_size=1, max_size=3), budgets, st.sampled_from(["interactive", "batch"]), st.integers(0, 9999))
def test_no_grant_takes_what_is_used_above_the_limit_less_the_reserve(
    some: list[Limit], budget: Budget, use: limits.Use, wanted: int
) -> None:
    fresh = [one._replace(at=NOON) for one in some]
    calls = cost(grant(fresh, budget, use, wanted, NOON).records)
    for one in fresh if calls else ():
        assert one.used + calls <= one.allowed * (1 - budget.reserve) + 1e-5


@given(st.lists(told, max_size=3), budgets, st.integers(1, 9999), times)
def test_interactive_is_never_refused_what_batch_is_let_in_for(
    some: list[Limit], budget: Budget, wanted: int, now: float
) -> None:
    assert grant(some, budget, "batch", wanted, now).records <= grant(some, budget, "interactive", wanted, now).records


@given(told, budgets, st.floats(0, 5000), st.sampled_from(["interactive", "batch"]), times)
def test_the_more_is_used_the_longer_it_takes_to_be_free(
    one: Limit, budget: Budget, more: float, use: limits.Use, now: float
) -> None:
    assert free_at(one, budget, use, now) <= free_at(one._replace(used=one.used + more), budget, use, now)


@given(told, budgets, st.sampled_from(["interactive", "batch"]), times, times)
def test_time_that_passes_never_puts_off_when_it_is_free(
    one: Limit, budget: Budget, use: limits.Use, now: float, later: float
) -> None:
    assume(now <= later)
    at = free_at(one, budget, use, now)
    assert at >= now
    if later <= at < now + 1.9 * DAY:
        assert free_at(one, budget, use, later) == pytest.approx(at, abs=1e-3)


@given(told, budgets, st.sampled_from(["interactive", "batch"]), times)
def test_when_it_is_free_there_is_room_and_before_there_was_none(
    one: Limit, budget: Budget, use: limits.Use, now: float
) -> None:
    at = free_at(one, budget, use, now)
    if at < now + 1.9 * DAY:
        assert room(one, budget, use, at + 1e-3) >= 1 or room(one, budget, use, at) >= 1
    assert at == now or room(one, budget, use, now) == 0


@given(st.lists(told, min_size=1, max_size=3), budgets, st.sampled_from(["interactive", "batch"]), st.integers(1, 99))
def test_who_waits_looks_again_soon_and_not_at_once(
    some: list[Limit], budget: Budget, use: limits.Use, wanted: int
) -> None:
    given_ = grant(some, budget, use, wanted, NOON)
    assert given_.records <= wanted
    if given_.records < wanted:
        assert NOON + SHORTEST <= given_.until <= NOON + LONGEST
        assert given_.limit == "daily"


# -- what the shares mean


def test_batch_stops_at_its_share_and_interactive_at_the_reserve() -> None:
    assert room(daily(449), BUDGET, "batch", NOON) == 1
    assert room(daily(450), BUDGET, "batch", NOON) == 0
    assert room(daily(450), BUDGET, "interactive", NOON) == 450
    assert room(daily(900), BUDGET, "interactive", NOON) == 0


def test_batch_waits_for_the_night_where_that_has_room_sooner_than_the_day() -> None:
    assert free_at(daily(880), BUDGET, "batch", NOON) == NOON + 8 * 3600
    assert free_at(daily(460), BUDGET, "batch", NOON) == pytest.approx(NOON + DAY * (1 - 449 / 460))


@pytest.mark.parametrize(
    ("night", "hours"), [((20, 5), {20, 23, 0, 4}), ((1, 3), {1, 2}), ((4, 4), set()), ((0, 12), {0, 4, 5})]
)
def test_the_night_may_cross_midnight_or_not_be_at_all(night: tuple[int, int], hours: set[int]) -> None:
    budget = Budget(night=night)
    midnight = NOON - 12 * 3600
    assert {h for h in (0, 1, 2, 3, 4, 5, 12, 19, 20, 23) if budget.is_night(midnight + h * 3600)} >= hours
    assert not budget.is_night(midnight + 12 * 3600)


def test_a_platform_that_tells_nothing_limits_nothing() -> None:
    assert grant((), BUDGET, "batch", 5000, NOON).records == 5000


def test_near_the_edge_so_many_go_as_there_is_room_for() -> None:
    given_ = grant((daily(440), daily(100)), BUDGET, "batch", 1000, NOON, taken=2)
    assert given_.records == 8 * RECORDS_A_CALL
    assert given_.until == NOON + SHORTEST


def test_the_scarcest_limit_decides() -> None:
    seconds = Limit("execution", "seconds", 1150.0, 1200.0, 300.0, NOON)
    given_ = grant((daily(0), seconds), Budget(reserve=0, batch=0.5), "batch", 1, NOON)
    assert (given_.records, given_.limit) == (0, "execution")


def test_the_run_out_is_when_a_use_has_no_room_any_more_at_the_present_pace() -> None:
    interactive, batch = standings([daily(200, pace=0.1)], BUDGET, NOON)
    assert (interactive.state, interactive.runs_out) == ("free", NOON + 7000)
    assert (batch.state, batch.runs_out) == ("free", NOON + 2500)
    interactive, batch = standings([daily(820, pace=0.1)], BUDGET, NOON)
    assert (interactive.state, batch.state, batch.runs_out) == ("nearly", "waits", None)
    assert batch.until == NOON + 8 * 3600
    assert [one.runs_out for one in standings([daily(200, pace=0.0001)], BUDGET, NOON)] == [None, None]


# -- what is told


def test_both_platforms_headers_are_read_and_what_is_no_number_is_none() -> None:
    assert limits.salesforce({"sforce-limit-info": "api-usage=18/5000; per-app-api-usage=17/250(appName=x)"}, 5.0) == (
        (Limit("daily", "calls", 18, 5000, DAY, 5.0),)
    )
    assert limits.salesforce({"sforce-limit-info": "per-app-api-usage=17/250(appName=x)"}, 5.0) == ()
    left = {limits.REQUESTS_LEFT: "5999", limits.SECONDS_LEFT: "1,199.94"}
    requests, execution = limits.dynamics(left, 5.0)
    assert (requests.used, requests.allowed) == (1, 6000)
    assert (execution.used, execution.allowed, execution.unit) == (pytest.approx(0.06), 1200, "seconds")
    assert limits.dynamics({limits.REQUESTS_LEFT: "7999"}, 5.0)[0].used == 0
    assert limits.dynamics({limits.REQUESTS_LEFT: "many", limits.SECONDS_LEFT: "nan"}, 5.0) == ()


def test_the_pace_follows_what_answers_tell_and_an_answer_that_tells_nothing_changes_nothing() -> None:
    known: tuple[Limit, ...] = ()
    for minute in range(24 * 60):
        known = limits.heard(known, (daily(minute * 6.0)._replace(at=NOON + minute * 60),))
    assert known[0].pace == pytest.approx(0.1, rel=0.01)
    assert limits.heard(known, ()) == known
    two = (*known, Limit("execution", "seconds", 1.0, 1200.0, 300.0, NOON))
    assert {one.name for one in limits.heard(two, known)} == {"daily", "execution"}
    together = limits.heard(known, known)
    assert together[0].pace == known[0].pace
