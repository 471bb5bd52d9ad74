"""Golden records as they were stored before."""

from __future__ import annotations

import msgspec
import pytest

from isthmus.codecs.frames import encode
from isthmus.codecs.linked import Linked
from isthmus.config.mapping import load_mappings
from isthmus.tables.fold import fold
from isthmus.tables.golden import GOLDEN, Golden
from isthmus.tables.registers import Said

ACCOUNT = load_mappings().entities["account"]
# What was stored of the changes below: while each field had a register of its own, and while why a field counts was kept
# apart from the registers.
BY_FIELD = b"""{"canonical":"c1","entity":"account","revision":3,"registers":{"salesforce":{"s1":{
"name":["Alder","001","2026-01-01T00:00:01Z","salesforce1",false],
"phone":["2","002","2026-01-01T00:00:03Z","salesforce2",false],
"billing_city":["Kiel","001","2026-01-01T00:00:01Z","salesforce1",false]}},"dynamics":{"d1":{
"name":["Alder Ltd","001","2026-01-01T00:00:02Z","dynamics1",false],
"credit_limit":[5,"001","2026-01-01T00:00:02Z","dynamics1",false],
"billing_city":["Ulm","001","2026-01-01T00:00:02Z","dynamics1",false],
"billing_street":["A 1","001","2026-01-01T00:00:02Z","dynamics1",false]}}},
"living":{"salesforce":{"s1":[true,"002",null,null,false]},"dynamics":{"d1":[true,"001",null,null,false]}},
"visible":{"name":["salesforce","s1","precedence salesforce > dynamics",null],
"phone":["salesforce","s1","last_writer",null],
"billing_street":["dynamics","d1","precedence dynamics > salesforce",null],
"billing_city":["dynamics","d1","precedence dynamics > salesforce",null],
"billing_postal_code":["dynamics","d1","precedence dynamics > salesforce",
[null,"001","2026-01-01T00:00:02Z","dynamics1",false]],
"billing_country":["dynamics","d1","precedence dynamics > salesforce",
[null,"001","2026-01-01T00:00:02Z","dynamics1",false]],
"credit_limit":["dynamics","d1","owner dynamics",null]},
"intents":{"salesforce":{"billing_street":[["A 1",2,0,false]],"billing_city":[["Ulm",2,0,false]],
"credit_limit":[[5,2,0,false]]},"dynamics":{"name":[["Alder",1,0,true]],"phone":[["1",1,0,false],["2",3,0,false]],
"billing_city":[["Kiel",1,0,true],["Ulm",2,0,false]]}},"asked":["billing_city","name"],
"hops":{"dynamics/name":[1,"2026-01-01T00:00:02Z"],"dynamics/billing_city":[1,"2026-01-01T00:00:02Z"]}}"""

APART = b"""{"canonical":"c1","entity":"account","revision":3,"registers":{"salesforce":{"s1":[[["002",
"2026-01-01T00:00:03Z",
"salesforce2",false,{"phone":"2"}],["001","2026-01-01T00:00:01Z","salesforce1",false,
{"name":"Alder","billing_city":"Kiel"}]]]},"dynamics":{"d1":[[["001","2026-01-01T00:00:02Z","dynamics1",false,
{"name":"Alder Ltd","credit_limit":5,"billing_city":"Ulm","billing_street":"A 1"}]]]}},
"living":{"salesforce":{"s1":[true,"002",null,null,false,""]},"dynamics":{"d1":[true,"001",null,null,false,""]}},
"visible":{"name":0,"phone":1,"billing_street":3,"billing_city":3,"billing_postal_code":4,"billing_country":4,
"credit_limit":2},"grounds":[["salesforce","s1","precedence salesforce > dynamics",null],
["salesforce","s1","last_writer",null],["dynamics","d1","owner dynamics",null],
["dynamics","d1","precedence dynamics > salesforce",null],
["dynamics","d1","precedence dynamics > salesforce",[null,"001","2026-01-01T00:00:02Z","dynamics1",false]]],
"intents":{"salesforce":{"billing_street":[["A 1",2,0,false]],"billing_city":[["Ulm",2,0,false]],
"credit_limit":[[5,2,0,false]]},"dynamics":{"name":[["Alder",1,0,true]],"phone":[["1",1,0,false],["2",3,0,false]],
"billing_city":[["Kiel",1,0,true],["Ulm",2,0,false]]}},"asked":["billing_city","billing_street","name"],
"hops":{"dynamics/name":[1,"2026-01-01T00:00:02Z"],"dynamics/billing_city":[1,"2026-01-01T00:00:02Z"]}}"""

