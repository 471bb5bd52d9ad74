"""A match key that two records of one system share links nobody, and a person is asked, in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from desk import Desk, items, sent
from hypothesis import given
from hypothesis import strategies as st

from isthmus.agents import identify
from isthmus.codecs.arrival import Unlinked
from isthmus.codecs.identities import Action, Ask, Decision, Load, question_id
from isthmus.codecs.linked import Linked
from isthmus.codecs.reviews import Review
from isthmus.config.mapping import load_mappings
from isthmus.tables.claims import IDENTITY, Claim
from isthmus.tables.identity import STANDING, root

MAPPINGS = load_mappings()
RECORDS = [(system, f"{system[0]}{number}") for system in ("salesforce", "dynamics") for number in range(3)]
Native = tuple[str, str]


def says(system: str, native: str, number: str = "A-1", external: str | None = None) -> Unlinked:
    """A record tells its account number."""
    fields = {"account_number": number}
    at = "2026-01-01T00:00:00Z"
    return Unlinked(Linked(system, native, "account", "", "update", fields, (), "1", at, f"{native}@1", "x"), external)


async def asked(desk: Desk, *told: Any, topic: str = "identify") -> dict[str, list[Native]]:
    """The records side by side in each question, as it was asked last."""
    found: dict[str, list[Native]] = {}
    for one in told:
        for review in sent(await desk.work(*items(topic, one)), "reviews"):
            found[review["id"]] = [(side["system"], side["native_id"]) for side in review.get("sides", [])]
    return found


def golden(desk: Desk, native: Native) -> str:
    """Whose record it is."""

    def find(key: bytes) -> Claim | None:
        raw = desk.tables[IDENTITY.name].get(key)
        return None if raw is None else IDENTITY.decode(raw)

    claim = find(":".join(native).encode())
    assert claim is not None
    return root(find, claim.canonical)


@given(st.permutations(RECORDS).flatmap(lambda some: st.integers(2, len(some)).map(lambda most: some[:most])))
async def test_whoever_comes_last_all_are_asked_of_once_and_no_two_of_one_system_are_linked(
    some: Sequence[Native],
) -> None:
    desk = Desk(identify.stage(MAPPINGS))
    found = await asked(desk, *(says(*native) for native in some))
    doubles = len({system for system, _ in some}) < len(some)
    assert found == ({"shared|account|account_number=a-1": sorted(some, key=":".join)} if doubles else {})
    for system in ("salesforce", "dynamics"):
        own = [native for native in some if native[0] == system]
        assert len({golden(desk, native) for native in own}) == len(own)
    assert await asked(desk, *(says(*native) for native in some)) == {}  # nothing new


async def test_what_each_says_stands_side_by_side_with_why_it_is_asked() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    await desk.work(*items("identify", says("salesforce", "s1", "A-1")))
    (review,) = sent(await desk.work(*items("identify", says("salesforce", "s2", "a-1"))), "reviews")
    assert (review["kind"], review["canonical"]) == ("match", "")
    assert [side["value"] for side in review["sides"]] == ["account_number=A-1", "account_number=a-1"]
    assert "they share account_number=a-1" in review["reasons"][0]


async def test_a_record_that_we_made_of_one_of_them_is_no_news() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    await asked(desk, says("salesforce", "s1"), says("salesforce", "s2"))
    made = says("dynamics", "d1", external=golden(desk, ("salesforce", "s1")))
    assert await asked(desk, made) == {}
    assert golden(desk, ("dynamics", "d1")) == golden(desk, ("salesforce", "s1"))
    third = await asked(desk, says("dynamics", "d2"))
    assert len(*third.values()) == 4


async def test_a_key_that_is_shared_once_links_nobody_of_a_third_system_either() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    await asked(desk, says("salesforce", "s1"), says("salesforce", "s2"))
    await asked(desk, says("dynamics", "d1", external=golden(desk, ("salesforce", "s1"))))
    third = await asked(desk, says("operations", "o1"))
    assert len(*third.values()) == 4
    assert golden(desk, ("operations", "o1")) != golden(desk, ("salesforce", "s1"))


async def test_whom_somebody_keeps_apart_nobody_asks_of() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    await asked(desk, says("salesforce", "s1"), says("dynamics", "d1", "B-1"))
    apart = Decision("o1", "apart", "account", (("salesforce", "s1"), ("dynamics", "d1")), "ann", "")
    await asked(desk, apart, topic="identities")
    assert await asked(desk, says("dynamics", "d1", "A-1")) == {}
    assert len(await asked(desk, says("salesforce", "s3"))) == 1


async def answer(desk: Desk, action: Action, *pair: Native, review: str = "") -> dict[str, Any]:
    """What reviews hear of an answer, by the questions' ids."""
    said = Decision(f"o{pair}", action, "account", pair, "ann", "2026-01-02T00:00:00Z", why="seen", review=review)
    return {one["id"]: one for one in sent(await desk.work(*items("identities", said)), "reviews")}


