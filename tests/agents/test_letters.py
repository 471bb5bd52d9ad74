"""letters: dead letters are kept once each, and what people want done with them leaves the books exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from desk import Desk, items, sent
from msgspec.structs import replace

from isthmus.agents import deliver as delivering
from isthmus.agents import identify, intake, letters, merge, reread
from isthmus.codecs.arrival import Arrival, Link, Reread
from isthmus.codecs.change import Change
from isthmus.codecs.dead import LARGEST, dead_letter
from isthmus.codecs.letters import Order
from isthmus.codecs.linked import Linked, Report, Tell
from isthmus.config.errors import DecodeError, PermanentError, PlatformError, TransientError
from isthmus.config.mapping import load_mappings
from isthmus.systems.protocol import Write, Written
from isthmus.tables.deliveries import Patience
from isthmus.tables.golden import DesiredWrite
from isthmus.tables.letters import LETTERS, Letter, edits_of, letters_of
from isthmus.tables.stage import Batch
from isthmus.tables.unit import Unit

MAPPINGS = load_mappings()
ACCOUNT = "001xx000003DGb1AAG"
CHANGE = Change(
    "salesforce", "Account", ACCOUNT, "update", {"Name": "Alder"}, (), "0001", "2026-01-01T00:00:00Z", "tx-1", None, "sf:1"
)  # fmt: skip
UNMAPPED = replace(CHANGE, entity="Nothing")
LINKED = Linked("salesforce", ACCOUNT, "account", "c-1", "create", {"name": "old"}, (), "1", "", "sf:1", "tx")
LATER = 4e9
numbers = count()


def understand(message: Any) -> Sequence[Reread]:
    """A webhook that is an id and nothing else."""
    if len(message.value) != 2:
        raise DecodeError("no id")
    return [Reread("account", message.value.decode(), "hint-1")]


@pytest.fixture
def desk() -> Desk:
    return Desk(letters.stage(MAPPINGS, {"dynamics": understand}))


async def died(desk: Desk, unit: Unit, seconds: float = 1_700_000_000.0) -> list[Letter]:
    """Hand over a unit's dead letters; all that are kept then."""
    records = [record for record in unit.records if record.topic == "dead"]
    assert all(record.numbered for record in records)
    messages = [SimpleNamespace(value=record.value, partition=0, timestamp=seconds) for record in records]
    await desk.work(Batch("dead", messages))
    return kept(desk)


def kept(desk: Desk) -> list[Letter]:
    return list(letters_of(desk.tables[LETTERS.name]))


async def order(desk: Desk, letter: Letter, action: Any, payload: Any = None, id: str | None = None) -> Unit:
    """Give an order."""
    text = payload if payload is None or isinstance(payload, str) else orjson.dumps(payload).decode()
    wanted = Order(id or f"o-{next(numbers)}", letter.id, action, "ada", "2026-01-02T00:00:00Z", text)
    return await desk.work(*items("letters", wanted))


def books(*desks: Desk) -> dict[str, Counter[str]]:
    """The ledger over several stages, without what comes to nothing."""
    found: dict[str, Counter[str]] = {}
    for desk in desks:
        for subject, outcomes in desk.counts.items():
            found.setdefault(subject, Counter()).update(outcomes)
    some = {subject: Counter({name: n for name, n in counts.items() if n}) for subject, counts in found.items()}
    return {subject: counts for subject, counts in some.items() if counts}


def taking_in(mappings: Any = MAPPINGS) -> Desk:
    return Desk(intake.stage(["salesforce", "dynamics"], mappings, {}))


def arrived(*changes: Change, **more: Any) -> Any:
    return items("changes.salesforce", *(Arrival(change, "tx-1", **more) for change in changes))


async def passed_on(unit: Unit, topic: str, to: Desk) -> Unit:
    """What a unit sent to a topic, done by the stage that reads it."""
    elements = [one for (name, _), some in unit.frames.items() if name == topic for one in some]
    return await to.work(Batch(topic, elements))


