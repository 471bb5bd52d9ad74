"""reread: hints and requests become reads, and reads become changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from desk import Desk, items, letters, sent

from isthmus.agents import reread
from isthmus.codecs.arrival import Found, Reread
from isthmus.config.errors import DecodeError, PermanentError, TransientError
from isthmus.systems.protocol import Row
from isthmus.tables.stage import Batch


@dataclass
class Rows:
    """A system of which only `read` is asked; `faults` are raised first."""

    rows: dict[str, Row]
    name: str = "dynamics"
    faults: list[Exception] = field(default_factory=list)
    asked: list[Sequence[str]] = field(default_factory=list)

    async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
        self.asked.append(list(record_ids))
        if self.faults:
            raise self.faults.pop(0)
        return [self.rows.get(one, Row(one, False, {})) for one in record_ids]


def desk(system: Any, understand: Any = None, *, versioned: bool = True) -> Desk:
    return Desk(reread.stage(system, understand, versioned))


def row(record_id: str, version: str = "1", name: str = "Alder") -> Row:
    return Row(record_id, True, {"name": name, "telephone1": None}, version, "2026-01-01T00:00:00Z")


def asks(*requests: Reread) -> Any:
    return items("rereads.dynamics", *(request for request in requests))


async def test_all_hints_at_one_record_are_one_read_and_one_change() -> None:
    system = Rows({"g1": row("g1"), "g2": row("g2")})
    unit = await desk(system).work(*asks(*(Reread("account", one, "c") for one in ("g1", "g1", "g2", "g1"))))
    assert system.asked == [["g1", "g2"]]
    assert [one["change"]["record_id"] for one in sent(unit, "changes.dynamics")] == ["g1", "g2"]
    assert all(one["whole"] for one in sent(unit, "changes.dynamics"))


async def test_each_gap_gets_an_answer_of_its_own() -> None:
    system = Rows({"g1": row("g1")})
    unit = await desk(system).work(*asks(Reread("account", "g1", "c", answers="x"), Reread("account", "g1", "c")))
    assert sorted(str(one.get("answers")) for one in sent(unit, "changes.dynamics")) == ["None", "x"]


async def test_a_ghost_is_no_change_and_a_row_that_went_is_a_delete() -> None:
    system = Rows({"g1": row("g1")})
    here = desk(system)
    unit = await here.work(*asks(Reread("account", "ghost", "c"), Reread("account", "g1", "c")))
    assert len(sent(unit, "changes.dynamics")) == 1
    system.rows.clear()
    unit = await here.work(*asks(Reread("account", "g1", "c")))
    assert [one["change"]["operation"] for one in sent(unit, "changes.dynamics")] == ["delete"]


async def test_a_passing_fault_is_tried_again_and_a_lasting_one_is_a_dead_letter_each() -> None:
    system = Rows({"g1": row("g1")}, faults=[TransientError("busy", retry_after=0.01)])
    here = desk(system)
    assert len(sent(await here.work(*asks(Reread("account", "g1", "c"))), "changes.dynamics")) == 1
    assert len(system.asked) == 2
    system.faults = [PermanentError("no such table")] * 3
    unit = await here.work(*asks(Reread("account", "g1", "c"), Reread("account", "g2", "c")))
    assert len(letters(unit)) == 2
    assert here.counts["dynamics/account"] == {"received": 2, "dead": 2}


async def test_a_hint_that_is_not_understood_is_a_dead_letter_with_its_bytes() -> None:
    def understand(message: Any) -> Sequence[Reread]:
        raise DecodeError("nonsense", place="body")

    here = desk(Rows({}), understand)
    unit = await here.work(Batch("hints.dynamics", [SimpleNamespace(value=b"{nonsense", headers=[])]))
    assert [letter["original"] for letter in letters(unit)] == ["{nonsense"]
    assert here.counts == {"dynamics/unknown": {"received": 1, "dead": 1}}


async def test_a_platform_without_row_versions_answers_with_the_version_that_asked() -> None:
    here = desk(Rows({"g1": Row("g1", True, {"name": "A"})}), versioned=False)
    unit = await here.work(
        *asks(Reread("account", "g1", "c", version="0007"), Reread("account", "g9", "c", version="8"))
    )
    told = {one["change"]["record_id"]: one["change"] for one in sent(unit, "changes.dynamics")}
    assert (told["g1"]["operation"], told["g1"]["version"]) == ("update", "0007")
    assert told["g9"]["operation"] == "delete"


async def test_reads_whose_versions_have_no_order_get_one_here_and_an_event_is_heard_once() -> None:
    system = Rows({"g1": row("g1", 'W/"zz"')})
    here = Desk(reread.stage(system, None, versioned=True, unordered=True))
    changes = []
    for version, event in (('W/"zz"', "e1"), ('W/"aa"', "e2"), ('W/"aa"', "e2"), ('W/"aa"', "e3")):
        system.rows["g1"] = row("g1", version)
        unit = await here.work(*asks(Reread("account", "g1", "c", nonce=event)))
        changes += [one["change"] for one in sent(unit, "changes.dynamics")]
    numbers = [change["version"].partition(" ")[0].lstrip("0") for change in changes]
    assert numbers == ["1", "2", "2", "2"]
    assert len({change["change_id"] for change in changes}) == 3


def fed(record_id: str, version: str = "1", **more: Any) -> Reread:
    return Reread("account", record_id, "feed", found=Found({"name": "Alder"}, version), **more)


async def test_what_a_feed_has_read_costs_no_request_and_is_told_once() -> None:
    system = Rows({"g1": row("g1")})
    here = desk(system)
    unit = await here.work(*asks(fed("g1")))
    assert [one["change"]["change_id"] for one in sent(unit, "changes.dynamics")] == ["dynamics:account:g1@1"]
    unit = await here.work(*asks(fed("g1"), fed("g1")))
    assert sent(unit, "changes.dynamics") == []
    assert system.asked == []


async def test_what_a_full_read_did_not_meet_is_asked_for_and_what_it_met_is_not() -> None:
    here = desk(Rows({}))
    await here.work(*asks(*(fed(f"g{n}", full=1) for n in range(4))))
    unit = await here.work(*asks(fed("g1", full=2), fed("g2", full=2), Reread("account", "", "s", full=2, swept=True)))
    assert {one["record_id"] for one in sent(unit, "rereads.dynamics")} == {"g0", "g3"}
    unit = await here.work(*asks(Reread("account", "g0", "s"), Reread("account", "g3", "s")))
    assert {one["change"]["operation"] for one in sent(unit, "changes.dynamics")} == {"delete"}
    unit = await here.work(*asks(Reread("account", "", "s", full=2, swept=True)))
    assert sent(unit, "rereads.dynamics") == [], "what is gone is not asked for again"


async def test_the_end_of_a_full_read_without_row_versions_is_said_to_intake_after_what_was_met() -> None:
    here = desk(Rows({"g1": Row("g1", True, {"name": "A"})}), versioned=False)
    end = Reread("account", "", "s", "7~", swept=True, way="0")
    unit = await here.work(*asks(end, Reread("account", "g1", "s", "7~")))
    met, swept = sent(unit, "changes.dynamics")
    assert (met["change"]["record_id"], met.get("swept")) == ("g1", None)
    assert (swept["change"]["entity"], swept["change"]["version"], swept["swept"]) == ("account", "7~", True)


async def test_more_than_a_share_that_is_met_no_more_is_not_believed() -> None:
    here = desk(Rows({}))
    await here.work(*asks(*(fed(f"g{n}", full=1) for n in range(60))))
    unit = await here.work(*asks(Reread("account", "", "s", full=2, swept=True)))
    assert sent(unit, "rereads.dynamics") == []
    (letter,) = letters(unit)
    assert letter["code"] == "TOO_MANY_GONE"
    assert "60 of 60" in letter["error"]
    assert here.counts == {"dynamics/account": {"received": 1, "dead": 1}}


async def test_one_row_that_is_refused_costs_no_other() -> None:
    class Picky(Rows):
        async def read(self, object: str, record_ids: Sequence[str]) -> list[Row]:
            if "hidden" in record_ids:
                raise PermanentError("missing privilege", code="0x80040220")
            return await super().read(object, record_ids)

    here = desk(Picky({"g1": row("g1")}))
    unit = await here.work(*asks(Reread("account", "hidden", "c"), Reread("account", "g1", "c")))
    assert [one["change"]["record_id"] for one in sent(unit, "changes.dynamics")] == ["g1"]
    assert [letter["code"] for letter in letters(unit)] == ["0x80040220"]


async def test_a_row_that_may_only_be_hidden_is_a_dead_letter_and_no_delete() -> None:
    system = Rows({"g1": Row("g1", False, {}, sure=False), "g2": Row("g2", False, {})}, name="salesforce")
    asked = [Reread("Account", one, "c", version="7~") for one in ("g1", "g2")]
    unit = await desk(system, versioned=False).work(*items("rereads.salesforce", *asked))
    changes = sent(unit, "changes.salesforce")
    assert [(one["change"]["record_id"], one["change"]["operation"]) for one in changes] == [("g2", "delete")]
    (letter,) = letters(unit)
    assert (letter["code"], letter["context"]["record_id"]) == ("GONE_UNCONFIRMED", "g1")
    assert letter["topic"] == "rereads.salesforce"