async def test_an_answer_closes_the_question_that_it_is_said_to_answer() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    ((id, _),) = (await asked(desk, says("salesforce", "s0"), says("salesforce", "s1"))).items()
    told = await answer(desk, "link", ("salesforce", "s0"), ("salesforce", "s1"), review=id)
    assert told[id]["closed"]
    assert [(deed["verb"], deed["by"], deed["why"]) for deed in told[id]["decided"]] == [("link", "ann", "seen")]
    assert len({golden(desk, ("salesforce", one)) for one in ("s0", "s1")}) == 1


async def test_a_question_about_four_stays_until_it_is_answered_of_all_of_them() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    (id,) = await asked(desk, *(says(*one) for one in RECORDS[:4]))
    s0, s1, s2, d0 = RECORDS[:4]
    answers: list[tuple[Action, Native, Native]] = [("link", s0, d0), ("apart", s1, d0), ("apart", s2, s0)]
    for action, *pair in answers:
        told = (await answer(desk, action, *pair, review=id))[id]
        assert not told.get("closed")
        assert [(side["system"], side["native_id"]) for side in told["sides"]] == sorted(RECORDS[:4])
        assert [deed["verb"] for deed in told["decided"]] == [action]
    assert (await answer(desk, "apart", s1, s2, review=id))[id]["closed"]


def maybe(one: Native, other: Native) -> Ask:
    """Two records that a scan found, with one account number, may be one."""
    review = Review(question_id("account", one, other), "match", "account", "")
    return Ask((says(*one).linked, says(*other).linked), (None, None), review)


async def test_a_pair_that_is_apart_is_not_linked_by_the_key_that_it_shares_and_nobody_is_asked_of_it() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    pair = ("salesforce", "s0"), ("dynamics", "d0")
    await desk.work(*items("identities", maybe(*pair)))
    assert set(await answer(desk, "apart", *pair)) == {question_id("account", *pair)}
    assert len({golden(desk, one) for one in pair}) == 2
    assert await asked(desk, *(says(*one) for one in pair)) == {}
    assert await asked(desk, maybe(*pair), topic="identities") == {}


async def test_who_is_apart_from_a_record_that_is_still_held_back_stays_so_when_that_is_let_go() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    s0, s1, d0 = ("salesforce", "s0"), ("salesforce", "s1"), ("dynamics", "d0")
    await desk.work(*items("identities", maybe(s0, d0), maybe(s1, d0)))
    await answer(desk, "apart", s0, d0)
    assert await asked(desk, maybe(s0, d0), topic="identities") == {}
    found = await answer(desk, "link", s1, d0)
    assert golden(desk, s1) == golden(desk, d0) != golden(desk, s0)
    assert set(found) == {question_id("account", s1, d0)}, "what was said of the others answers the shared key too"


async def test_the_newest_word_counts_of_two_that_were_apart() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    s0, s1, d0 = ("salesforce", "s0"), ("salesforce", "s1"), ("dynamics", "d0")
    await desk.work(*items("identities", maybe(s0, d0), maybe(s1, d0)))
    await answer(desk, "apart", s0, d0)
    await answer(desk, "link", s0, d0)
    assert golden(desk, s0) == golden(desk, d0)


async def test_records_that_are_loaded_are_asked_of_too() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    loads = [Load((says(*native).linked,), (None,)) for native in RECORDS[:2]]
    assert len(await asked(desk, *loads, topic="identities")) == 1


async def test_a_key_that_everybody_shares_lists_the_first_of_them_alone() -> None:
    desk = Desk(identify.stage(MAPPINGS))
    found = await asked(desk, *(says("salesforce", f"s{number:03}") for number in reversed(range(60))))
    assert [native for _, native in next(iter(found.values()))] == [f"s{number:03}" for number in range(STANDING)]