# -- keeping


async def test_a_letter_is_kept_with_all_that_is_known_of_it(desk: Desk) -> None:
    (letter,) = await died(desk, await taking_in().work(*arrived(UNMAPPED)))
    assert (letter.stage, letter.code, letter.state, letter.topic) == (
        "intake",
        "UNMAPPED",
        "open",
        "changes.salesforce",
    )
    assert (letter.system, letter.entity, letter.record) == ("salesforce", "Nothing", ACCOUNT)
    assert letter.correlation == "tx-1"
    assert orjson.loads(letter.original)["change"]["fields"] == {"Name": "Alder"}
    assert [(one.at, one.code) for one in letter.attempts] == [("2023-11-14T22:13:20.000Z", "UNMAPPED")]


async def test_a_repeat_is_the_same_letter_and_another_change_is_another(desk: Desk) -> None:
    here = taking_in()
    await died(desk, await here.work(*arrived(UNMAPPED)))
    await died(desk, await here.work(*arrived(UNMAPPED)), 1_700_000_060.0)
    found = await died(desk, await here.work(*arrived(replace(UNMAPPED, change_id="sf:2"))))
    assert sorted((one.died, one.standing, len(one.attempts)) for one in found) == [(1, 1, 1), (2, 2, 2)]


async def test_kafkas_own_milliseconds_are_understood(desk: Desk) -> None:
    (letter,) = await died(desk, await taking_in().work(*arrived(UNMAPPED)), 1_700_000_000_000)
    assert letter.first == "2023-11-14T22:13:20.000Z"


async def test_what_is_no_letter_and_what_is_no_order_are_passed_over(desk: Desk) -> None:
    unit = await desk.work(Batch("dead", [SimpleNamespace(value=b"garbage", partition=0, timestamp=1.0)]))
    assert (unit.records, kept(desk)) == ([], [])
    unit = await desk.work(*items("letters", {"nonsense": 1}))
    assert unit.records == []


# -- replay


async def test_a_replayed_change_moves_in_the_books_from_dead_to_what_it_becomes(desk: Desk) -> None:
    before, after = taking_in(MAPPINGS.joining(["dynamics"])), taking_in()
    (letter,) = await died(desk, await before.work(*arrived(CHANGE)))
    assert books(before, desk) == {"salesforce/Account": {"received": 1, "dead": 1}}
    unit = await order(desk, letter, "replay")
    assert books(before, desk) == {"salesforce/Account": {"received": 1}}  # under way
    done = await passed_on(unit, "changes.salesforce", after)
    assert [one["linked"]["fields"] for one in sent(done, "identify")] == [{"name": "Alder"}]
    assert books(before, desk, after) == {"salesforce/account": {"received": 1}}
    (letter,) = kept(desk)
    assert (letter.state, letter.standing) == ("replayed", 0)
    assert [(deed.done, deed.by) for deed in letter.deeds] == [("replayed", "ada")]


async def test_a_second_replay_sends_nothing_and_neither_does_the_same_order_again(desk: Desk) -> None:
    (letter,) = await died(desk, await taking_in().work(*arrived(UNMAPPED)))
    assert (await order(desk, letter, "replay", id="once")).frames
    assert (await order(desk, letter, "replay", id="once")).frames == {}
    assert (await order(desk, letter, "replay")).frames == {}
    assert [deed.done for deed in kept(desk)[0].deeds] == ["replayed", "refused"]


async def test_a_replay_that_dies_again_is_the_same_letter_open_again_and_the_books_are_exact(desk: Desk) -> None:
    here = taking_in()
    (letter,) = await died(desk, await here.work(*arrived(UNMAPPED)))
    unit = await passed_on(await order(desk, letter, "replay"), "changes.salesforce", here)
    (again,) = await died(desk, unit)
    assert (again.id, again.state, again.standing, again.died) == (letter.id, "open", 1, 2)
    assert [deed.done for deed in again.deeds] == ["replayed"]
    assert books(here, desk) == {"salesforce/Nothing": {"received": 1, "dead": 1}}