# And today; whoever changes this reads what is above it too.
STORED = (
    b'["c1","account",3,{"salesforce":{"s1":[[["002","2026-01-01T00:00:03Z","salesforce2",false,{"phone":"2"}],["001",'
    b'"2026-01-01T00:00:01Z","salesforce1",false,{"name":"Alder","billing_city":"Kiel"}]],'
    b'["precedence salesforce > dynamics","last_writer"],{"name":0,"phone":1},null]},"dynamics":{"d1":[[["001",'
    b'"2026-01-01T00:00:02Z","dynamics1",false,{"name":"Alder Ltd","credit_limit":5,"billing_city":"Ulm",'
    b'"billing_street":"A 1"}]],["owner dynamics","precedence dynamics > salesforce"],{"credit_limit":0,'
    b'"billing_street":1,"billing_city":1,"billing_postal_code":1,"billing_country":1},{"billing_postal_code":[null,'
    b'"001","2026-01-01T00:00:02Z","dynamics1",false],"billing_country":[null,"001","2026-01-01T00:00:02Z",'
    b'"dynamics1",false]}]}},{"salesforce":{"s1":[true,"002",null,null,false,""]},"dynamics":{"d1":[true,"001",null,'
    b'null,false,""]}},{"dynamics":{"name":[["Alder",1,0,true]],"phone":[["1",1,0,false],["2",3,0,false]],'
    b'"billing_city":[["Kiel",1,0,true],["Ulm",2,0,false]]},"salesforce":{"credit_limit":[[5,2,0,false]],'
    b'"billing_street":[["A 1",2,0,false]],"billing_city":[["Ulm",2,0,false]]}},{},{},["billing_city",'
    b'"billing_street","name"],null,null,[],{},{"dynamics/name":[1,"2026-01-01T00:00:02Z"],"dynamics/billing_city":[1,'
    b'"2026-01-01T00:00:02Z"]},[],{},{}]'
)


def change(system: str, version: int, second: int, **fields: str | int) -> Linked:
    return Linked(
        system, f"{system[0]}1", "account", "c1", "update", dict(fields), (), f"{version:03d}",
        f"2026-01-01T00:00:{second:02d}Z", f"{system}{version}", "c", False,
    )  # fmt: skip


def now() -> Golden:
    """The same changes, folded today."""
    state: Golden | None = None
    for one in (
        change("salesforce", 1, 1, name="Alder", phone="1", billing_city="Kiel"),
        change("dynamics", 1, 2, name="Alder Ltd", credit_limit=5, billing_city="Ulm", billing_street="A 1"),
        change("salesforce", 2, 3, phone="2"),
    ):
        state = fold(state, one, ACCOUNT).state
    assert state is not None
    return state


def said(golden: Golden) -> dict[tuple[str, str], list[Said]]:
    return {(of, native): held.said for of, natives in golden.registers.items() for native, held in natives.items()}


@pytest.mark.parametrize("former", [BY_FIELD, APART], ids=["by field", "apart"])
def test_what_was_stored_before_is_read_and_goes_on_as_what_is_stored_today(former: bytes) -> None:
    held, today = GOLDEN.decode(former), now()
    assert (held.living, held.intents) == (today.living, today.intents)
    assert said(held) == said(today)
    assert dict(held.whys()) == dict(today.whys())
    assert GOLDEN.decode(encode(held)) == held
    one, other = (fold(it, change("dynamics", 2, 9, name="Birch", phone="3"), ACCOUNT) for it in (held, today))
    assert (one.event, one.writes) == (other.event, other.writes)


def test_what_is_stored_today_keeps_its_form() -> None:
    assert encode(now()) == STORED
    assert GOLDEN.decode(STORED) == now()


def test_what_is_no_golden_record_in_either_form_is_none() -> None:
    with pytest.raises(msgspec.ValidationError):
        GOLDEN.decode(b'{"canonical":"c1","entity":"account","registers":{"salesforce":{"s1":{"name":7}}}}')
