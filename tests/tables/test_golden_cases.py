"""Golden cases as data: tests/golden/<entity>/<case>.yaml says what is given and what must follow.

A step is a change ({system: {field: value}}, null clears; `at` its time, `operation`, `whole` for a full read), a write
that was carried out ({wrote: system}), the last change once more ({repeat: true}), or what a steward decides ({pin: field,
value: v}, {release: field} or {undo: field}). `conflicts`: each time a person is asked of a field, what both systems
say, the one that counts first; {settled: field} where nobody is asked any more. `native`: another record of the system
than its first. `deletes`: the policy, as `from` and each system's `on_delete`. `quality`: further rules.

`refers`: fields of a change that point at another record, by its native id; {answer: system, field: f, target: native} says
whose that one is: `is`, a canonical id, or null where nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from policies import by_policy

from isthmus.codecs.cloud_events import to_kafka
from isthmus.codecs.events import EventData
from isthmus.codecs.linked import Decide, Linked, Report, Resolved
from isthmus.codecs.reviews import Review
from isthmus.config.mapping import load_mappings
from isthmus.tables.fold import Folded, fold
from isthmus.tables.golden import DesiredWrite, Golden

CASES = sorted((Path(__file__).parents[1] / "golden").glob("*/*.yaml"))
MAPPINGS = load_mappings()
NATIVE = {"salesforce": "001S", "dynamics": "d-1"}


class Story:
    """Plays a case."""

    def __init__(self, entity: str, policy: Mapping[str, Any] | None = None, rules: list[Any] | None = None) -> None:
        self.entity = entity
        self.mapping = by_policy(MAPPINGS.entities[entity], policy or {}, rules or ())
        self.pointed: dict[tuple[str, str, str], Linked] = {}
        self.reasons: list[list[str]] = []
        self.conflicts: list[dict[str, Any]] = []
        self.made = 0
        self.golden: Golden | None = None
        self.outcomes: list[str] = []
        self.events: list[str] = []
        self.writes: list[DesiredWrite] = []
        self.last: Linked | None = None

    def play(self, steps: list[dict[str, Any]]) -> None:
        """Every step in order."""
        for number, step in enumerate(steps, 1):
            if "wrote" in step:
                self.take(self.report(step["wrote"]))
            elif "answer" in step:
                self.take(self.answer(step))
            elif verb := next((verb for verb in ("pin", "release", "undo") if verb in step), None):
                self.take(self.decided(verb, step, number))
            elif "repeat" in step:
                assert self.last is not None
                self.take(self.last)
            else:
                self.last = self.change(step, number)
                self.take(self.last)

    def take(self, item: Linked | Report | Resolved | Decide) -> None:
        """One item."""
        folded: Folded = fold(self.golden, item, self.mapping)
        self.golden = folded.state
        self.reasons += [list(one.reasons) for one in (folded.asides.reviews if folded.asides else ())]
        self.writes += folded.writes
        self.conflicts += [_conflict(one) for one in folded.reviews if one.kind == "conflict"]
        if folded.outcome is not None:
            self.outcomes.append(folded.outcome)
        if folded.event is not None:
            EventData.model_validate_json(to_kafka(folded.event)[1])
            self.events.append(folded.event.kind)

    def change(self, step: dict[str, Any], number: int) -> Linked:
        """A change from its step."""
        system = next(name for name in NATIVE if name in step)
        at = step.get("at", number)
        change = Linked(
            system=system,
            native_id=step.get("native", NATIVE[system]),
            entity=self.entity,
            canonical="c-1",
            operation=step.get("operation", "update"),
            fields={name: value for name, value in step[system].items() if value is not None},
            cleared=tuple(name for name, value in step[system].items() if value is None),
            version=f"{at:020d}",
            changed_at=f"2026-01-01T00:00:{at:02d}Z",
            change_id=f"{system}-{number}",
            correlation=f"corr-{number}",
            tagged=False if system == "salesforce" else None,
            row=step.get("whole", False),
            refers=step.get("refers", {}),
        )
        self.pointed |= {(system, field, target): change for field, target in change.refers.items()}
        return change

    def answer(self, step: dict[str, Any]) -> Resolved:
        """Whose the record is that a change pointed at."""
        system, field, target = step["answer"], step["field"], step["target"]
        of = self.pointed[system, field, target]
        told = (system, of.native_id, self.entity, "c-1", field, step["is"] or "", of.version, of.changed_at)
        return Resolved(*told, of.change_id, of.correlation, of.tagged, of.row, None, target)

    def decided(self, verb: Any, step: dict[str, Any], number: int) -> Decide:
        """What a steward decides about a field."""
        at = f"2026-01-01T00:00:{step.get('at', number):02d}Z"
        return Decide("c-1", self.entity, step[verb], verb, f"o-{number}", "Ada", at, step.get("value"))

    def report(self, system: str) -> Report:
        """The last write to a system, carried out."""
        write = next(write for write in reversed(self.writes) if write.system == system)
        version = f"{0:020d}" if system == "dynamics" else None
        native = write.native_id or NATIVE[system].replace("1", str(self.made + 1))
        self.made += write.native_id is None
        known = version if write.action != "delete" else None
        rev, fields, action = write.revision, write.fields, write.action
        return Report(system, native, "c-1", self.entity, rev, "written", known, fields, action)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.parent.name}/{case.stem}" for case in CASES])
def test_a_story_ends_as_it_must(case: Path) -> None:
    told = yaml.safe_load(case.read_text())
    story = Story(case.parent.name, told.get("deletes"), told.get("quality"))
    story.play(told["given"])
    assert story.golden is not None
    assert story.outcomes == told["then"]["outcomes"]
    assert story.golden.values() == told["then"]["golden"]
    assert story.events == told["then"]["events"]
    assert [_said(write) for write in story.writes] == told["then"]["writes"]
    assert story.reasons == told["then"].get("reasons", story.reasons)
    # Equal dicts may differ in their order, which says whose value counts.
    assert list(map(str, story.conflicts)) == list(map(str, told["then"].get("conflicts", story.conflicts)))


def _conflict(review: Review) -> dict[str, Any]:
    """A conflict as cases tell it: what each system says, the one that counts first; or that it is settled."""
    if review.closed:
        return {"settled": review.field or review.id.rpartition("/")[2]}
    sides = sorted(review.sides, key=lambda side: not side.counts)
    return {review.field: {side.system: side.value for side in sides}}


def _said(write: DesiredWrite) -> dict[str, Any]:
    """A wish as cases tell it: its values, and what else is to become of which record."""
    if write.action == "upsert":
        return {write.system: dict(write.fields)}
    return {write.system: dict(write.fields), write.action: write.native_id}


def test_every_entity_has_a_golden_case() -> None:
    assert {case.parent.name for case in CASES} == set(MAPPINGS.entities)