async def test_of_a_change_that_died_twice_one_goes_on_and_the_other_was_a_repeat(desk: Desk) -> None:
    here = taking_in()
    await died(desk, await here.work(*arrived(UNMAPPED)))
    (letter,) = await died(desk, await here.work(*arrived(UNMAPPED)))
    unit = await order(desk, letter, "replay")
    assert len(sent(unit, "changes.salesforce")) == 1
    assert books(here, desk) == {"salesforce/Nothing": {"received": 2, "unchanged": 1}}


async def test_a_change_that_died_in_merge_goes_back_there_and_counts_for_no_more_than_what_is_newer(
    desk: Desk,
) -> None:
    merging = Desk(merge.stage(MAPPINGS))
    old = replace(LINKED, fields={"name": "old"}, version="0001", changed_at="2026-01-01T00:00:00Z")
    dying = Unit(merging.tables)
    merging.stage.bury(dying, orjson.dumps({"kind": "change", **_told(old)}), RuntimeError("oh"))
    dying.count("salesforce", "account", "received")
    (letter,) = await died(desk, dying)
    await merging.work(*items("merge", replace(old, version="0002", fields={"name": "new"}, change_id="sf:2")))
    unit = await order(desk, letter, "replay")
    done = await passed_on(unit, "merge", merging)
    assert done.records == []
    assert merging.counts["salesforce/account"] == {"applied": 1, "unchanged": 1}
    assert desk.counts == {"salesforce/account": {"dead": -1}}


async def test_what_died_in_identify_goes_back_there(desk: Desk) -> None:
    here = Desk(identify.stage(MAPPINGS))
    linked = LINKED.at("")
    dying = Unit(desk.tables)
    here.stage.bury(
        dying, orjson.dumps({"linked": {"kind": "change", **_told(linked)}, "external_id": None}), OSError()
    )
    (letter,) = await died(desk, dying)
    assert (letter.system, letter.entity, letter.record) == ("salesforce", "account", ACCOUNT)
    done = await passed_on(await order(desk, letter, "replay"), "identify", here)
    assert len(sent(done, "merge")) == 1
    assert desk.counts == {"salesforce/account": {"dead": -1}}


def _told(linked: Linked) -> dict[str, Any]:
    return {name: getattr(linked, name) for name in linked.__struct_fields__}


class Reading:
    """A system whose reads are refused for good."""

    name = "dynamics"

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Any]:
        raise PermanentError("no such column")


async def test_a_hint_that_died_is_followed_and_its_read_is_received_anew(desk: Desk) -> None:
    here = Desk(reread.stage(Reading(), understand, versioned=True))  # type: ignore[arg-type]
    unit = await here.work(Batch("hints.dynamics", [SimpleNamespace(value=b"nonsense")]))
    (letter,) = await died(desk, unit)
    await order(desk, letter, "replay")
    (letter,) = kept(desk)
    assert [(deed.done, letter.state) for deed in letter.deeds] == [("refused", "open")]
    await order(desk, letter, "edit", "nonsense still")
    await order(desk, letter, "edit", "g1")
    unit = await order(desk, kept(desk)[0], "replay")
    assert [(one["object"], one["record_id"]) for one in sent(unit, "rereads.dynamics")] == [("account", "g1")]
    assert books(here, desk) == {"dynamics/unknown": {"received": 1, "unchanged": 1}}
    assert [deed.done for deed in kept(desk)[0].deeds] == ["refused", "refused", "edited", "replayed"]


