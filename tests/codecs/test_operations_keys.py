"""Composite keys as record ids: one text a record, both ways."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.operations_keys import KeyValue, key_of, record_id
from isthmus.config.errors import DecodeError

NAMES = st.lists(st.from_regex(r"[A-Z][A-Za-z0-9]{0,12}", fullmatch=True), min_size=1, max_size=4, unique=True)
VALUES: st.SearchStrategy[KeyValue] = st.one_of(
    st.text(min_size=1, max_size=20),
    st.from_regex(r"[,=' ()0-9A-Za-z]{1,12}", fullmatch=True),
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.decimals(allow_nan=False, allow_infinity=False, places=6),
)


@given(data=st.data())
def test_a_key_survives_its_text_and_a_text_its_key(data: st.DataObject) -> None:
    columns = data.draw(NAMES)
    key = {name: data.draw(VALUES) for name in columns}
    text = record_id(key, columns)
    assert key_of(text) == key
    assert list(key_of(text)) == columns
    assert record_id(key_of(text), columns) == text


@given(first=st.tuples(VALUES, VALUES), second=st.tuples(VALUES, VALUES))
def test_two_records_never_share_a_text(first: tuple[KeyValue, KeyValue], second: tuple[KeyValue, KeyValue]) -> None:
    texts = [record_id(dict(zip("AB", one, strict=True)), "AB") for one in (first, second)]
    assert (texts[0] == texts[1]) == (first == second)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ({"dataAreaId": "USMF", "SalesOrderNumber": "SO-1"}, "dataAreaId='usmf',SalesOrderNumber='SO-1'"),
        ({"dataAreaId": "dat", "ItemNumber": " RFI-'2"}, "dataAreaId='dat',ItemNumber=' RFI-''2'"),
        ({"RecordId": 5637145328}, "RecordId=5637145328"),
        ({"RecordId": 1.0}, "RecordId=1"),
        ({"LineNumber": Decimal("1.500")}, "LineNumber=1.5"),
        ({"LineNumber": Decimal("10")}, "LineNumber=10"),
        ({"InvoiceDate": "2026-01-31T12:00:00Z"}, "InvoiceDate=2026-01-31T12:00:00Z"),
    ],
)
def test_a_key_is_written_as_odata_writes_it(key: dict[str, KeyValue], text: str) -> None:
    assert record_id(key, list(key)) == text


@pytest.mark.parametrize("text", ["", "x'); --", "A", "A=", "A=B", "A='x", "A='x',", "A=1,A=2", "A=1 ", "A='x'B='y'"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        key_of(text)


@pytest.mark.parametrize("value", [None, "", True, [], Decimal("NaN")])
def test_a_key_without_a_value_has_no_text(value: object) -> None:
    with pytest.raises(DecodeError, match="SalesOrderNumber"):
        record_id({"SalesOrderNumber": value}, ["SalesOrderNumber"])  # type: ignore[dict-item]
