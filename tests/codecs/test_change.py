"""A change survives the wire, and an older node reads a newer one's."""

from __future__ import annotations

from typing import get_args

import orjson
from hypothesis import given
from hypothesis import strategies as st

from isthmus.codecs.change import Change, Operation
from isthmus.codecs.frames import Elements, frames_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
changes = st.builds(
    Change,
    system=texts,
    entity=texts,
    record_id=texts,
    operation=st.sampled_from(get_args(Operation)),
    fields=st.dictionaries(texts, values, max_size=4),
    cleared=st.lists(texts, max_size=3).map(tuple),
    version=st.none() | texts,
    changed_at=st.none() | texts,
    transaction=st.none() | texts,
    origin=st.none() | texts,
    change_id=texts,
)


@given(changes)
def test_a_change_survives_the_wire(change: Change) -> None:
    (read,) = Elements(Change).decode(next(frames_of([change])), "here")
    assert read == change


@given(changes)
def test_what_a_newer_node_adds_is_ignored(change: Change) -> None:
    (read,) = Elements(Change).decode(orjson.dumps([{**change.to_wire(), "added": 1}]), "here")
    assert read == change


def test_the_wire_has_its_keys_in_the_documented_order() -> None:
    change = Change("s", "e", "r", "update", {}, (), None, None, None, None, "c")
    assert ",".join(change.to_wire()) == (
        "system,entity,record_id,operation,fields,cleared,version,changed_at,transaction,origin,change_id"
    )