async def test_a_read_that_was_refused_is_asked_for_again(desk: Desk) -> None:
    here = Desk(reread.stage(Reading(), understand, versioned=True))  # type: ignore[arg-type]
    (letter,) = await died(desk, await here.work(*items("rereads.dynamics", Reread("account", "g1", "c"))))
    assert (letter.record, letter.correlation) == ("g1", "c")
    unit = await order(desk, letter, "replay")
    (again,) = await died(desk, await passed_on(unit, "rereads.dynamics", here))
    assert (again.id, again.died, again.standing) == (letter.id, 2, 1)
    assert books(here, desk) == {"dynamics/account": {"received": 2, "unchanged": 1, "dead": 1}}


# -- writes


class Target:
    """A system that answers writes as told, then well."""

    name = "dynamics"

    def __init__(self, *answers: PlatformError) -> None:
        self.answers = list(answers)
        self.written: list[Write] = []

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        return [self.answers.pop(0) if self.answers else self._write(write) for write in writes]

    def _write(self, write: Write) -> Written:
        self.written.append(write)
        return Written("g1", "5", True)


async def test_a_dead_write_replayed_tells_the_system_what_is_golden_now_and_nothing_older(desk: Desk) -> None:
    target = Target(TransientError("busy"), PermanentError("too long"))
    merging, here = Desk(merge.stage(MAPPINGS)), Desk(delivering.stage(target, MAPPINGS, Patience()))  # type: ignore[arg-type]
    await passed_on(await merging.work(*items("merge", LINKED)), "writes.dynamics", here)
    dead = await here.work(Batch("tick", [LATER]))
    (letter,) = await died(desk, dead)
    assert [one.code for one in letter.attempts] == ["TRANSIENT", "PERMANENT"]
    assert (letter.record, letter.correlation) == ("c-1", "tx")
    await passed_on(dead, "merge", merging)
    newer = replace(LINKED, fields={"phone": "1"}, operation="update", version="2", change_id="sf:2")
    merging.stage.fold(unit := Unit(merging.tables), [Batch("merge", [newer])])
    merging.keep(unit)  # its write is still under way
    unit = await order(desk, letter, "replay")
    told = await passed_on(unit, "merge", merging)
    assert sent(told, "writes.dynamics") == []  # what is under way says all of it
    assert books(desk, here)["dynamics/account"]["delivery_dead"] == 0


async def test_a_dead_write_replayed_is_told_again_where_it_is_lacking_still(desk: Desk) -> None:
    target = Target(PermanentError("too long"))
    merging, here = Desk(merge.stage(MAPPINGS)), Desk(delivering.stage(target, MAPPINGS, Patience()))  # type: ignore[arg-type]
    dead = await passed_on(await merging.work(*items("merge", LINKED)), "writes.dynamics", here)
    await passed_on(dead, "merge", merging)
    (letter,) = await died(desk, dead)
    told = await passed_on(await order(desk, letter, "replay"), "merge", merging)
    done = await passed_on(told, "writes.dynamics", here)
    assert [write.fields["name"] for write in target.written] == ["old"]
    await passed_on(done, "merge", merging)
    assert (await order(desk, letter, "replay")).frames == {}
    assert books(desk, here, merging)["dynamics/account"] == {
        "delivery_intended": 2,
        "delivery_superseded": 1,
        "delivery_written": 1,
    }


async def test_all_dead_writes_to_a_record_are_one_letter_which_says_the_newest(desk: Desk) -> None:
    target = Target(PermanentError("too long"), PermanentError("too long"))
    here = Desk(delivering.stage(target, MAPPINGS, Patience()))  # type: ignore[arg-type]
    for revision in (1, 2):
        wish = DesiredWrite("dynamics", "c-1", "account", revision, "g1", {"name": f"{revision}"}, "5", "tx")
        found = await died(desk, await here.work(*items("writes.dynamics", wish)))
    (letter,) = found
    assert (letter.died, orjson.loads(letter.original)["revision"]) == (2, 2)
    await order(desk, letter, "edit", orjson.loads(letter.original))
    assert "golden" in kept(desk)[0].deeds[-1].note


