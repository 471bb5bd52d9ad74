"""source: what a stream said and the position after it are one unit of work."""

from __future__ import annotations

from desk import Desk, letters, sent

from isthmus.agents import source
from isthmus.codecs.arrival import Found, Reread
from isthmus.codecs.change import Change
from isthmus.config.errors import DecodeError
from isthmus.config.mapping import load_mappings
from isthmus.systems.protocol import Delivery
from isthmus.tables.positions import POSITIONS
from isthmus.tables.unit import Unit, partition_of

CHANGE = Change("salesforce", "Account", "001a", "update", {"Name": "A"}, (), "1", None, "tx-1", None, "sf:1")
MAPPINGS = load_mappings()


def heard(*deliveries: Delivery) -> tuple[Desk, Unit]:
    desk = Desk(source.stage({}, MAPPINGS, lambda name: 0, {}))
    unit = Unit(desk.tables)
    source.record(unit, "salesforce", MAPPINGS, deliveries)
    desk.keep(unit)
    return desk, unit


def test_the_changes_and_the_position_after_the_last_go_together() -> None:
    desk, unit = heard(Delivery((CHANGE, CHANGE), "7", b"{}"), Delivery((), "8", b"{}"))
    assert [one["correlation"] for one in sent(unit, "changes.salesforce")] == ["tx-1", "tx-1"]
    assert desk.tables[POSITIONS.name].values == {b"salesforce": b'"8"'}


def test_an_object_that_is_not_mapped_is_passed_over() -> None:
    other = Change("salesforce", "Shoe__c", "a0", "update", {}, (), "1", None, "tx", None, "sf:2")
    desk, unit = heard(Delivery((other,), "9", b"{}"))
    assert sent(unit, "changes.salesforce") == []
    assert desk.counts == {}


def test_a_message_that_cannot_be_decoded_is_a_dead_letter_with_its_bytes_and_the_position_goes_on() -> None:
    desk, unit = heard(Delivery((), "9", b"\xff\xfe", DecodeError("not JSON")))
    (letter,) = letters(unit)
    assert (letter["original"], letter["encoding"]) == ("//4=", "base64")
    assert desk.counts == {"salesforce/unknown": {"received": 1, "dead": 1}}
    assert desk.tables[POSITIONS.name].values[b"salesforce"] == b'"9"'


def test_what_a_feed_read_goes_to_the_reader_of_its_record_and_the_end_of_a_full_read_to_every_reader() -> None:
    reads = (
        Reread("account", "g1", "c", found=Found({"name": "A"}, "1")),
        Reread("shoe", "s1", "c", found=Found({}, "2")),
        Reread("account", "", "c", full=2, swept=True),
    )
    desk = Desk(source.stage({}, MAPPINGS, lambda name: 0, {}))
    unit = Unit(desk.tables, partitions=5)
    source.record(unit, "dynamics", MAPPINGS, [Delivery((), "7", b"", reads=reads)])
    ways = {way: [one.record_id for one in elements] for way, elements in unit.frames.items()}
    own = partition_of(b"dynamics:g1", 5)
    assert {way[1]: unit.frames[way][-1].way for way in unit.frames} == {
        n: next(key.decode() for key in source.every_partition(5) if partition_of(key, 5) == n) for n in range(5)
    }
    assert ways == {("rereads.dynamics", n): ["g1", ""] if n == own else [""] for n in range(5)}
