"""Values on their way: in through intake, out through deliver, and what happens to one that cannot be translated."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import yaml
from desk import Desk, items, letters, sent
from msgspec.structs import replace
from person import PEOPLE, PERSON, TEXT
from test_deliver import Target

from isthmus.agents import deliver, intake
from isthmus.codecs.arrival import Arrival
from isthmus.codecs.change import Change, Value
from isthmus.codecs.linked import Linked, Report
from isthmus.codecs.translation import Translation, Translations
from isthmus.config.mapping import EntityMapping, load_mappings
from isthmus.tables.deliveries import Patience
from isthmus.tables.fold import fold
from isthmus.tables.golden import DesiredWrite

CHANGE = Change("salesforce", "Contact", "003A", "update", {}, (), "1", "2026", "t", None, "sf:1")
SALESFORCE, DYNAMICS = Translation(PERSON, "salesforce"), Translation(PERSON, "dynamics")


@pytest.fixture
def desk() -> Desk:
    return Desk(intake.stage(["salesforce", "dynamics"], PEOPLE, {}))


def arrived(*cleared: str, whole: bool = False, answers: str | None = None, **fields: Value) -> Any:
    change = replace(CHANGE, fields=fields, cleared=cleared, change_id=f"sf:{fields}{cleared}{answers}")
    return items("changes.salesforce", Arrival(change, "tx", whole=whole, answers=answers))


async def taken(desk: Desk, batches: Any) -> tuple[Any, Any]:
    unit = await desk.work(*batches)
    return [one["linked"] for one in sent(unit, "identify")], unit


# -- in


async def test_a_change_is_told_in_canonical_values(desk: Desk) -> None:
    given = arrived("Industry__c", Email=" Ann@Alder.Example", MailingCountry="Germany", Phone="030 12345678")
    ((linked,), unit) = await taken(desk, given)
    assert linked["fields"] == {"email": "ann@alder.example", "country": "DE", "phone": "+493012345678"}
    assert linked["cleared"] == ["industry"]
    assert letters(unit) == []


async def test_a_value_that_is_refused_is_a_dead_letter_and_the_rest_goes_on(desk: Desk) -> None:
    ((linked,), unit) = await taken(desk, arrived(FirstName="Ann", Email="none yet", Industry__c="Fishing"))
    assert linked["fields"] == {"first_name": "Ann"}
    email, industry = letters(unit)
    assert (email["code"], email["context"]["field"], email["context"]["value"]) == ("TRANSFORM", "email", "none yet")
    assert "email from salesforce: 'none yet': is no e-mail address" in email["error"]
    assert orjson.loads(industry["original"])["change"]["fields"]["Industry__c"] == "Fishing"
    # The change itself is not dead: merge will say what becomes of it.
    assert desk.counts == {"salesforce/person": {"received": 1, "fields_refused": 2}}


async def test_a_text_of_blanks_clears(desk: Desk) -> None:
    ((linked,), _) = await taken(desk, arrived(Email="  "))
    assert (linked["fields"], linked["cleared"]) == ({}, ["email"])


async def test_a_value_that_needs_the_country_waits_for_the_whole_record(desk: Desk) -> None:
    (none, unit) = await taken(desk, arrived(Phone="01 2345678", FirstName="Ann"))
    assert none == []
    (ask,) = sent(unit, "rereads.salesforce")
    assert desk.counts == {"salesforce/person": {"received": 1, "parked": 1}}
    row = arrived(whole=True, answers=ask["answers"], Phone="01 2345678", FirstName="Ann", MailingCountry="Austria")
    ((linked,), _) = await taken(desk, row)
    assert linked["fields"] == {"phone": "+4312345678", "first_name": "Ann", "country": "AT"}
    assert desk.counts == {"salesforce/person": {"received": 2, "reread": 1, "parked": 0, "applied": 1}}


@pytest.mark.parametrize(
    ("fields", "cleared"),
    [({"Phone": "+43 1 2345678"}, ()), ({"Phone": "01 2345678"}, ("MailingCountry",)), ({"MailingState": "DE-BY"}, ())],
)
async def test_a_value_that_can_do_without_the_country_does_not_wait(
    desk: Desk, fields: dict[str, Value], cleared: tuple[str, ...]
) -> None:
    (linked, _) = await taken(desk, arrived(*cleared, **fields))
    assert len(linked) == 1


def test_a_number_is_not_guessed_where_its_country_was_refused() -> None:
    told = SALESFORCE.inward({"Phone": "01 2345678", "MailingCountry": "Atlantis", "FirstName": "Ann"}, ())
    assert told.fields == {"first_name": "Ann"}
    assert [fault.field for fault in told.refused] == ["country", "phone"]
    whole = SALESFORCE.inward({"Phone": "+43 1 2345678", "MailingCountry": "Atlantis"}, ())
    assert whole.fields == {"phone": "+4312345678"}


def test_a_day_beyond_the_calendar_is_refused() -> None:
    told = yaml.safe_load(TEXT)
    told["fields"]["born"] = {"type": "date", "rule": "last_writer"}
    spec = {"kind": "date", "form": "datetime", "zone": "Asia/Tokyo"}
    told["systems"]["salesforce"]["fields"]["born"] = {"column": "Born__c", "transform": spec}
    translation = Translation(EntityMapping.model_validate(told), "salesforce")
    (fault,) = translation.inward({"Born__c": "9999-12-31T23:00:00Z"}, ()).refused
    assert fault.field == "born"
    (fault,) = translation.outward({"born": "0001-01-01"})[1]
    assert fault.field == "born"


async def test_a_whole_record_whose_country_is_hidden_is_not_read_again_and_again(desk: Desk) -> None:
    ((linked,), unit) = await taken(desk, arrived(whole=True, Phone="030 12345678"))
    assert linked["fields"] == {"phone": "+493012345678"}
    assert sent(unit, "rereads.salesforce") == []


async def test_what_is_only_written_is_not_listened_to(desk: Desk) -> None:
    ((linked,), _) = await taken(desk, arrived("Note__c", Note__c="typed by hand", Score__c=5))
    assert (linked["fields"], linked["cleared"]) == ({"score": 5}, [])


def test_a_name_is_taken_apart_and_put_together() -> None:
    assert DYNAMICS.inward({"fullname": "Anna van der Berg"}, ()).fields == {
        "first_name": "Anna",
        "last_name": "van der Berg",
    }
    assert DYNAMICS.inward({}, ("fullname",)).cleared == ("first_name", "last_name")
    assert DYNAMICS.inward({"fullname": "Berg"}, ()).cleared == ("first_name",)
    assert DYNAMICS.outward({"first_name": "Anna", "last_name": "van der Berg"}) == (
        {"fullname": "Anna van der Berg"},
        (),
    )
    assert DYNAMICS.outward({"first_name": None, "last_name": None}) == ({"fullname": None}, ())


def test_an_entity_without_transforms_has_no_translation() -> None:
    found = Translations(load_mappings())
    assert found.of("salesforce", "Account") is None
    assert Translations(PEOPLE).of("salesforce", "Contact") is not None


# -- out


@pytest.mark.parametrize(
    "values",
    [
        {"email": "ann@alder.example", "phone": "+493012345678;ext=9", "country": "CI", "state": "CI-AB"},
        {"state": "US-NY", "industry": "banking", "first_name": "Ann", "last_name": "Moss", "phone": "+390212345678"},
        {"state": None, "industry": None, "first_name": None, "last_name": None, "email": None},
    ],
)
@pytest.mark.parametrize("translation", [SALESFORCE, DYNAMICS], ids=["salesforce", "dynamics"])
def test_what_is_written_is_heard_as_it_was(translation: Translation, values: dict[str, Value]) -> None:
    native, refused = translation.outward(values)
    assert refused == ()
    present = {name: value for name, value in native.items() if value is not None}
    told = translation.inward({**present, **_country(translation, values)}, [n for n in native if n not in present])
    heard = {**told.fields, **dict.fromkeys(told.cleared)}
    assert {name: heard[name] for name in values} == values


def _country(translation: Translation, values: dict[str, Value]) -> dict[str, Value]:
    """The country stands beside its state in the record."""
    state = values.get("state")
    return {} if not isinstance(state, str) else translation.outward({"country": state[:2]})[0]


def test_what_would_be_read_as_something_else_is_not_written() -> None:
    native, refused = DYNAMICS.outward(
        {"first_name": "Ann", "last_name": "Moss Hill", "industry": "mining", "note": "x"}
    )
    assert native == {"description": "x"}
    assert sorted(fault.field for fault in refused) == ["first_name", "industry", "last_name"]
    assert {fault.code for fault in refused} == {"TRANSFORM"}


def test_a_value_that_loses_something_on_the_way_is_not_written() -> None:
    told = yaml.safe_load(TEXT)
    told["fields"]["born"] = {"type": "date", "rule": "last_writer"}
    short = {"column": "Born__c", "transform": {"kind": "date", "format": "%d.%m.%y"}}
    told["systems"]["salesforce"]["fields"]["born"] = short
    translation = Translation(EntityMapping.model_validate(told), "salesforce")
    assert translation.outward({"born": "2026-11-24"}) == ({"Born__c": "24.11.26"}, ())
    native, (fault,) = translation.outward({"born": "1926-11-24"})
    assert native == {}
    assert "'24.11.26', which is read as '2026-11-24'" in str(fault)


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
def delivery(target: Target) -> Desk:
    return Desk(deliver.stage(target, PEOPLE, Patience(1.0, 4.0, 3)))  # type: ignore[arg-type]


def wish(**fields: Value) -> Any:
    return items("writes.dynamics", DesiredWrite("dynamics", "c-1", "person", 1, "g1", fields, "5", "corr"))


async def test_a_wish_is_written_in_the_systems_own_values(delivery: Desk, target: Target) -> None:
    unit = await delivery.work(*wish(phone="+493012345678", industry="banking", country="DE"))
    (write,) = target.written
    expected = {"telephone1": "+49 30 12345678", "industrycode": 1, "address1_country": "DEU", "isthmus_id": "c-1"}
    assert write.fields == expected
    # Merge hears of it in its own words.
    (report,) = sent(unit, "merge")
    assert report["fields"] == {"phone": "+493012345678", "industry": "banking", "country": "DE"}


async def test_what_cannot_be_said_there_is_left_out_and_told_of(delivery: Desk, target: Target) -> None:
    unit = await delivery.work(*wish(industry="mining", email="ann@alder.example"))
    assert [write.fields for write in target.written] == [{"emailaddress1": "ann@alder.example", "isthmus_id": "c-1"}]
    (letter,) = letters(unit)
    assert (letter["code"], letter["context"]["field"], letter["context"]["value"]) == (
        "TRANSFORM",
        "industry",
        "mining",
    )
    assert orjson.loads(letter["original"])["fields"]["industry"] == "mining"
    (report,) = sent(unit, "merge")
    assert (report["outcome"], report["fields"]) == ("written", {"email": "ann@alder.example"})
    assert delivery.counts == {"dynamics/person": {"fields_refused": 1, "delivery_written": 1}}


async def test_a_wish_of_which_nothing_can_be_said_is_dead_and_no_call(delivery: Desk, target: Target) -> None:
    unit = await delivery.work(*wish(industry="mining"))
    assert target.calls == []
    assert [letter["code"] for letter in letters(unit)] == ["TRANSFORM"]
    assert [one["outcome"] for one in sent(unit, "merge")] == ["refused"]


# -- what merge asks for


def linked(system: str, number: int, **fields: Value) -> Linked:
    return Linked(
        system, f"{system}-1", "person", "c-1", "update", fields, (), f"{number}", f"{number}", f"{number}", "t"
    )


def test_the_parts_of_a_name_are_written_together() -> None:
    first = fold(None, linked("salesforce", 1, first_name="Ann", last_name="Moss"), PERSON)
    (write,) = first.writes
    written = Report("dynamics", "dynamics-1", "c-1", "person", write.revision, "written", "1", write.fields)
    state = fold(first.state, written, PERSON).state
    (write,) = fold(state, linked("salesforce", 2, last_name="Hill"), PERSON).writes
    assert write.fields == {"first_name": "Ann", "last_name": "Hill"}


def test_nothing_is_asked_for_where_we_only_listen() -> None:
    told = fold(None, linked("dynamics", 1, note="n", last_name="Moss"), PERSON)
    (write,) = told.writes
    assert write.fields == {"last_name": "Moss", "note": "n"}
    state = fold(None, linked("salesforce", 1, score=3), PERSON)
    assert [one.fields for one in state.writes] == [{"score": 3}]
    assert all("score" not in one.fields for one in told.writes)


def test_a_value_that_was_left_out_is_not_asked_for_again_and_again() -> None:
    first = fold(None, linked("salesforce", 1, email="a@b.example", industry="mining"), PERSON)
    (write,) = first.writes
    left = {"email": "a@b.example"}
    written = Report("dynamics", "dynamics-1", "c-1", "person", write.revision, "written", "1", left)
    told = fold(first.state, written, PERSON)
    assert told.writes == ()
    assert fold(told.state, linked("dynamics", 2, email="a@b.example"), PERSON).writes == ()