async def test_merge_tells_nothing_of_a_golden_record_that_it_does_not_know() -> None:
    merging = Desk(merge.stage(MAPPINGS))
    unit = await merging.work(*items("merge", Tell("dynamics", "c-9", "account", "")))
    assert (unit.frames, merging.tables["golden"].values) == ({}, {})


async def test_a_report_that_died_goes_back_to_merge_and_moves_nothing(desk: Desk) -> None:
    merging = Desk(merge.stage(MAPPINGS))
    report = Report("dynamics", "g1", "c-1", "nothing", 1, "written", "5", {"name": "a"})
    (letter,) = await died(desk, await merging.work(*items("merge", report)))
    unit = await order(desk, letter, "replay")
    assert [one["kind"] for one in sent(unit, "merge")] == ["report"]
    assert desk.counts == {}


# -- edit, discard, refusals


async def test_an_edit_is_sent_in_the_originals_place_and_kept_with_what_was_there(desk: Desk) -> None:
    here = taking_in()
    await here.work(*items("links", Link("salesforce", ACCOUNT, "account", "c-1")))
    (letter,) = await died(desk, await here.work(*arrived(UNMAPPED)))
    told = orjson.loads(letter.original)
    told["change"]["entity"] = "Account"
    await order(desk, letter, "edit", told)
    told["change"]["fields"] = {"Name": "Birch"}
    await order(desk, letter, "edit", told)
    first, second = edits_of(desk.tables[LETTERS.name], letter.id)
    assert (first.before, first.after) == (letter.original, second.before)
    assert (first.by, first.at) == ("ada", "2026-01-02T00:00:00Z")
    unit = await passed_on(await order(desk, letter, "replay"), "changes.salesforce", here)
    assert [one["fields"] for one in sent(unit, "merge")] == [{"name": "Birch"}]
    assert books(here, desk) == {"salesforce/account": {"received": 1}}
    assert kept(desk)[0].original == letter.original


@pytest.mark.parametrize(
    "change",
    [
        {"version": "9999"},
        {"record_id": "001other"},
        {"change_id": "sf:9"},
        {"changed_at": None},
        {"system": "dynamics"},
    ],
)
async def test_an_edit_may_not_make_a_change_newer_or_another_records(desk: Desk, change: dict[str, Any]) -> None:
    (letter,) = await died(desk, await taking_in().work(*arrived(UNMAPPED)))
    told = orjson.loads(letter.original)
    told["change"] |= change
    await order(desk, letter, "edit", told)
    (letter,) = kept(desk)
    assert (letter.payload, [deed.done for deed in letter.deeds]) == (None, ["refused"])


async def test_a_discarded_letter_stays_dead_in_the_books_until_somebody_replays_it_after_all(desk: Desk) -> None:
    here = taking_in()
    (letter,) = await died(desk, await here.work(*arrived(UNMAPPED)))
    await order(desk, letter, "discard")
    assert kept(desk)[0].state == "discarded"
    await order(desk, letter, "edit", letter.original)
    await order(desk, letter, "discard")
    assert [deed.done for deed in kept(desk)[0].deeds] == ["discarded", "refused", "refused"]
    assert books(here, desk) == {"salesforce/Nothing": {"received": 1, "dead": 1}}
    assert (await order(desk, letter, "replay")).frames


async def test_what_came_by_no_topic_or_was_too_large_to_keep_is_refused_with_a_reason(desk: Desk) -> None:
    unit = Unit(desk.tables)
    unit.bury(dead_letter(DecodeError("no JSON"), stage="source", original=b"\xff", system="salesforce"))
    large = b'{"change": "' + b"x" * LARGEST + b'"}'
    unit.bury(dead_letter(DecodeError("huge"), stage="intake", original=large, topic="changes.salesforce"))
    for letter in await died(desk, unit):
        assert (await order(desk, letter, "replay")).frames == {}
    notes = {letter.stage: letter.deeds[-1].note for letter in kept(desk)}
    assert "by no topic" in notes["source"]
    assert "digest" in notes["intake"]
