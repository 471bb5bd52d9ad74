"""Which version of a mapping was it? Every dead letter of an entity says so, whichever stage it died in."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from desk import Desk, items, letters
from msgspec.structs import replace
from partitions import Answering, Partitions
from test_activate import ACCOUNT, MAPPINGS, Node, by, order
from test_convergence import change

from isthmus.agents import letters as keeping
from isthmus.codecs.activation import document_of, version_of, versions_of
from isthmus.codecs.dead import dead_letter
from isthmus.config.errors import PermanentError, PlatformError
from isthmus.node.letters_views import whole
from isthmus.systems.protocol import Write, Written
from isthmus.tables.letters import LETTERS, letters_of
from isthmus.tables.unit import Unit

FILES = version_of(document_of(ACCOUNT))


class Refusing(Answering):
    """A platform that takes nothing."""

    async def write(self, writes: Sequence[Write]) -> list[Written | PlatformError]:
        """Each is refused for good."""
        return [PermanentError("too long") for _ in writes]


async def test_what_a_stage_of_the_node_buries_says_the_version_of_the_files() -> None:
    world = Partitions(MAPPINGS, 1, systems=[Answering("salesforce"), Refusing("dynamics")])
    overflow = replace(change("salesforce", "S1", 2, {}), operation="overflow")
    await world.run([[change("salesforce", "S1", 1, {"name": "Alder"})], [overflow]])
    told = [orjson.loads(letter) for letter in world.letters]
    assert {one["stage"] for one in told} == {"deliver", "intake"}
    assert {one["context"]["mapping"] for one in told} == {FILES}


async def test_in_merge_it_is_the_version_in_force() -> None:
    node, other = Node(), by({"name": {"owner": "dynamics"}})
    await node.obey(order(other))
    unit = Unit(node.merging.tables, mapped=versions_of(MAPPINGS))
    node.merging.stage.bury(unit, orjson.dumps({"kind": "change", "entity": "account"}), RuntimeError("oh"))
    node.merging.stage.bury(unit, orjson.dumps({"kind": "change", "entity": "contact"}), RuntimeError("oh"))
    assert [one["context"]["mapping"] for one in letters(unit)] == [
        version_of(document_of(other)),
        version_of(document_of(MAPPINGS.entities["contact"])),
    ]


def test_a_read_that_died_is_known_by_the_systems_own_name() -> None:
    unit = Unit({}, mapped=versions_of(MAPPINGS))
    for name in ("Account", "Nothing"):
        unit.bury(dead_letter(PermanentError("gone"), stage="reread", original=b"{}", system="salesforce", entity=name))
    assert [one["context"].get("mapping") for one in letters(unit)] == [FILES, None]


async def test_what_dies_alone_on_a_copy_of_the_state_says_it_too() -> None:
    unit = Unit({}, mapped=versions_of(MAPPINGS))
    trial = unit.trial()
    trial.bury(dead_letter(PermanentError("gone"), stage="identify", original=b"{}", entity="account"))
    unit.adopt(trial)
    assert [one["context"]["mapping"] for one in letters(unit)] == [FILES]


async def test_people_see_it() -> None:
    desk, unit = Desk(keeping.stage(MAPPINGS, {})), Unit({}, mapped=versions_of(MAPPINGS))
    unit.bury(dead_letter(PermanentError("gone"), stage="intake", original=b"{}", entity="account"))
    (record,) = unit.records
    await desk.work(*items("dead", Told(record.value)))
    view = desk.tables[LETTERS.name]
    (letter,) = letters_of(view)
    shown = whole(view, letter.id)
    assert shown is not None
    assert shown.mapping == FILES


class Told:
    """A record on `dead`, as the consumer gives it."""

    partition, timestamp = 0, 1_700_000_000.0

    def __init__(self, value: bytes) -> None:
        self.value = value
