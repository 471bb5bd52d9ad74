"""Positions as text, and which position each event of an answer leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.codecs.change import Change
from isthmus.config.errors import ReplayLost
from isthmus.systems.salesforce.heard import Heard, deliveries
from isthmus.systems.salesforce.position import Known, Position, Transport, known_of, position

ALL, SALES = "/data/ChangeEvents", "/data/Sales__chn"
REPLAY = "AAAAAAAXkCkAAA=="


@pytest.mark.parametrize(
    ("told", "transport", "places"),
    [
        (None, "pubsub", {ALL: "-1", SALES: "-1"}),
        ("-1", "cometd", {ALL: "-1", SALES: "-1"}),
        ("-2", "pubsub", {ALL: "-2", SALES: "-2"}),
        (f'pubsub:{{"{ALL}":"{REPLAY}","{SALES}":"-1"}}', "pubsub", {ALL: REPLAY, SALES: "-1"}),
        (f'cometd:{{"{ALL}":"7","{SALES}":"9"}}', "cometd", {ALL: "7", SALES: "9"}),
    ],
)
def test_a_text_says_where_each_channel_goes_on(told: str | None, transport: Transport, places: dict[str, str]) -> None:
    assert position(told, transport, (ALL, SALES)).places == places


def test_a_position_survives_its_text() -> None:
    at = Position("pubsub", {ALL: REPLAY}).after(SALES, "-1").after(ALL, "AAAAAAAXkCoAAA==")
    assert position(str(at), "pubsub", (ALL, SALES)) == at


def test_what_was_heard_survives_too_and_only_grows() -> None:
    new, old = (Change("salesforce", "Account", "1", "update", {}, (), v, f"2026-01-0{v}", "t", None, v) for v in "32")
    at = replace(Position("pubsub", {ALL: REPLAY}, Known("00D")), known=Known("00D").heard([old, new]).heard([old]))
    assert at.known == Known("00D", "2026-01-03", "3")
    assert position(str(at), "pubsub", (ALL,)) == at
    assert known_of(str(at)) == at.known
    assert known_of("7") == known_of(None) == known_of("pubsub:[]") == Known()


def test_a_channel_that_a_position_does_not_know_is_read_from_the_beginning_and_another_is_forgotten() -> None:
    at = position(f'pubsub:{{"/data/Old__chn":"{REPLAY}","{ALL}":"{REPLAY}"}}', "pubsub", (ALL, SALES))
    assert at.places == {ALL: REPLAY, SALES: "-2"}


@pytest.mark.parametrize(
    ("told", "transport", "other"),
    [
        (f'cometd:{{"{ALL}":"7"}}', "pubsub", "cometd"),
        ("7", "pubsub", "cometd"),
        (f'pubsub:{{"{ALL}":"{REPLAY}"}}', "cometd", "pubsub"),
    ],
)
def test_a_position_of_the_other_transport_is_lost_and_says_how_to_get_back(
    told: str, transport: Transport, other: str
) -> None:
    with pytest.raises(ReplayLost) as caught:
        position(told, transport, (ALL,))
    assert caught.value.code == "OTHER_TRANSPORT"
    assert f"set salesforce.transport to {other}" in caught.value.hint


@pytest.mark.parametrize("transport", ["cometd", "pubsub"])
@pytest.mark.parametrize(
    "told",
    [
        "",
        "0",
        "-3",
        "soon",
        "cometd:",
        "pubsub:7",
        "pubsub:[]",
        f'cometd:{{"{ALL}":"x"}}',
        f'pubsub:{{"{ALL}":"*"}}',
        "٣",
    ],
)
def test_what_is_no_position_is_lost(told: str, transport: Transport) -> None:
    with pytest.raises(ReplayLost):
        position(told, transport, (ALL,))


def places(heard: list[Heard], channel: str) -> list[str]:
    """The place that each event leaves its channel at; it was at 0."""
    start = Position("cometd", {ALL: "0", SALES: "0"})
    return [at.places[channel] for _, at in deliveries(heard, start)]


def test_no_position_falls_between_events_of_one_replay_id() -> None:
    heard = [Heard(ALL, place, b"{}") for place in ("1", "7", "7", "8")]
    assert places(heard, ALL) == ["1", "1", "7", "8"]


def test_on_a_custom_channel_the_rest_of_a_replay_id_may_be_in_the_next_answer() -> None:
    first, second = [Heard(SALES, place, b"{}") for place in ("1", "7")], [Heard(SALES, "7", b"{}"), Heard(SALES, "8")]
    assert places(first, SALES) == ["1", "1"]
    assert places(second, SALES) == ["7", "8"]


def test_channels_do_not_move_each_other() -> None:
    heard = [Heard(ALL, "5", b"{}"), Heard(SALES, "5", b"{}"), Heard(ALL, None, b"{}"), Heard(SALES, "6", b"{}")]
    assert places(heard, ALL) == ["5", "5", "5", "5"]
    assert places(heard, SALES) == ["0", "5", "5", "5"]
