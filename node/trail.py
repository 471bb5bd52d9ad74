"""A record's trail: the steps that its topics tell of, put together as one history from source change to target write.

Promises: pure; the order in which topics are read matters only for who a native record is; `learn` may hear of that first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from isthmus.node.steps import Step


@dataclass
class Trail:
    """What is known of some records: asked for by `wanted`, any of canonical, native (system:id), change or correlation
    ids. `keys`: the records that each stands for, by canonical id, or native where nobody knows whose they are."""

    wanted: list[str]
    keys: dict[str, set[str]] = field(default_factory=dict)
    canonicals: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    kept: dict[str, dict[tuple[str, str, str], Step]] = field(default_factory=dict)

    def look(self, step: Step) -> None:
        """Learn which records the wanted ids stand for."""
        self.learn(step)
        for asked in self.wanted:
            if step.concerns(asked) and (key := self._key(step)):
                self.keys.setdefault(asked, set()).add(key)

    def learn(self, step: Step) -> None:
        """Learn who a native record is."""
        if step.native and step.canonical and self.canonicals.get(step.native) != step.canonical:
            self.canonicals[step.native] = step.canonical
            for keys in self.keys.values():
                if step.native in keys:
                    keys.discard(step.native)
                    keys.add(step.canonical)

    def _key(self, step: Step) -> str:
        return step.canonical or self.canonicals.get(step.native, step.native) or self.letters.get(step.letter, "")

    def missing(self) -> list[str]:
        """What no record was found for."""
        return [asked for asked in self.wanted if not self.keys.get(asked)]

    def records(self) -> list[str]:
        """The records that are wanted."""
        return sorted({key for keys in self.keys.values() for key in keys})

    def natives(self) -> list[str]:
        """Their native ids."""
        wanted = set(self.records())
        known = {native for native, canonical in self.canonicals.items() if canonical in wanted}
        return sorted(known | {one for one in wanted if ":" in one})

    def begin(self) -> None:
        """Make a history for each record that is wanted."""
        self.kept = {key: {} for key in self.records()}

    def keep(self, step: Step) -> None:
        """Keep a step in the history that it belongs to, once; a step of no history is passed over."""
        self.learn(step)
        key = self._key(step)
        if key in self.kept:
            said = f"{step.native} {step.what}" if step.place else ""  # what has no place is told by every repeat
            self.kept[key].setdefault((step.step, step.place or step.change_id, said), step)
            if step.letter:
                self.letters[step.letter] = key

    def history(self, key: str) -> list[Step]:
        """A record's steps in the order of time."""
        return sorted(self.kept[key].values(), key=Step.sorting)


def waits(history: Iterable[Step]) -> dict[str, float]:
    """By the place of each report: seconds since the change arrived that led to its write, where that is told."""
    arrived: dict[str, float] = {}
    wished: dict[tuple[str, int | None], float] = {}
    found: dict[str, float] = {}
    for step in history:
        at, write = step.sorting()[0], (step.system, step.revision)
        if step.step == "arrived":
            arrived[step.correlation] = at
        elif step.step == "wished":
            wished[write] = arrived.get(step.correlation, at)
        elif step.step in ("written", "refused") and write in wished:
            found[step.place] = round(at - wished[write], 3)
    return found
